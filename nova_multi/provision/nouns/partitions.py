# SPDX-License-Identifier: Apache-2.0
"""Partitions and the hosts in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nova_multi.domain.host import Host
from nova_multi.domain.names import Kind
from nova_multi.domain.partition import Partition
from nova_multi.domain.task import TaskType
from nova_multi.provision import contents, limits
from nova_multi.provision.machines import machines
from nova_multi.provision.nouns.base import Noun, attributes, limited_by_cloud, page
from nova_multi.provision.service import Accepted, Caller, Fields, Page, Query, Scope
from nova_multi.provision.steps import host as host_steps
from nova_multi.provision.store import Record

_FILTERS = attributes("name", "description")


class Partitions(Noun):
    """See :class:`nova_multi.provision.service.Partitions`."""

    def list(self, caller: Caller, query: Query) -> Page[Partition]:
        """Partitions that the caller may see."""
        records = self._find.partitions(caller)
        hosts = self._hosts_by_partition()
        values = [partition_value(each, hosts.get(each.name, ())) for each in records]
        return page(values, query, lambda each: each.name, _FILTERS)

    def show(self, caller: Caller, name: str, scope: Scope) -> Partition:
        """One of them."""
        record = self._find.partition(caller, name)
        return partition_value(record, self._hosts_by_partition().get(record.name, ()))

    def create(self, caller: Caller, fields: Fields, scope: Scope) -> Accepted:
        """Make a project for it; an aggregate comes with its first host."""
        task_uuid = self._tools.new_uuid()
        description = fields.get("description") or ""
        self._check_limits_are_known(fields)
        record = self._new(
            Kind.PARTITION,
            fields["name"],
            caller,
            data={
                "state": "creating",
                "description": description,
                limits.KEY: limits.written(fields.get("limits")),
            },
            task_uuid=task_uuid,
        )
        payload = {"partition": record.uuid, "description": description}
        return self._accept_new(caller, TaskType.CREATE_PARTITION, record, payload)

    def change(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Partition:
        """Change name or description, here and in Keystone."""
        before = self._find.partition(caller, name)
        changes = {k: v or "" for k, v in fields.items() if k == "description"}
        merge: dict[str, Any] = dict(changes)
        self._check_limits_are_known(fields)
        if "limits" in fields:
            limits.check(self._store, before, of_partition=fields["limits"])
            merge[limits.KEY] = limits.written(fields["limits"])
        record = self._store.update_record(
            Kind.PARTITION, before.uuid, name=fields.get("name"), merge=merge
        )
        with self._put_back(before, merge):
            # An environment may have come in between.
            limits.check(self._store, record)
            if record.openstack_id and changes and not self._tools.single:
                self._tools.clouds.manager().identity.update_project(
                    record.openstack_id, **changes
                )
        self._audit(caller, "update", record)
        return self.show(caller, record.uuid, scope)

    def delete(self, caller: Caller, name: str, scope: Scope) -> Accepted:
        """Delete it if it is empty."""
        record = self._find.partition(caller, name)
        self._check_made(record)
        contents.check_empty(self._store, record)
        payload = {
            "partition": record.uuid,
            # What another try has left half-way is not to be used again.
            "state": "ready" if record.data.get("state") == "ready" else "error",
        }
        return self._accept_delete(
            caller, TaskType.DELETE_PARTITION, record, payload, state="deleting"
        )

    def hosts(self, caller: Caller, name: str) -> Sequence[Host]:
        """The hosts in it."""
        record = self._find.partition(caller, name)
        found = machines(self._tools).hosts()
        return [host for host in found if host.partition == record.name]

    def add_host(self, caller: Caller, name: str, hostname: str) -> Accepted | None:
        """Put a machine into it, with all its hypervisors."""
        record = self._find.partition(caller, name)
        machine = machines(self._tools).named(hostname, age=0)
        inside = set(machine.aggregate.hosts) if machine.aggregate else set()
        if machine.partition == record.uuid and inside >= set(machine.compute_hosts):
            return None
        host_steps.check(self._tools, record.uuid, machine)
        payload = {"partition": record.uuid, "host": machine.name}
        return self._accept(
            caller,
            TaskType.ADD_HOST,
            record,
            payload,
            description=f"add host {machine.name} to partition {record.name}",
        )

    def remove_host(self, caller: Caller, name: str, hostname: str) -> Accepted | None:
        """Take a machine out of it; what runs there goes on."""
        record = self._find.partition(caller, name)
        machine = machines(self._tools).named(hostname, age=0)
        if machine.partition != record.uuid:
            return None
        payload = {"partition": record.uuid, "host": machine.name}
        return self._accept(
            caller,
            TaskType.REMOVE_HOST,
            record,
            payload,
            description=f"remove host {machine.name} from partition {record.name}",
        )

    def _check_limits_are_known(self, fields: Fields) -> None:
        if fields.get("limits") and self._tools.single:
            raise limited_by_cloud()

    def _hosts_by_partition(self) -> dict[str, tuple[str, ...]]:
        if self._tools.single:
            return {}
        found: dict[str, tuple[str, ...]] = {}
        for host in machines(self._tools).hosts():
            if host.partition:
                found[host.partition] = (*found.get(host.partition, ()), host.name)
        return found


def partition_value(record: Record, hosts: Sequence[str]) -> Partition:
    """A record as users see it."""
    return Partition(
        uuid=record.openstack_id or record.uuid,
        name=record.name,
        description=record.data.get("description", ""),
        hosts=tuple(hosts),
        limits=limits.read(record.data),
        created=record.created,
        modified=record.modified,
    )
