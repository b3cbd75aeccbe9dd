# SPDX-License-Identifier: Apache-2.0
"""Instances and what is done with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nova_multi.cloud.values import Server
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.host import HostType
from nova_multi.domain.instance import (
    Instance,
)
from nova_multi.domain.names import Kind, check_name
from nova_multi.domain.publish import Publish, assign
from nova_multi.domain.task import TaskStatus, TaskType
from nova_multi.provision import publishing
from nova_multi.provision.nouns.base import (
    attributes,
    not_yet,
    page,
    texts,
    work_on,
)
from nova_multi.provision.nouns.making import Batch, Making
from nova_multi.provision.service import (
    Accepted,
    Caller,
    Fields,
    Page,
    Pick,
    Query,
    Scope,
)
from nova_multi.provision.store import Record

_FILTERS = {
    **attributes(
        "name", "provisioner", "driver", "host_type", "status", "host", "environment"
    ),
    "tag": lambda each: each.tags,
}
_BUILDING = "BUILD"
_GONE = "DELETED"
#: Tasks of an instance, newest first, among which are all that go on.
_LOOKED_AT = 50


class Instances(Making):
    """See :class:`nova_multi.provision.service.Instances`."""

    # -- reading

    def list(self, caller: Caller, query: Query) -> Page[Instance]:
        """Instances that the caller may see; as many requests for one as for 1,000."""
        records = self._find.instances(caller, query.scope)
        return page(self._values(records), query, lambda each: each.name, _FILTERS)

    def show(self, caller: Caller, name: str, scope: Scope) -> Instance:
        """One of them."""
        record = self._find.instance(caller, name, scope)
        (value,) = self._values([record], one=True)
        return value

    def _values(
        self, records: Sequence[Record], *, one: bool = False
    ) -> Sequence[Instance]:
        environments = {
            each.uuid: each
            for each in self._store.list_records(Kind.ENVIRONMENT)
            if any(record.scope == each.uuid for record in records[:1]) or not one
        }
        servers = self._servers(records, environments, one)
        suffixes = sorted(self._tools.settings.suffixes.values(), key=len, reverse=True)
        return [
            _value(
                record,
                environments.get(record.scope),
                servers.get(record.openstack_id),
                suffixes,
            )
            for record in records
        ]

    def _servers(
        self, records: Sequence[Record], environments: Mapping[str, Record], one: bool
    ) -> Mapping[str, Server]:
        known = [each for each in records if each.openstack_id]
        if not known:
            return {}
        if one:
            clouds = self._tools.clouds
            # Nova tells the host to administrators only.
            cloud = clouds.project("") if clouds.is_single else clouds.admin()
            try:
                server = cloud.servers.server(known[0].openstack_id)
            except NotFound:
                return {}
            return {server.id: server}
        if self._tools.single:
            found = self._tools.clouds.project("").servers.servers()
        else:
            projects = {environments[each.scope].openstack_id for each in known}
            found = self._tools.clouds.admin().servers.servers(project_ids=projects)
        return {server.id: server for server in found}

    # -- changing

    def change(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Instance | Accepted:
        """Change what is known here and in Nova at once; published ports by a task."""
        before = self._find.instance(caller, name, scope, "w")
        record = before
        for field in ("memory_mb", "cpus", "disk_mb"):
            if fields.get(field) is not None and not _same_size(record, field, fields):
                raise not_yet("another size for an instance that is there")
        changes = {
            key: fields[key]
            for key in ("description", "variables", "tags")
            if key in fields
        }
        for key, value in changes.items():
            changes[key] = list(value or ()) if key == "tags" else value
        environment = self._store.record(Kind.ENVIRONMENT, record.scope)
        if "publish" in fields:
            self._check_idle(record)
            self._check_ports(record, fields["publish"] or ())
        record = self._store.update_record(
            Kind.INSTANCE,
            record.uuid,
            name=fields.get("name"),
            merge=changes,
            permissions=fields.get("permissions"),
        )
        if record.openstack_id and (fields.get("name") or "description" in fields):
            with self._put_back(before, changes):
                self._tools.of_environment(environment).servers.rename(
                    record.openstack_id, fields.get("name"), fields.get("description")
                )
        if "publish" not in fields:
            self._audit(caller, "update", record)
            return self.show(caller, record.uuid, scope)
        payload = {
            "environment": environment.uuid,
            "partition": environment.scope,
            "publish": texts(fields["publish"]),
        }
        task = self._task(caller, TaskType.UPDATE_INSTANCE, record)
        self._store.accept_on(
            # What was free of work when it was looked at must be so still.
            before,
            {"changing": task.uuid},
            ("changing", "deleting"),
            task,
            work_on(record, caller, payload),
        )
        return self._accepted(caller, task, record)

    def _check_idle(self, record: Record) -> None:
        """See that no task is at it: published ports can't be changed by two at once.

        :raises Conflict: one is.
        """
        if record.data.get("deleting"):
            raise Conflict(f"instance {record.name} is being deleted")
        tasks = self._store.tasks(
            None, object_uuid=record.openstack_id or record.uuid, limit=_LOOKED_AT
        )
        for task in tasks:
            if not task.is_final:
                raise Conflict(
                    f"instance {record.name} is being worked on: wait for task"
                    f" {task.uuid} ({task.type})"
                )

    def _check_ports(self, record: Record, wanted: Sequence[Publish]) -> None:
        if not record.data.get("ports"):
            raise Conflict(f"instance {record.name} is being made: wait for its task")
        taken = publishing.taken(self._tools, record.scope)
        others = {
            place: holder
            for place, holder in taken.items()
            if holder != f"instance {record.name}"
        }
        assign([each for each in wanted if each.outside is not None], others)

    def delete(self, caller: Caller, name: str, scope: Scope) -> Accepted:
        """Delete it; what makes it just now is taken back."""
        record = self._find.instance(caller, name, scope, "w")
        accepted = self._accept_delete(
            caller, TaskType.DELETE_INSTANCE, record, {"environment": record.scope}
        )
        if record.data.get("creating"):
            self._tools.signals.wake(record.task_uuid)
        return accepted

    def start(self, caller: Caller, name: str, scope: Scope) -> Accepted:
        """Start it."""
        return self._power(caller, name, scope, TaskType.START_INSTANCE)

    def stop(self, caller: Caller, name: str, scope: Scope) -> Accepted:
        """Stop it."""
        return self._power(caller, name, scope, TaskType.STOP_INSTANCE)

    def restart(self, caller: Caller, name: str, scope: Scope) -> Accepted:
        """Restart it."""
        return self._power(caller, name, scope, TaskType.RESTART_INSTANCE)

    def _power(
        self, caller: Caller, name: str, scope: Scope, type: TaskType
    ) -> Accepted:
        record = self._usable(caller, name, scope)
        payload = {"environment": record.scope}
        return self._accept(caller, type, record, payload)

    def _usable(self, caller: Caller, name: str, scope: Scope) -> Record:
        record = self._find.instance(caller, name, scope, "x")
        if record.data.get("deleting"):
            raise Conflict(f"instance {record.name} is being deleted")
        if not record.openstack_id:
            raise Conflict(f"instance {record.name} is being made: wait for its task")
        return record

    def clone(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Accepted:
        """Make another one from a snapshot of it; its ports aren't published again."""
        source = self._usable(caller, name, scope)
        environment = self._store.record(Kind.ENVIRONMENT, source.scope)
        new_name = fields.get("name") or self._free_name(source)
        check_name(Kind.INSTANCE, new_name)
        data = source.data
        size = {key: data[key] for key in ("cpus", "memory_mb", "disk_gb")}
        kept = {
            key: data[key]
            for key in (
                "description",
                "provisioner",
                "host_type",
                "driver",
                "tags",
                "networks",
                "variables",
            )
            if key in data
        }
        payload = {
            "environment": environment.uuid,
            "partition": environment.scope,
            "source": source.openstack_id,
            "image": data.get("image", ""),
            "size": size,
            "driver": data["driver"],
            "host_type": data.get("host_type"),
            "description": data.get("description", ""),
            "networks": self._networks(data, environment),
        }
        image = data.get("image", "")
        batch = Batch(
            names=[new_name],
            data={**kept, **size, "creating": True, "image": image},
            payload=payload,
            goal=TaskStatus.CREATED,
            permissions=source.permissions,
        )
        type = TaskType.CLONE_INSTANCE
        return self.accept_all(caller, type, [batch], environment, {})

    def _free_name(self, source: Record) -> str:
        used = {
            each.name
            for each in self._store.list_records(Kind.INSTANCE, scope=source.scope)
        }
        stem = source.name[:50]
        return next(
            name
            for number in range(1, len(used) + 2)
            if (name := f"{stem}-clone-{number}") not in used
        )

    def execute(
        self, caller: Caller, command: str, picks: Sequence[Pick], scope: Scope
    ) -> Accepted:
        """To come."""
        raise not_yet("running commands in instances")

    def copy(
        self,
        caller: Caller,
        source: Fields,
        destination: str,
        picks: Sequence[Pick],
        scope: Scope,
    ) -> Accepted:
        """To come."""
        raise not_yet("copying files into instances")


def _same_size(record: Record, field: str, fields: Fields) -> bool:
    if field == "disk_mb":
        return bool(record.data.get("disk_gb", 0) * 1024 == fields[field])
    return bool(record.data.get(field) == fields[field])


def _value(
    record: Record,
    environment: Record | None,
    server: Server | None,
    suffixes: Iterable[str],
) -> Instance:
    data = record.data
    kind = data.get("host_type")
    driver = data.get("driver")
    status = _BUILDING if data.get("creating") else _GONE
    host = ""
    if server:
        status = server.status
        host = server.host or ""
    for suffix in suffixes:
        host = host.removesuffix(suffix)
    return Instance(
        uuid=record.openstack_id or record.uuid,
        name=record.name,
        environment=environment.name if environment else "",
        description=data.get("description") or "",
        memory_mb=data.get("memory_mb", 0),
        cpus=data.get("cpus", 0),
        disk_gb=data.get("disk_gb", 0),
        provisioner=data.get("provisioner", ""),
        host_type=HostType(kind) if kind else None,
        driver=Driver(driver) if driver else None,
        permissions=record.permissions,
        publish=tuple(map(Publish.parse, data.get("publish", ()))),
        networks=tuple(data.get("networks", ())),
        variables=data.get("variables") or {},
        tags=tuple(data.get("tags", ())),
        status=status,
        addresses=tuple(each.address for each in server.addresses) if server else (),
        host=host,
        published=tuple(map(Publish.parse, data.get("published", ()))),
        outputs=data.get("outputs") or {},
        owner_id=record.owner_id,
        project_id=environment.openstack_id if environment else "",
        created=record.created,
        modified=record.modified,
    )
