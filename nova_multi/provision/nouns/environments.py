# SPDX-License-Identifier: Apache-2.0
"""Environments, their users, and what may be made in them."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Sequence
from typing import Any

from nova_multi import spec
from nova_multi.domain import usage
from nova_multi.domain.environment import Environment, EnvironmentState
from nova_multi.domain.errors import Conflict, Invalid, NotFound
from nova_multi.domain.host import Host
from nova_multi.domain.names import Kind
from nova_multi.domain.partition import Partition
from nova_multi.domain.schedule import Now, Schedule
from nova_multi.domain.task import TaskType
from nova_multi.domain.usage import Usage
from nova_multi.provision import contents, definitions, hours, limits, publishing
from nova_multi.provision.machines import machines
from nova_multi.provision.nouns.applying import EXPECTED, TRIES, Applying
from nova_multi.provision.nouns.base import (
    attributes,
    limited_by_cloud,
    page,
)
from nova_multi.provision.nouns.partitions import Partitions, partition_value
from nova_multi.provision.service import Accepted, Caller, Fields, Page, Query, Scope
from nova_multi.provision.store import Record

_FILTERS = {
    **attributes("name", "description", "partition", "state"),
    "environment": lambda each: (each.name, each.uuid),
}


class Environments(Applying):
    """See :class:`nova_multi.provision.service.Environments`."""

    def list(self, caller: Caller, query: Query) -> Page[Environment]:
        """Environments that the caller may see."""
        records = self._find.environments(caller, query.scope)
        names = self._partition_names()
        addresses = {
            each.scope: each.data.get("address", "")
            for each in self._store.list_records(publishing.ADDRESS)
        }
        values = [
            _value(each, names.get(each.scope, ""), addresses.get(each.uuid, ""))
            for each in records
        ]
        return page(values, query, lambda each: each.name, _FILTERS)

    def show(self, caller: Caller, name: str, scope: Scope) -> Environment:
        """One of them."""
        return self._shown(self._find.environment(caller, name, scope))

    def create(self, caller: Caller, fields: Fields, scope: Scope) -> Accepted:
        """Make a project with a network for it."""
        name = fields.get("partition") or scope.partition
        if not name:
            raise Invalid("the partition is missing", field="partition")
        partition = self._find.partition(caller, name)
        record, payload = self._new_environment(caller, fields, partition)
        return self._accept_new(caller, TaskType.CREATE_ENVIRONMENT, record, payload)

    def change(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Environment | Accepted:
        """Change what is only known here at once; users and limits by a task."""
        for left in reversed(range(TRIES)):
            try:
                return self._change(caller, name, fields, scope)
            except Conflict as error:
                # Its definition was changed, or an apply was accepted, just now.
                if error.code != "changed" or not left:
                    raise
        raise AssertionError("not reached")

    def _change(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Environment | Accepted:
        record = self._find.environment(caller, name, scope)
        self._find.check(caller, record, "w", record.openstack_id)
        self._check_made(record)
        if record.data.get("state") != "ready":
            raise Conflict(
                f"environment {record.name} is in state {record.data.get('state')}"
            )
        user_ids = self._user_ids(fields["users"] or ()) if "users" in fields else None
        changes: dict[str, Any] = {}
        expected: Sequence[str] = ()
        definition: Record | None = None
        kept: Sequence[Record] = ()
        if "description" in fields:
            changes["description"] = fields["description"] or ""
        if "schedule" in fields:
            schedule = hours.read(fields)
            expected = (*EXPECTED, hours.SCHEDULE)
            changes |= hours.changed(record, schedule)
            self._check_closing(caller, record, changes)
            definition = definitions.find(self._store, record.uuid)
            kept = _with_schedule(record, definition, schedule)
        payload: dict[str, Any] = {}
        if "limits" in fields:
            if self._tools.single:
                raise limited_by_cloud()
            partition = self._store.record(Kind.PARTITION, record.scope)
            limits.check(
                self._store, partition, of_environments={record.uuid: fields["limits"]}
            )
            # Written down now, so that all others count with it.
            changes[limits.KEY] = limits.written(fields["limits"])
            payload |= {limits.KEY: changes[limits.KEY]}
            payload |= {"limits_before": limits.written(limits.read(record.data))}
        if changes or kept or fields.get("name"):
            self._store.change_with(
                record,
                expected,
                name=fields.get("name"),
                merge=changes,
                same=[definition] if definition else (),
                kept=kept,
            )
            record = self._store.record(Kind.ENVIRONMENT, record.uuid)
            self._audit(caller, "update", record)
        if user_ids is not None and not self._tools.single:
            payload |= {"users": list(fields["users"] or ()), "user_ids": user_ids}
        if not payload:
            return self._shown(record)
        payload |= {"partition": record.scope, "environment": record.uuid}
        return self._accept(caller, TaskType.UPDATE_ENVIRONMENT, record, payload)

    def delete(self, caller: Caller, name: str, scope: Scope) -> Accepted:
        """Delete it if it is empty."""
        record = self._find.environment(caller, name, scope)
        self._find.check(caller, record, "w", record.openstack_id)
        contents.check_empty(self._store, record)
        self._check_made(record)
        self._check_not_applied(record)
        state = record.data.get("state")
        payload = {
            "partition": record.scope,
            "environment": record.uuid,
            # What another try has left half-way is not to be used again.
            "state": "ready" if state == "ready" else "error",
        }
        return self._accept_delete(
            caller, TaskType.DELETE_ENVIRONMENT, record, payload, state="deleting"
        )

    def hosts(self, caller: Caller, name: str, scope: Scope) -> Sequence[Host]:
        """Its partition's hosts; of a partition without any those of no partition."""
        record = self._find.environment(caller, name, scope)
        partition = self._store.record(Kind.PARTITION, record.scope)
        found = machines(self._tools).hosts()
        own = [host for host in found if host.partition == partition.name]
        return own or [host for host in found if not host.partition]

    def partition(self, caller: Caller, name: str, scope: Scope) -> Partition:
        """Its partition; what hosts it has only administrators are told."""
        record = self._find.environment(caller, name, scope)
        if self._find.is_admin(caller):
            return Partitions(self._tools).show(caller, record.scope, scope)
        return partition_value(self._store.record(Kind.PARTITION, record.scope), ())

    def usage(
        self,
        caller: Caller,
        name: str,
        scope: Scope,
        begin: datetime.datetime | None = None,
        end: datetime.datetime | None = None,
    ) -> Usage:
        """What it has used; an administrator is told of one that is gone, too."""
        now, lifetimes = self._tools.clock(), self._store.lifetimes
        try:
            environment = self._find.environment(caller, name, scope)
        except NotFound:
            lives = lifetimes.of_name(name) if self._find.is_admin(caller) else []
            if not lives:
                raise
            return usage.report(name, lives, now, begin, end)
        lives = lifetimes.of_environment(environment.uuid)
        found = usage.report(environment.name, lives, now, begin, end)
        hidden = {
            each.uuid for each in self._find.hidden_instances(caller, environment)
        }
        # Their part of the whole stays, as that of an environment's quota does.
        shown = tuple(each for each in found.instances if each.instance not in hidden)
        return dataclasses.replace(found, instances=shown)

    def _partition_names(self) -> dict[str, str]:
        records = self._store.list_records(Kind.PARTITION)
        return {each.uuid: each.name for each in records}

    def _shown(self, record: Record) -> Environment:
        address = publishing.address_record(self._tools, record.uuid)
        definition = definitions.find(self._store, record.uuid)
        found = _value(
            record,
            self._partition_names().get(record.scope, ""),
            address.data.get("address", "") if address else "",
            json.dumps(definitions.of(definition)) if definition else "",
        )
        return dataclasses.replace(found, hours=self._hours(record))

    def _hours(self, record: Record) -> Now | None:
        """What its working hours say now."""
        schedule, last = hours.schedule_of(record), hours.seen(record)
        if schedule.is_always:
            return None
        now = self._tools.clock()
        return Now(
            schedule.is_open(now),
            schedule.next_change(now),
            last.task if last else "",
        )


def _with_schedule(
    environment: Record, definition: Record | None, schedule: Schedule
) -> Sequence[Record]:
    """What is kept of an environment's definition says the same as its schedule.

    :param definition: its record, if there is one.
    :returns: what is to be stored in its place; nothing if that can stay.
    :raises Invalid: the schedule names instances that the definition has not.
    """
    if definition is None:
        if schedule.save:
            raise Invalid(
                f"environment {environment.name} has no definition: there is nothing of"
                " which a disk could be saved",
                field="schedule.save",
            )
        return ()
    before = definitions.of(definition)
    after = {**before, "schedule": spec.dump_schedule(schedule)}
    spec.load_dict(after)
    if "schedule" not in before or before == after:
        return ()
    data = definitions.changed(definition, after)
    return [dataclasses.replace(definition, data=data)]


def _value(
    record: Record, partition: str, address: str, definition: str = ""
) -> Environment:
    data = record.data
    return Environment(
        uuid=record.openstack_id or record.uuid,
        name=record.name,
        partition=partition,
        description=data.get("description", ""),
        users=tuple(data.get("users", ())),
        schedule=data.get("schedule", {}),
        definition=definition,
        state=EnvironmentState(data.get("state", "error")),
        limits=limits.read(data),
        network_id=data.get("network_id", ""),
        publish_address=address,
        created=record.created,
        modified=record.modified,
    )
