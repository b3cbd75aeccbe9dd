# SPDX-License-Identifier: Apache-2.0
"""Records in the database. Each function is a part of somebody's transaction."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from nova_multi.domain.errors import Conflict, Invalid, NameTaken, NotFound
from nova_multi.domain.permissions import Permissions
from nova_multi.provision.store import tables
from nova_multi.provision.store.values import Record

_records = tables.records.c

_FIELDS = (
    "kind",
    "uuid",
    "name",
    "scope",
    "project_id",
    "openstack_id",
    "data",
    "owner_id",
    "created",
    "modified",
    "task_uuid",
)


def add(connection: sa.Connection, record: Record) -> None:
    """Store a new record.

    :raises NameTaken: its scope has one of that kind and name.
    :raises Conflict: there is one with that uuid.
    """
    values = {field: getattr(record, field) for field in _FIELDS}
    values["data"] = dict(record.data)
    values["permissions"] = str(record.permissions)
    try:
        connection.execute(tables.records.insert(), values)
    except db_exception.DBDuplicateEntry as error:
        if _row(connection, record.kind, record.uuid) is not None:
            raise Conflict(
                f"{record.kind} {record.uuid} is there already",
                field="uuid",
                code="record_exists",
            ) from error
        raise _taken(record.kind, record.name) from error


def _taken(kind: str, name: str) -> NameTaken:
    article = "an" if kind[0] in "aeio" else "a"
    return NameTaken(f"there is already {article} {kind} called {name}")


def get(connection: sa.Connection, kind: str, uuid: str) -> Record:
    """A record by its uuid.

    :raises NotFound: there is none.
    """
    row = _row(connection, kind, uuid)
    if row is None:
        raise NotFound(f"there is no {kind} {uuid}")
    return _record(row)


def _row(
    connection: sa.Connection, kind: str, uuid: str, *, lock: bool = False
) -> sa.RowMapping | None:
    query = sa.select(tables.records).where(
        _records.kind == kind, _records.uuid == uuid
    )
    if lock:
        query = query.with_for_update()
    return connection.execute(query).mappings().one_or_none()


def _record(row: sa.RowMapping) -> Record:
    fields = {field: row[field] for field in _FIELDS}
    return Record(**fields, permissions=Permissions(row["permissions"]))


def update(
    connection: sa.Connection,
    kind: str,
    uuid: str,
    at: datetime.datetime,
    values: Mapping[str, Any],
    merge: Mapping[str, Any] | None,
    expected: Mapping[str, Any] | None = None,
) -> Record:
    """Change fields of a record.

    :param values: new values by field.
    :param merge: entries for ``data``, which keeps its others; None takes one away.
    :param expected: entries that ``data`` must have; None is none.
    :raises NotFound: there is no such record.
    :raises NameTaken: another one has the new name.
    :raises Conflict: somebody has changed what was expected.
    """
    row = check(connection, kind, uuid, expected or {})
    changed = {**values, "modified": at}
    if merge is not None:
        merged = {**changed.get("data", row["data"]), **merge}
        changed["data"] = {k: v for k, v in merged.items() if v is not None}
    try:
        connection.execute(
            tables.records.update().where(_records.id == row["id"]).values(**changed)
        )
    except db_exception.DBDuplicateEntry as error:
        raise _taken(kind, changed.get("name", row["name"])) from error
    return get(connection, kind, uuid)


def check(
    connection: sa.Connection, kind: str, uuid: str, expected: Mapping[str, Any]
) -> sa.RowMapping:
    """See that a record stays as it is until this transaction ends.

    :param expected: entries that ``data`` must have; None is none.
    :raises NotFound: there is no such record.
    :raises Conflict: somebody has changed what was expected.
    """
    row = _row(connection, kind, uuid, lock=True)
    if row is None:
        raise NotFound(f"there is no {kind} {uuid}")
    for key, value in expected.items():
        if row["data"].get(key) != value:
            raise Conflict(
                f"{kind} {row['name']} was changed by another request just now",
                code="changed",
            )
    return row


def put(connection: sa.Connection, record: Record, at: datetime.datetime) -> None:
    """Store a record; one of its kind, scope and name gets its data instead.

    :raises NameTaken: another transaction is storing one.
    """
    there = select(
        connection, record.kind, scopes=[record.scope], name=record.name, limit=1
    )
    if not there:
        add(connection, record)
    elif there[0].data != record.data:
        update(
            connection,
            record.kind,
            there[0].uuid,
            at,
            {"data": dict(record.data)},
            None,
        )


def delete(connection: sa.Connection, kind: str, uuid: str) -> bool:
    """Forget a record; False if there was none."""
    done = connection.execute(
        tables.records.delete().where(_records.kind == kind, _records.uuid == uuid)
    )
    return bool(done.rowcount)


def select(
    connection: sa.Connection,
    kind: str,
    *,
    uuids: Iterable[str] | None = None,
    scopes: Iterable[str] | None = None,
    name: str | None = None,
    called: str | None = None,
    project_ids: Iterable[str] | None = None,
    openstack_ids: Iterable[str] | None = None,
    task_uuid: str | None = None,
    limit: int | None = None,
    marker: str | None = None,
) -> list[Record]:
    """Records that fit everything that is given, in the order of their creation.

    :param called: a name, a UUID or an id of OpenStack.
    :param marker: uuid of the record after which the page begins.
    :raises Invalid: the marker is no record.
    """
    query = sa.select(tables.records).where(_records.kind == kind)
    query = query.order_by(_records.id)
    for column, values in (
        (_records.uuid, uuids),
        (_records.scope, scopes),
        (_records.project_id, project_ids),
        (_records.openstack_id, openstack_ids),
    ):
        if values is not None:
            query = query.where(column.in_(list(values)))
    if name is not None:
        query = query.where(_records.name == name)
    if called is not None:
        columns = [_records.name, _records.uuid]
        # Empty where there is none.
        columns += [_records.openstack_id] if called else []
        query = query.where(sa.or_(*(column == called for column in columns)))
    if task_uuid is not None:
        query = query.where(_records.task_uuid == task_uuid)
    if marker is not None:
        row = _row(connection, kind, marker)
        if row is None:
            raise Invalid(f"marker {marker!r:.80} is no {kind}", field="marker")
        query = query.where(_records.id > row["id"])
    if limit is not None:
        query = query.limit(limit)
    return [_record(row) for row in connection.execute(query).mappings()]
