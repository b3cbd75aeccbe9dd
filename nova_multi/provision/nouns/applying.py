# SPDX-License-Identifier: Apache-2.0
"""Environments by their definitions: what is asked for is checked and accepted here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from typing import Any

from nova_multi import spec
from nova_multi.domain.definition import Root
from nova_multi.domain.environment import Environment
from nova_multi.domain.errors import Conflict, Forbidden, Invalid
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Difference, Plan, PlanStep, PresentInstance
from nova_multi.domain.schedule import Schedule
from nova_multi.domain.task import Task, TaskType
from nova_multi.provision import (
    definitions,
    hours,
    planner,
    presence,
    secret_inputs,
)
from nova_multi.provision.nouns.base import work_on
from nova_multi.provision.nouns.wanting import Wanted, Wanting
from nova_multi.provision.references import Standing, filled
from nova_multi.provision.service import Accepted, Caller, Fields, Scope
from nova_multi.provision.store import Record

#: Times that a request is looked at again if others were quicker.
TRIES = 5
#: Entries of an environment's record that nobody may have changed since.
EXPECTED = (definitions.QUEUE, "deleting", "state")


class Applying(Wanting):
    """Plans, applies and destroys."""

    def plan(self, caller: Caller, fields: Fields, scope: Scope) -> Plan:
        """What applying a definition would do; only reads."""
        wanted = self._wanted(caller, fields, scope)
        self._check_no_guess(caller, wanted, fields)
        found = self._planned(wanted)
        if wanted.environment is None:
            return found
        hidden = self._find.hidden_instances(caller, wanted.environment)
        return _without(found, {each.uuid for each in hidden})

    def define(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Environment:
        """Keep a definition; nothing is done.

        :raises Conflict: an apply or a destroy goes on, or was accepted just now.
        """
        environment = self._usable_environment(caller, name, scope)
        self._check_not_applied(environment)
        wanted = self._wanted(caller, fields, scope, environment)
        kept = self._kept(caller, environment, wanted)
        schedule = wanted.definition.schedule
        changes = hours.changed(environment, schedule) if schedule else {}
        self._check_closing(caller, environment, changes)
        self._store.change_with(environment, EXPECTED, merge=changes, kept=kept)
        if changes:
            environment = self._store.record(Kind.ENVIRONMENT, environment.uuid)
        self._audit(caller, "update", environment)
        return self._shown(environment)

    def apply(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Accepted:
        """Accept the making of all that a definition says."""
        for left in reversed(range(TRIES)):
            try:
                return self._apply(caller, name, fields, scope)
            except Conflict as error:
                # Somebody else was quicker to make the environment, or to change it.
                if error.code not in ("changed", "name_taken") or not left:
                    raise
        raise AssertionError("not reached")

    def _apply(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Accepted:
        environment = self._named_environment(caller, name, fields, scope)
        if environment is not None:
            self._find.check(caller, environment, "w", environment.openstack_id)
            going_on = self._turn(environment, fields)
            self._check_state(environment)
            if "definition" not in fields:
                fields = self._stored(environment, fields)
        wanted = self._wanted(caller, fields, scope, environment)
        if wanted.definition.name != (environment.name if environment else name):
            raise Invalid(
                f"the definition is of {wanted.definition.name}, not of {name}",
                field="name",
            )
        if environment is None:
            self._planned(wanted)
            return self._accept_first(caller, wanted, fields)
        if not going_on:
            # What can be refused is refused now; the rest by the task.
            changed = self._planned(wanted).changed
            self._find.check_instances(caller, environment, changed)
        task = self._task(caller, TaskType.APPLY_ENVIRONMENT, environment)
        payload = self._payload(caller, environment, wanted, fields)
        kept = self._kept(caller, environment, wanted)
        schedule = wanted.definition.schedule
        merge = hours.changed(environment, schedule) if schedule else {}
        self._check_closing(caller, environment, merge)
        merge |= self._seen(environment, schedule)
        return self._accept_turn(
            caller, environment, going_on, task, payload, kept, merge=merge
        )

    def _seen(
        self, environment: Record | None, schedule: Schedule | None
    ) -> dict[str, Any]:
        """Who applies by hand has seen to it, until the next change of its hours."""
        if schedule is None:
            schedule = hours.schedule_of(environment) if environment else Schedule()
        if schedule.is_always:
            return {hours.MARK: None} if environment else {}
        return {hours.MARK: hours.wanted(schedule, self._tools.clock()).data()}

    def destroy(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Accepted:
        """Accept the deletion of all that definitions have made."""
        for left in reversed(range(TRIES)):
            environment = self._find.environment(caller, name, scope)
            self._find.check(caller, environment, "w", environment.openstack_id)
            going_on = self._turn(environment, fields)
            if not going_on:
                self._check_made_instances(caller, environment)
            task = self._task(caller, TaskType.DESTROY_ENVIRONMENT, environment)
            told = {
                "environment": environment.uuid,
                "partition": environment.scope,
                "width": fields.get("width"),
                "admin": caller.admin,
            }
            payload = work_on(environment, caller, told)
            try:
                return self._accept_turn(caller, environment, going_on, task, payload)
            except Conflict as error:
                if error.code != "changed" or not left:
                    raise
        raise AssertionError("not reached")

    def outputs(self, caller: Caller, name: str, scope: Scope) -> Fields:
        """What a definition's outputs are worth now; nothing of what is hidden."""
        environment = self._find.environment(caller, name, scope)
        definition = spec.load_dict(self._definition(environment))
        present = presence.read(self._tools, environment)
        instances: dict[str, list[PresentInstance | None]] = {
            part: [None] * each.count for part, each in definition.instances.items()
        }
        hidden = self._find.hidden_instances(caller, environment)
        unseen = {each.uuid for each in hidden}
        for one in present.instances:
            if one.uuid not in unseen and one.index < len(instances.get(one.part, ())):
                instances[one.part][one.index] = one
        standing = Standing(present.environment, instances)
        kept = secret_inputs.read(self._store, self._tools.seal, environment.uuid)
        found: dict[str, str | None] = {}
        for key, template in definition.outputs.items():
            values = {
                str(each): kept.value(each)
                if each.root is Root.INPUTS
                else standing.value(each)
                for each in template.references
            }
            known = {k: value for k, value in values.items() if value is not None}
            found[key] = None
            if len(known) == len(values):
                found[key] = filled(template, lambda each, of=known: of[str(each)])  # type: ignore[misc]
        return found

    # -- what is asked for

    def _usable_environment(self, caller: Caller, name: str, scope: Scope) -> Record:
        record = self._find.environment(caller, name, scope)
        self._find.check(caller, record, "w", record.openstack_id)
        self._check_state(record)
        return record

    def _check_state(self, environment: Record) -> None:
        state = environment.data.get("state")
        if state not in ("ready", "creating"):
            raise Conflict(f"environment {environment.name} is in state {state}")

    def _definition(self, environment: Record) -> Mapping[str, Any]:
        record = definitions.find(self._store, environment.uuid)
        if record is None:
            raise Conflict(
                f"environment {environment.name} has no definition",
                field="definition",
                code="no_definition",
            )
        return definitions.of(record)

    def _stored(self, environment: Record, fields: Fields) -> Fields:
        """The fields of a request that leaves the definition as it is."""
        definition = self._definition(environment)
        kept = spec.load_dict(definition).inputs
        for name in fields.get("values") or {}:
            if name in kept and not secret_inputs.is_kept(kept[name]):
                raise Invalid(
                    f"what input {name} was worth stands in the definition already:"
                    " give the definition, too",
                    field=f"values.{name}",
                )
        return {**fields, "definition": definition}

    def _check_no_guess(self, caller: Caller, wanted: Wanted, fields: Fields) -> None:
        """See that who gives secrets for what is there may change it.

        A plan tells whether they are those that are kept: else it could be asked until
        they are.

        :raises Forbidden: the caller may not.
        """
        environment, inputs = wanted.environment, wanted.definition.inputs
        given = [
            name
            for name in fields.get("values") or {}
            if name in inputs and secret_inputs.is_kept(inputs[name])
        ]
        if environment is None or not given:
            return
        self._find.check(caller, environment, "w", environment.openstack_id)
        if not (caller.admin or caller.member):
            raise Forbidden(
                f"who may not change environment {environment.name} gives no values of"
                f" its secrets: {', '.join(given)}",
                field="values",
            )

    def _planned(self, wanted: Wanted) -> Plan:
        present = presence.read(self._tools, wanted.environment)
        found = planner.plan(wanted.definition, present, wanted.facts)
        return dataclasses.replace(found, partition=wanted.partition.name)

    # -- what is accepted

    def _check_made_instances(self, caller: Caller, environment: Record) -> None:
        """See that the caller may delete all that definitions have made.

        :raises Forbidden: an instance of it is not left to the caller.
        """
        made = {
            each.uuid
            for each in self._store.list_records(Kind.INSTANCE, scope=environment.uuid)
            if each.data.get(presence.PART)
        }
        self._find.check_instances(caller, environment, made)

    def _check_closing(
        self, caller: Caller, environment: Record, changes: Mapping[str, Any]
    ) -> None:
        """See that the caller may delete what a new schedule will.

        It closes the environment on behalf of all, whatever instances permit.

        :param changes: of the environment's record, as :func:`hours.changed` has them.
        :raises Forbidden: an instance is not left to the caller.
        """
        if changes.get(hours.SCHEDULE):
            self._check_made_instances(caller, environment)

    def _turn(self, environment: Record, fields: Fields) -> list[str]:
        """Tasks that are at the environment, if the caller waits for them.

        :raises Conflict: there are some, and the caller does not wait.
        """
        queue = environment.data.get(definitions.QUEUE, [])
        ended = self._store.ends(queue)
        going_on = [each for each in queue if each not in ended]
        if going_on and not fields.get("wait"):
            raise _being_applied(environment.name, going_on[0])
        return going_on

    def _check_not_applied(self, environment: Record) -> None:
        """See that no apply goes on.

        :raises Conflict: one does.
        """
        self._turn(environment, {})

    def _accept_turn(
        self,
        caller: Caller,
        environment: Record,
        going_on: Sequence[str],
        task: Task,
        payload: Mapping[str, Any],
        kept: Sequence[Record] = (),
        *,
        merge: Mapping[str, Any] | None = None,
        expected: Sequence[str] = EXPECTED,
    ) -> Accepted:
        """Accept a task behind all that go on already.

        :param kept: what is stored with it, or not at all.
        :param merge: further entries for the environment's record.
        :param expected: entries of it that nobody may have changed.
        :raises Conflict: somebody was quicker (``changed``).
        """
        marks = {**(merge or {}), definitions.QUEUE: [*going_on, task.uuid]}
        self._store.accept_on(environment, marks, expected, task, payload, kept=kept)
        return self._accepted(caller, task, environment)

    def _accept_first(self, caller: Caller, wanted: Wanted, fields: Fields) -> Accepted:
        """Accept the making of an environment and of all that is to stand in it."""
        definition = wanted.definition
        described = {
            "name": definition.name,
            "description": definition.description,
            "users": definition.users or (),
            "schedule": spec.dump_schedule(definition.schedule or Schedule()),
        }
        record, made = self._new_environment(caller, described, wanted.partition)
        task = self._task(caller, TaskType.APPLY_ENVIRONMENT, record)
        data = {
            **record.data,
            presence.MADE: True,
            definitions.QUEUE: [task.uuid],
            **self._seen(None, definition.schedule),
        }
        record = dataclasses.replace(record, data=data)
        maker = self._task(
            caller,
            TaskType.CREATE_ENVIRONMENT,
            record,
            uuid=record.task_uuid,
            parent_uuid=task.uuid,
        )
        payload = self._payload(caller, record, wanted, fields)
        making = work_on(record, caller, made)
        records = [
            record,
            self._definition_record(caller, record, wanted, had_address=False),
            self._secrets_record(caller, record, wanted),
        ]
        self._store.accept(records, [(task, payload), (maker, making)])
        self._audit(caller, "create", record, maker.uuid)
        return self._accepted(caller, task, record)

    def _payload(
        self, caller: Caller, environment: Record, wanted: Wanted, fields: Fields
    ) -> dict[str, Any]:
        definition = wanted.definition
        described: dict[str, Any] = {"description": definition.description}
        if definition.users is not None:
            described["users"] = list(definition.users)
            described["user_ids"] = self._user_ids(definition.users)
        told = {
            "environment": environment.uuid,
            "environment_task": environment.task_uuid,
            "partition": environment.scope,
            "definition": spec.dump(definition),
            "facts": definitions.written(wanted.facts),
            "described": described,
            "width": fields.get("width"),
            "admin": caller.admin,
        }
        return work_on(environment, caller, told)

    def _shown(self, record: Record) -> Environment:
        raise NotImplementedError


def _without(found: Plan, hidden: Set[str]) -> Plan:
    """A plan that tells nothing of what instances are like that are not to be seen.

    What others were told of instances goes, too, as soon as one is not to be seen.
    """
    if not hidden:
        return found

    def shown(step: PlanStep, each: Difference) -> Difference:
        if each.field.startswith(("${instances", "${provisioners")):
            return dataclasses.replace(each, before="", after="")
        unseen = step.record in hidden
        return dataclasses.replace(each, before="") if unseen else each

    steps = tuple(
        dataclasses.replace(
            step, differences=tuple(shown(step, each) for each in step.differences)
        )
        for step in found.steps
    )
    return dataclasses.replace(found, steps=steps)


def _being_applied(name: str, task_uuid: str) -> Conflict:
    return Conflict(
        f"environment {name} is being applied or destroyed: wait for task {task_uuid}",
        code="being_applied",
    )
