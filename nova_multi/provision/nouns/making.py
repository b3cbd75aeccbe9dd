# SPDX-License-Identifier: Apache-2.0
"""Accepting instances: what a request comes down to, with all that it depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, Invalid, NameTaken
from nova_multi.domain.image import known_missing
from nova_multi.domain.instance import choose_driver, numbered
from nova_multi.domain.names import Kind, check_name
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.provisioner import (
    MAX_LAUNCH,
    Provisioner,
    Ways,
    check_image,
)
from nova_multi.domain.publish import assign
from nova_multi.domain.task import Task, TaskStatus, TaskType
from nova_multi.provision import guest, publishing
from nova_multi.provision.default_images import driver_of
from nova_multi.provision.new_instance import NewInstance
from nova_multi.provision.nouns.base import work_on
from nova_multi.provision.nouns.wishes import (
    MAX_TOLD,
    Standing,
    Wishes,
    size_of,
)
from nova_multi.provision.service import Accepted, Caller, Fields, Scope
from nova_multi.provision.steps import dependencies
from nova_multi.provision.store import Record

#: An address, as long as any.
_LONGEST = ":".join(["ffff"] * 8)
#: Times that a request is looked at again if others were quicker.
_TRIES = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Instances that differ in their names only.

    :ivar data: of their records.
    :ivar payload: of their tasks.
    :ivar depends: names of provisioners whose instances have to stand before.
    """

    names: Sequence[str]
    data: Mapping[str, Any]
    payload: Mapping[str, Any]
    goal: TaskStatus
    permissions: Permissions | None
    provisioner: str = ""
    depends: Sequence[str] = ()


class Making(Wishes):
    """Accepts the making of instances."""

    def create(self, caller: Caller, fields: Fields, scope: Scope) -> Accepted:
        """Make one or several, each by a task of its own.

        Of what their provisioner depends on, that which doesn't stand in the
        environment is made first.
        """
        for left in reversed(range(_TRIES)):
            environment = self._environment(caller, fields, scope)
            name = fields.get("provisioner")
            provisioner = self._provisioner(caller, name, environment)
            main = self._batch(caller, fields, provisioner, environment)
            standing: Standing = {}
            batches: list[Batch] = []
            if provisioner.depends:
                standing = self._standing(caller, environment)
                batches = self._missing(
                    caller, provisioner, environment, main, standing
                )
            try:
                return self.accept_all(
                    caller,
                    TaskType.CREATE_INSTANCE,
                    [*batches, main],
                    environment,
                    standing,
                )
            except NameTaken:
                # Another request may have begun to make what both depend on.
                if not (batches and left):
                    raise
        raise AssertionError("not reached")

    def _missing(
        self,
        caller: Caller,
        provisioner: Provisioner,
        environment: Record,
        main: Batch,
        standing: Standing,
    ) -> list[Batch]:
        """What has to be made of a provisioner's dependencies, in its order."""
        missing = self._dependencies(caller, provisioner, environment, standing.keys())
        for each in missing:
            self._check_failed(each, provisioner, environment)
        prefer = Driver(main.payload["driver"])
        return [
            self._batch(
                caller,
                {"name": each.name, "permissions": main.permissions},
                each,
                environment,
                prefer,
            )
            for each in missing
        ]

    def _check_failed(
        self, wanted: Provisioner, by: Provisioner, environment: Record
    ) -> None:
        """See that nothing that has failed stands where it is to be made.

        :raises Conflict: something does.
        """
        names = numbered(wanted.name, wanted.launch)
        for record in self._store.list_records(Kind.INSTANCE, scope=environment.uuid):
            if record.name in names and record.data.get("failed"):
                raise Conflict(
                    f"{by.name} depends on {wanted.name}, whose instance {record.name}"
                    " has failed: delete it, and it is made anew",
                    field="provisioner",
                    code="dependency_failed",
                )

    def _batch(
        self,
        caller: Caller,
        fields: Fields,
        provisioner: Provisioner,
        environment: Record,
        prefer: Driver | None = None,
    ) -> Batch:
        """What a request comes down to for the instances of one provisioner.

        :param prefer: where neither it nor its image says the driver.
        """
        asked = fields.get("driver")
        image = self._image(
            caller, provisioner, environment, asked or provisioner.driver, prefer
        )
        check_image(provisioner, image.name, known_missing(image.properties))
        driver = choose_driver(asked, provisioner.driver, driver_of(image))
        self._check_driver(driver)
        size = size_of(driver, fields, provisioner, image)
        names = numbered(fields["name"], fields.get("count") or provisioner.launch)
        for name in names:
            check_name(Kind.INSTANCE, name)
        publish = tuple(fields.get("publish") or ())
        if len(names) > 1 and any(each.outside is not None for each in publish):
            raise Invalid(
                f"one outside port can't be published for {len(names)} instances",
                field="publish",
            )
        if asked_for := [each for each in publish if each.outside is not None]:
            assign(asked_for, publishing.taken(self._tools, environment.uuid))
        wanted = NewInstance(
            environment=environment,
            image_id=image.id,
            driver=driver,
            size=size,
            provisioner=provisioner.name,
            script=guest.script_of(provisioner) if provisioner.runs_something else "",
            own=dict(provisioner.variables),
            asked=dict(fields.get("variables") or {}),
            host_type=fields.get("host_type"),
            node=fields.get("node"),
            publish=publish,
            networks=list(fields.get("networks") or ()),
            network_ids=self._networks(fields, environment),
            description=fields.get("description") or "",
            tags=_tags(fields, provisioner.tag),
            timeout=provisioner.timeout,
        )
        if wanted.script:
            # Refused now rather than by Nova.
            variables = {**wanted.own, **wanted.asked}
            guest.check(wanted.script, variables, self._tools.settings.ways)
        return Batch(
            names=names,
            data=wanted.data(),
            payload=wanted.payload(),
            goal=wanted.goal,
            permissions=fields.get("permissions"),
            provisioner=provisioner.name,
            depends=provisioner.depends,
        )

    def accept_all(
        self,
        caller: Caller,
        type: TaskType,
        batches: Sequence[Batch],
        environment: Record,
        standing: Standing,
    ) -> Accepted:
        """Accept the making of what was asked for, which is the last batch, and of what
        it depends on.

        :param standing: what it depends on and is there.
        :raises Invalid: it is too much.
        :raises NameTaken: one of their names is.
        """
        *_, main = batches
        total = sum(len(batch.names) for batch in batches)
        if total > MAX_LAUNCH:
            raise Invalid(
                f"{total} instances, with what they depend on, are more than one"
                f" request can make ({MAX_LAUNCH})",
                field="count",
            )
        parent = self._tools.new_uuid() if len(main.names) > 1 else None
        single = self._tools.new_uuid()
        records: list[Record] = []
        work: list[tuple[Task, Mapping[str, Any]]] = []
        made: Standing = {}
        for batch in batches:
            needs = {
                name: {
                    "made": name in made,
                    "instances": (made.get(name) or standing[name])[:MAX_TOLD],
                }
                for name in batch.depends
            }
            _check_room(batch, needs, self._tools.settings.ways)
            for name in batch.names:
                is_asked = batch is main
                record = self._new(
                    Kind.INSTANCE,
                    name,
                    caller,
                    scope=environment.uuid,
                    project_id=environment.openstack_id,
                    data=batch.data,
                    permissions=batch.permissions,
                    task_uuid=(
                        single if is_asked and not parent else self._tools.new_uuid()
                    ),
                )
                task = self._task(
                    caller,
                    type,
                    record,
                    uuid=record.task_uuid,
                    goal=batch.goal,
                    parent_uuid=parent if is_asked else parent or single,
                )
                payload = work_on(record, caller, batch.payload)
                records.append(record)
                work.append((task, payload | ({"needs": needs} if needs else {})))
                of_it = made.setdefault(batch.provisioner, [])
                of_it.append((record.uuid, record.task_uuid))
        if parent:
            work.append(self._parent(caller, type, parent, records, main))
        self._store.accept(records, work)
        self._tools.signals.work()
        for record in records:
            self._audit(caller, type.verb, record, record.task_uuid)
        return Accepted(parent or single)

    def _parent(
        self,
        caller: Caller,
        type: TaskType,
        uuid: str,
        records: Sequence[Record],
        batch: Batch,
    ) -> tuple[Task, Mapping[str, Any]]:
        """The task that stands for all of them."""
        names = batch.names
        task = Task.accepted(
            uuid,
            type,
            Kind.INSTANCE,
            self._tools.clock(),
            description=f"{type.verb} {len(names)} instances: {names[0]}..{names[-1]}",
            goal=batch.goal,
            request_ids=(caller.request_id,) if caller.request_id else (),
            project_id=caller.project_id,
            user_id=caller.user_id,
        )
        children = [record.task_uuid for record in records]
        payload = {"children": children, "name": names[0]}
        return task, {**payload, "remote_address": caller.remote_address}


def _check_room(batch: Batch, needs: Mapping[str, Any], ways: Ways) -> None:
    """See that there is room for the addresses that a script will be told.

    :raises Invalid: they don't.
    """
    script = batch.payload.get("script")
    if not (script and needs):
        return
    found: dict[str, str] = {}
    for name, needed in needs.items():
        found |= dependencies.variables(name, [_LONGEST] * len(needed["instances"]))
    payload = batch.payload
    merged = {**payload["variables"], **found, **payload["asked_variables"]}
    guest.check(script, merged, ways)


def _tags(fields: Fields, own: str) -> Sequence[str]:
    """Those that were asked for, and the provisioner's own."""
    return list(dict.fromkeys([*(fields.get("tags") or ()), *filter(None, [own])]))
