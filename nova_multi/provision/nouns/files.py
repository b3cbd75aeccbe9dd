# SPDX-License-Identifier: Apache-2.0
"""Files with their content."""

from __future__ import annotations

from typing import BinaryIO

from nova_multi.domain.errors import NameTaken
from nova_multi.domain.file import File
from nova_multi.domain.names import Kind
from nova_multi.provision import uploads
from nova_multi.provision.nouns.base import Noun, attributes, page
from nova_multi.provision.service import Caller, Fields, Page, Query, Scope
from nova_multi.provision.store import Record

_FILTERS = attributes("name", "folder_name")


class Files(Noun):
    """See :class:`nova_multi.provision.service.Files`."""

    def list(self, caller: Caller, query: Query) -> Page[File]:
        """Files that the caller may see."""
        records = self._find.shared(Kind.FILE, caller, query.scope)
        return page(map(_value, records), query, lambda each: each.name, _FILTERS)

    def show(self, caller: Caller, name: str, scope: Scope) -> File:
        """One of them."""
        return _value(self._find.one_shared(Kind.FILE, caller, name, scope))

    def create(
        self, caller: Caller, fields: Fields, content: BinaryIO, scope: Scope
    ) -> File:
        """Keep a file."""
        partition, environment = self._home(caller, scope)
        within = partition.uuid if partition else caller.project_id
        project_id = environment.openstack_id if environment else caller.project_id
        name = fields["name"]
        # Nobody fills the disk with what could not be called anything.
        if self._store.list_records(Kind.FILE, scope=within, name=name):
            raise NameTaken(f"there is already a file called {name}")
        # The content comes first: a name never stands for nothing.
        checksum, size = uploads.put(self._tools, project_id, content)
        record = self._keep(
            self._new(
                Kind.FILE,
                name,
                caller,
                scope=within,
                project_id=project_id,
                data={
                    "folder_name": fields.get("folder_name") or "",
                    "checksum": checksum,
                    "size": size,
                },
                permissions=fields.get("permissions"),
            )
        )
        self._audit(caller, "create", record)
        return _value(record)

    def change(
        self,
        caller: Caller,
        name: str,
        fields: Fields,
        content: BinaryIO | None,
        scope: Scope,
    ) -> File:
        """Replace what is given."""
        record = self._find.one_shared(Kind.FILE, caller, name, scope, "w")
        changes = {}
        if "folder_name" in fields:
            changes["folder_name"] = fields["folder_name"] or ""
        if content is not None:
            checksum, size = uploads.put(
                self._tools, record.project_id, content, record.data.get("size", 0)
            )
            changes |= {"checksum": checksum, "size": size}
        record = self._store.update_record(
            Kind.FILE,
            record.uuid,
            name=fields.get("name"),
            merge=changes,
            permissions=fields.get("permissions"),
        )
        self._audit(caller, "update", record)
        return _value(record)

    def delete(self, caller: Caller, name: str, scope: Scope) -> None:
        """Forget it; its content is swept away when nobody names it any more."""
        record = self._find.one_shared(Kind.FILE, caller, name, scope, "w")
        self._store.delete_record(Kind.FILE, record.uuid)
        self._audit(caller, "delete", record)

    def open(self, caller: Caller, name: str, scope: Scope) -> tuple[File, BinaryIO]:
        """A file and its content, which the caller closes."""
        file = self.show(caller, name, scope)
        return file, self._tools.files.open(file.checksum)


def _value(record: Record) -> File:
    data = record.data
    return File(
        uuid=record.uuid,
        name=record.name,
        folder_name=data.get("folder_name", ""),
        permissions=record.permissions,
        size=data.get("size", 0),
        checksum=data.get("checksum", ""),
        owner_id=record.owner_id,
        project_id=record.project_id,
        created=record.created,
        modified=record.modified,
    )
