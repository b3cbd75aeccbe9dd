# SPDX-License-Identifier: Apache-2.0
"""Provisioners: our own, OpenStack has no home for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid
from nova_multi.domain.names import Kind
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.provisioner import Provisioner, check, in_order
from nova_multi.provision import guest
from nova_multi.provision.nouns.base import Noun, attributes, page
from nova_multi.provision.service import Caller, Fields, Page, Query, Scope
from nova_multi.provision.store import Record

_FILTERS = attributes("name", "description", "image", "driver", "tag", "builder")
_DATA = (
    "description",
    "launch",
    "memory_mb",
    "cpus",
    "hdsize_gb",
    "image",
    "driver",
    "builder",
    "ref",
    "script",
    "executor",
    "timeout",
    "tag",
    "depends",
    "variables",
)


class Provisioners(Noun):
    """See :class:`nova_multi.provision.service.Service.provisioners`."""

    def list(self, caller: Caller, query: Query) -> Page[Provisioner]:
        """Provisioners that the caller may see."""
        records = self._find.shared(Kind.PROVISIONER, caller, query.scope)
        return page(map(value, records), query, lambda each: each.name, _FILTERS)

    def show(self, caller: Caller, name: str, scope: Scope) -> Provisioner:
        """One of them."""
        return value(self._find.one_shared(Kind.PROVISIONER, caller, name, scope))

    def create(self, caller: Caller, fields: Fields, scope: Scope) -> Provisioner:
        """Keep one."""
        partition, environment = self._home(caller, scope)
        data = _data(fields)
        self._check(caller, Provisioner("", fields["name"], **_fields(data)), scope)
        record = self._keep(
            self._new(
                Kind.PROVISIONER,
                fields["name"],
                caller,
                scope=partition.uuid if partition else caller.project_id,
                project_id=environment.openstack_id
                if environment
                else caller.project_id,
                data=data,
                permissions=fields.get("permissions"),
            )
        )
        self._audit(caller, "create", record)
        return value(record)

    def change(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Provisioner:
        """Change the fields that are given; what was made with it stays as it is."""
        record = self._find.one_shared(Kind.PROVISIONER, caller, name, scope, "w")
        data = {**record.data, **_data(fields)}
        new_name = fields.get("name") or record.name
        self._check(caller, Provisioner("", new_name, **_fields(data)), scope)
        record = self._store.update_record(
            Kind.PROVISIONER,
            record.uuid,
            name=fields.get("name"),
            data={key: each for key, each in data.items() if each is not None},
            permissions=_permissions(fields),
        )
        self._audit(caller, "update", record)
        return value(record)

    def delete(self, caller: Caller, name: str, scope: Scope) -> None:
        """Forget it."""
        record = self._find.one_shared(Kind.PROVISIONER, caller, name, scope, "w")
        self._store.delete_record(Kind.PROVISIONER, record.uuid)
        self._audit(caller, "delete", record)

    def _check(self, caller: Caller, wanted: Provisioner, scope: Scope) -> None:
        check(wanted)
        longest = self._tools.settings.script_timeout
        if wanted.timeout and wanted.timeout > longest:
            raise Invalid(
                f"provisioner {wanted.name}: timeout must be at most {longest:.0f},"
                " the seconds that the operator allows",
                field="timeout",
            )
        if wanted.runs_something:
            ways = self._tools.settings.ways
            guest.check(guest.script_of(wanted), wanted.variables, ways)
        if wanted.depends:
            seen = self._find.shared(Kind.PROVISIONER, caller, scope)
            known = {each.name: value(each) for each in seen}
            in_order([wanted.name], {**known, wanted.name: wanted})


def _permissions(fields: Fields) -> Permissions | None:
    if "permissions" not in fields:
        return None
    found: Permissions = fields["permissions"] or Permissions()
    return found


def _data(fields: Fields) -> dict[str, Any]:
    """What is kept, as JSON takes it."""
    data = {key: fields[key] for key in _DATA if key in fields}
    if data.get("driver") is not None:
        data["driver"] = str(data["driver"])
    if "depends" in data:
        data["depends"] = list(data["depends"] or ())
    if "variables" in data:
        data["variables"] = dict(data["variables"] or {})
    return data


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    known = {field.name for field in dataclasses.fields(Provisioner)}
    found = {k: v for k, v in data.items() if k in known and v is not None}
    if "driver" in found:
        found["driver"] = Driver(found["driver"])
    if "depends" in found:
        found["depends"] = tuple(found["depends"])
    return found


def value(record: Record) -> Provisioner:
    """A record as users see it."""
    try:
        return Provisioner(
            uuid=record.uuid,
            name=record.name,
            **_fields(record.data),
            permissions=record.permissions,
            owner_id=record.owner_id,
            project_id=record.project_id,
            created=record.created,
            modified=record.modified,
        )
    except ValueError as error:
        raise Invalid(f"provisioner {record.name} is damaged: {error}") from error
