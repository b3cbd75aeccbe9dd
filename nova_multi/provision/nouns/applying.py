# SPDX-License-Identifier: Apache-2.0
"""Environments by their definitions: what is asked for is checked and accepted here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nova_multi import spec
from nova_multi.domain.definition import Definition, Root
from nova_multi.domain.environment import Environment
from nova_multi.domain.errors import Conflict, DomainError, Invalid, NotFound
from nova_multi.domain.instance import choose_driver
from nova_multi.domain.names import Kind, check_name
from nova_multi.domain.partition import Limits
from nova_multi.domain.plan import Facts, ImageFacts, ImageKey, Plan, PresentInstance
from nova_multi.domain.task import Task, TaskType
from nova_multi.provision import (
    definitions,
    limits,
    planner,
    presence,
    publishing,
    secret_inputs,
)
from nova_multi.provision.nouns.base import limited_by_cloud
from nova_multi.provision.nouns.wishes import Wishes, driver_of
from nova_multi.provision.recipes import image_key
from nova_multi.provision.references import Standing, filled
from nova_multi.provision.secret_inputs import Secrets
from nova_multi.provision.service import Accepted, Caller, Fields, Scope
from nova_multi.provision.sharing import share_image
from nova_multi.provision.store import Record

#: Times that a request is looked at again if others were quicker.
_TRIES = 5


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked for, with what was found of it.

    :ivar environment: None if there is none yet.
    """

    definition: Definition
    partition: Record
    environment: Record | None
    facts: Facts
    secrets: Secrets


class Applying(Wishes):
    """Plans, applies and destroys."""

    def plan(self, caller: Caller, fields: Fields, scope: Scope) -> Plan:
        """What applying a definition would do; only reads."""
        wanted = self._wanted(caller, fields, scope)
        return self._planned(wanted)

    def define(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Environment:
        """Keep a definition; nothing is done."""
        environment = self._usable_environment(caller, name, scope)
        wanted = self._wanted(caller, fields, scope, environment)
        self._keep_definition(caller, environment, wanted)
        self._audit(caller, "update", environment)
        return self._shown(environment)

    def apply(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Accepted:
        """Accept the making of all that a definition says."""
        for left in reversed(range(_TRIES)):
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
            # What can be refused is refused now.
            self._planned(wanted)
        self._keep_definition(caller, environment, wanted)
        task = self._task(caller, TaskType.APPLY_ENVIRONMENT, environment)
        payload = self._payload(environment, wanted, fields)
        return self._accept_turn(caller, environment, going_on, task, payload)

    def destroy(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Accepted:
        """Accept the deletion of all that definitions have made."""
        for left in reversed(range(_TRIES)):
            environment = self._find.environment(caller, name, scope)
            self._find.check(caller, environment, "w", environment.openstack_id)
            going_on = self._turn(environment, fields)
            task = self._task(caller, TaskType.DESTROY_ENVIRONMENT, environment)
            payload = {
                "record": environment.uuid,
                "name": environment.name,
                "environment": environment.uuid,
                "partition": environment.scope,
                "width": fields.get("width"),
            }
            try:
                return self._accept_turn(caller, environment, going_on, task, payload)
            except Conflict as error:
                if error.code != "changed" or not left:
                    raise
        raise AssertionError("not reached")

    def outputs(self, caller: Caller, name: str, scope: Scope) -> Fields:
        """What a definition's outputs are worth now."""
        environment = self._find.environment(caller, name, scope)
        definition = spec.load_dict(self._definition(environment))
        present = presence.read(self._tools, environment)
        instances: dict[str, list[PresentInstance | None]] = {
            part: [None] * each.count for part, each in definition.instances.items()
        }
        for one in present.instances:
            if one.index < len(instances.get(one.part, ())):
                instances[one.part][one.index] = one
        standing = Standing(present.environment, instances)
        kept = secret_inputs.read(self._store, environment.uuid)
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

    def _named_environment(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Record | None:
        """The environment; None if there is none, and a definition to make it by."""
        partition = fields.get("definition", {}).get("partition") or scope.partition
        try:
            return self._find.environment(caller, name, Scope(partition=partition))
        except NotFound:
            if "definition" not in fields:
                raise
            return None

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

    def _wanted(
        self,
        caller: Caller,
        fields: Fields,
        scope: Scope,
        environment: Record | None = None,
    ) -> _Wanted:
        """A definition with all that it names; only reads."""
        given = fields.get("values") or {}
        definition = spec.load_dict(fields["definition"], values=given)
        if environment is None:
            fields = {**fields, "definition": {"partition": definition.partition}}
            environment = self._named_environment(
                caller, definition.name, fields, scope
            )
        if environment is not None:
            partition = self._store.record(Kind.PARTITION, environment.scope)
            kept = secret_inputs.read(self._store, environment.uuid)
            where = environment
        else:
            partition = self._partition(caller, definition, scope)
            check_name(Kind.ENVIRONMENT, definition.name)
            kept = Secrets()
            where = self._new(
                Kind.ENVIRONMENT, definition.name, caller, scope=partition.uuid, data={}
            )
        if definition.partition not in ("", partition.name, partition.uuid):
            raise Invalid(
                f"environment {definition.name} is in partition {partition.name}",
                field="partition",
            )
        values = spec.input_values(definition, given, kept.kept.keys())
        secrets = kept.with_values(definition, values)
        facts = self._facts(caller, definition, where, secrets)
        return _Wanted(definition, partition, environment, facts, secrets)

    def _partition(
        self, caller: Caller, definition: Definition, scope: Scope
    ) -> Record:
        """Where an environment that isn't there yet is to be."""
        name = definition.partition or scope.partition
        found = (
            self._find.partition(caller, name)
            if name
            else self._find.home(caller, Scope())[0]
        )
        if found is None:
            raise Invalid("the partition is missing", field="partition")
        if found.data.get("state") == "deleting":
            raise Conflict(f"partition {found.name} is being deleted")
        return found

    def _facts(
        self,
        caller: Caller,
        definition: Definition,
        environment: Record,
        secrets: Secrets,
    ) -> Facts:
        """What the names in a definition stand for, for this caller."""
        provisioners = {}
        for part, instance in definition.instances.items():
            name = instance.provisioner
            if name and name not in definition.provisioners:
                if name in provisioners:
                    continue
                try:
                    provisioners[name] = self._provisioner(caller, name, environment)
                except NotFound as error:
                    raise Invalid(
                        f"{part}: there is no provisioner {name}",
                        field=f"instances.{part}.provisioner",
                    ) from error
        facts = Facts(provisioners=provisioners, secrets=secrets.versions)
        keys = {image_key(definition, facts, part) for part in definition.instances}
        images = {
            key: self._image_facts(caller, key, environment) for key in keys if key[0]
        }
        return dataclasses.replace(facts, images=images)

    def _image_facts(
        self, caller: Caller, key: ImageKey, environment: Record
    ) -> ImageFacts | DomainError:
        name, asked = key
        try:
            record, image = self._known_image(caller, name, environment, asked)
            project = environment.openstack_id
            if record:
                share_image(self._tools, record, image, project, only_look=True)
            self._check_driver(choose_driver(asked, None, driver_of(image)))
        except NotFound:
            return Invalid(f"there is no image {name}", field="image")
        except (Invalid, Conflict) as error:
            return error
        return ImageFacts(
            image.id,
            image.name,
            driver_of(image),
            image.min_memory_mb,
            image.min_disk_gb,
            record.uuid if record else "",
        )

    def _planned(self, wanted: _Wanted) -> Plan:
        present = presence.read(self._tools, wanted.environment)
        found = planner.plan(wanted.definition, present, wanted.facts)
        return dataclasses.replace(found, partition=wanted.partition.name)

    # -- what is accepted

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
    ) -> Accepted:
        """Accept a task behind all that go on already.

        :raises Conflict: somebody was quicker (``changed``).
        """
        queue = {definitions.QUEUE: [*going_on, task.uuid]}
        expected = (definitions.QUEUE, "deleting", "state")
        self._store.accept_on(environment, queue, expected, task, payload)
        return self._accepted(caller, task, environment)

    def _accept_first(
        self, caller: Caller, wanted: _Wanted, fields: Fields
    ) -> Accepted:
        """Accept the making of an environment and of all that is to stand in it."""
        definition = wanted.definition
        described = {
            "name": definition.name,
            "description": definition.description,
            "users": definition.users or (),
        }
        record, made = self._new_environment(caller, described, wanted.partition)
        task = self._task(caller, TaskType.APPLY_ENVIRONMENT, record)
        data = {
            **record.data,
            presence.MADE: True,
            definitions.QUEUE: [task.uuid],
        }
        record = dataclasses.replace(record, data=data)
        maker = self._task(
            caller,
            TaskType.CREATE_ENVIRONMENT,
            record,
            uuid=record.task_uuid,
            parent_uuid=task.uuid,
        )
        payload = self._payload(record, wanted, fields)
        making = {"record": record.uuid, "name": record.name, **made}
        records = [
            record,
            self._definition_record(caller, record, wanted, had_address=False),
            self._secrets_record(caller, record, wanted),
        ]
        self._store.accept(records, [(task, payload), (maker, making)])
        self._audit(caller, "create", record, maker.uuid)
        return self._accepted(caller, task, record)

    def _payload(
        self, environment: Record, wanted: _Wanted, fields: Fields
    ) -> dict[str, Any]:
        definition = wanted.definition
        described: dict[str, Any] = {"description": definition.description}
        if definition.users is not None:
            described["users"] = list(definition.users)
            described["user_ids"] = self._user_ids(definition.users)
        return {
            "record": environment.uuid,
            "name": environment.name,
            "environment": environment.uuid,
            "environment_task": environment.task_uuid,
            "partition": environment.scope,
            "definition": spec.dump(definition),
            "facts": definitions.written(wanted.facts),
            "described": described,
            "width": fields.get("width"),
        }

    def _keep_definition(
        self, caller: Caller, environment: Record, wanted: _Wanted
    ) -> None:
        """Keep a definition and its secrets in place of what was kept."""
        before = definitions.find(self._store, environment.uuid)
        address = publishing.address_record(self._tools, environment.uuid)
        new = self._definition_record(caller, environment, wanted, address is not None)
        if before is None:
            self._store.add_record(new)
        else:
            data = {**before.data, "definition": new.data["definition"]}
            self._store.update_record(definitions.KIND, before.uuid, data=data)
        secret_inputs.write(
            self._store,
            self._secrets_record(caller, environment, wanted),
            wanted.secrets,
        )

    def _definition_record(
        self, caller: Caller, environment: Record, wanted: _Wanted, had_address: bool
    ) -> Record:
        return self._new(
            definitions.KIND,
            definitions.NAME,
            caller,
            scope=environment.uuid,
            data=definitions.data(spec.dump(wanted.definition), had_address),
        )

    def _secrets_record(
        self, caller: Caller, environment: Record, wanted: _Wanted
    ) -> Record:
        return self._new(
            secret_inputs.KIND,
            secret_inputs.NAME,
            caller,
            scope=environment.uuid,
            data=wanted.secrets.kept,
        )

    # -- environments

    def _new_environment(
        self, caller: Caller, fields: Fields, partition: Record
    ) -> tuple[Record, dict[str, Any]]:
        """The record of a new environment, and what its task has to know.

        :raises Conflict: its limits don't fit, or the partition is being deleted.
        """
        if partition.data.get("state") == "deleting":
            raise Conflict(f"partition {partition.name} is being deleted")
        users = tuple(fields.get("users") or ())
        user_ids = self._user_ids(users)
        if fields.get("limits") and self._tools.single:
            raise limited_by_cloud()
        wanted = fields.get("limits") or Limits()
        limits.check(self._store, partition, of_environments={"": wanted})
        data = {
            "state": "creating",
            "description": fields.get("description") or "",
            "users": list(users),
            "user_ids": user_ids,
            "schedule": dict(fields.get("schedule") or {}),
            limits.KEY: limits.written(wanted),
        }
        record = self._new(
            Kind.ENVIRONMENT,
            fields["name"],
            caller,
            scope=partition.uuid,
            data=data,
            task_uuid=self._tools.new_uuid(),
        )
        payload = {
            "partition": partition.uuid,
            "environment": record.uuid,
            "description": data["description"],
            "user_ids": user_ids,
            limits.KEY: data[limits.KEY],
        }
        return record, payload

    def _user_ids(self, logins: Sequence[str]) -> Sequence[str]:
        """Keystone's ids of users.

        :raises Invalid: one is unknown.
        """
        if not logins or self._tools.single:
            return []
        identity = self._tools.clouds.manager().identity
        own = self._tools.own_users()
        by_name = {
            user.name: user.id
            for user in identity.users(domain_id=self._tools.settings.domain_id)
            if user.id not in own
        }
        unknown = [each for each in logins if each not in by_name]
        unknown = [each for each in unknown if each not in by_name.values()]
        if unknown:
            raise Invalid(f"there is no user {', '.join(unknown)}", field="users")
        return [by_name.get(each, each) for each in logins]

    def _shown(self, record: Record) -> Environment:
        raise NotImplementedError


def _being_applied(name: str, task_uuid: str) -> Conflict:
    return Conflict(
        f"environment {name} is being applied or destroyed: wait for task {task_uuid}",
        code="being_applied",
    )
