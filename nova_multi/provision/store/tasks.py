# SPDX-License-Identifier: Apache-2.0
"""Tasks in the database. Each function is a part of somebody's transaction."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from oslo_db import exception as db_exception

from nova_multi.domain.errors import Conflict, Invalid, NotFound
from nova_multi.domain.task import (
    StatusChange,
    Task,
    TaskStatus,
    TaskType,
    in_order,
)
from nova_multi.provision.store import tables

#: Characters of a task's log that are kept; what comes later is left out.
LOG = logging.getLogger(__name__)

MAX_LOG = 1024 * 1024
LOG_CUT = "\n[the log is longer than is kept; the rest is left out]\n"
#: Characters of a message in a task's history.
MAX_MESSAGE = 4000
_MAX_REQUEST_ID = 255
#: UUIDs in one query: SQLite takes some 30,000 values, MariaDB's parser gets slow.
_AT_ONCE = 1000

_tasks = tables.tasks.c


def add(
    connection: sa.Connection,
    task: Task,
    payload: Mapping[str, Any],
    secret_refs: Sequence[str],
    due: datetime.datetime,
) -> None:
    """Store a new task.

    :raises Conflict: there is one with that uuid.
    """
    fields = {field: getattr(task, field) for field in _FIELDS}
    try:
        done = connection.execute(tables.tasks.insert(), fields)
    except db_exception.DBDuplicateEntry as error:
        raise Conflict(
            f"task {task.uuid} is there already", field="uuid", code="task_exists"
        ) from error
    task_id = cast(tuple[int], done.inserted_primary_key)[0]
    connection.execute(
        tables.task_work.insert(),
        {
            "task_id": task_id,
            "payload": dict(payload),
            "progress": {},
            "secret_refs": list(secret_refs),
            "fencing": 0,
            "worker": "",
            "due": due,
            "log_size": 0,
        },
    )
    for change in task.history:
        _add_change(connection, task_id, change)
    for request_id in dict.fromkeys(task.request_ids):
        _add_request_id(connection, task_id, request_id)
    if task.log:
        append_log(connection, task.uuid, task.log)


#: Fields of a task that have a column of the same name.
_FIELDS = (
    "uuid",
    "type",
    "object_kind",
    "object_uuid",
    "description",
    "status",
    "goal",
    "project_id",
    "user_id",
    "parent_uuid",
    "created",
    "last_update",
)


def row_id(connection: sa.Connection, uuid: str, *, lock: bool = False) -> int:
    """The task's number in the database.

    :param lock: nobody else changes the task until this transaction ends. Comes first
        in a transaction: what is read after it is then the newest state.
    :raises NotFound: there is no such task.
    """
    query = sa.select(_tasks.id).where(_tasks.uuid == uuid)
    if lock:
        query = query.with_for_update()
    found = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise NotFound(f"there is no task {uuid}", field="uuid")
    return int(found)


def get(connection: sa.Connection, uuid: str) -> Task:
    """A task with its log.

    :raises NotFound: there is no such task.
    :raises Conflict: it is of another release, and can't be read.
    """
    task_id = row_id(connection, uuid)
    found = load(connection, [task_id], skip_unknown=True)
    if not found:
        raise Conflict(f"task {uuid} is of another release of this service")
    (task,) = found
    log = tables.task_log.c
    texts = connection.execute(
        sa.select(log.text).where(log.task_id == task_id).order_by(log.id)
    ).scalars()
    return dataclasses.replace(task, log="".join(texts))


def load(
    connection: sa.Connection, ids: Sequence[int], *, skip_unknown: bool = False
) -> list[Task]:
    """Tasks by their numbers and in that order, without logs; three queries.

    :param skip_unknown: whether one of another release is left out.
    :raises ValueError: one has a type or a status that is not known here.
    """
    if not ids:
        return []
    rows = connection.execute(sa.select(tables.tasks).where(_tasks.id.in_(ids)))
    by_id = {row["id"]: dict(row) for row in rows.mappings()}
    history: defaultdict[int, list[tuple[str, Any, str]]] = defaultdict(list)
    c = tables.task_history.c
    for task_id, status, at, message in connection.execute(
        sa.select(c.task_id, c.status, c.at, c.message).where(c.task_id.in_(ids))
    ):
        history[task_id].append((status, at, message))
    request_ids: defaultdict[int, list[str]] = defaultdict(list)
    r = tables.task_request_ids.c
    for task_id, request_id in connection.execute(
        sa.select(r.task_id, r.request_id).where(r.task_id.in_(ids)).order_by(r.id)
    ):
        request_ids[task_id].append(request_id)
    found = []
    for task_id in ids:
        if task_id not in by_id:
            continue
        try:
            task = _task(by_id[task_id], history[task_id])
        except ValueError:
            if not skip_unknown:
                raise
            LOG.warning("task %s is of another release", by_id[task_id]["uuid"])
            continue
        ids_of_requests = tuple(request_ids[task_id])
        found.append(dataclasses.replace(task, request_ids=ids_of_requests))
    return found


def _task(row: Mapping[str, Any], history: Iterable[tuple[str, Any, str]]) -> Task:
    fields = {field: row[field] for field in _FIELDS}
    fields["type"] = TaskType(fields["type"])
    fields["status"] = TaskStatus(fields["status"])
    fields["goal"] = TaskStatus(fields["goal"])
    changes = [StatusChange(TaskStatus(word), at, text) for word, at, text in history]
    return Task(**fields, history=in_order(changes))


def ends(connection: sa.Connection, uuids: Iterable[str]) -> dict[str, bool | None]:
    """Those of these tasks that have ended, and whether they reached their goal.

    None for one that is forgotten, which only one that has ended can be.
    """
    wanted = list(uuids)
    found: dict[str, bool | None] = dict.fromkeys(wanted)
    for start in range(0, len(wanted), _AT_ONCE):
        query = sa.select(_tasks.uuid, _tasks.status, _tasks.goal).where(
            _tasks.uuid.in_(wanted[start : start + _AT_ONCE])
        )
        for uuid, status, goal in connection.execute(query):
            if status == goal or TaskStatus(status).is_final:
                found[uuid] = status == goal
            else:
                del found[uuid]
    return found


def page(
    *,
    project_ids: Iterable[str] | None,
    status: TaskStatus | None,
    type: TaskType | None,
    object_uuid: str | None,
    parent_uuid: str | None,
    before: int | None,
    limit: int,
) -> sa.Select[tuple[int]]:
    """Query for the numbers of a page of tasks, newest first.

    Only of numbers, so that the database answers from an index: with several projects
    it must sort, and does not have to sort whole rows.
    """
    query = sa.select(_tasks.id).order_by(_tasks.id.desc()).limit(limit)
    if project_ids is not None:
        query = query.where(_tasks.project_id.in_(list(project_ids)))
    for column, value in (
        (_tasks.status, status),
        (_tasks.type, type),
        (_tasks.object_uuid, object_uuid),
        (_tasks.parent_uuid, parent_uuid),
    ):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(_tasks.id < before)
    return query


def marker_id(connection: sa.Connection, marker: str | None) -> int | None:
    """The number of the task after which a page begins.

    :raises Invalid: there is no such task.
    """
    if marker is None:
        return None
    try:
        return row_id(connection, marker)
    except NotFound as error:
        raise Invalid(f"marker {marker!r:.80} is no task", field="marker") from error


def advance(
    connection: sa.Connection,
    task_id: int,
    status: TaskStatus,
    message: str,
    at: datetime.datetime,
) -> Task:
    """Move a locked task on (:meth:`Task.advanced`).

    :raises Conflict: the status can't follow.
    """
    (task,) = load(connection, [task_id])
    moved = task.advanced(status, at, _storable(message))
    if moved is task:
        return task
    (change,) = set(moved.history) - set(task.history)
    _add_change(connection, task_id, change)
    connection.execute(
        tables.tasks.update()
        .where(_tasks.id == task_id)
        .values(status=moved.status, last_update=moved.last_update)
    )
    return moved


def set_message(
    connection: sa.Connection,
    task_id: int,
    status: TaskStatus,
    message: str,
    at: datetime.datetime,
) -> None:
    """Change what the line of a status in a locked task's history says."""
    c = tables.task_history.c
    connection.execute(
        tables.task_history.update()
        .where(c.task_id == task_id, c.status == status)
        .values(message=_storable(message))
    )
    connection.execute(
        tables.tasks.update().where(_tasks.id == task_id).values(last_update=at)
    )


def _storable(message: str) -> str:
    """A message without halves of surrogates, which no database takes."""
    return message[:MAX_MESSAGE].encode("utf-8", "replace").decode()


def _add_change(connection: sa.Connection, task_id: int, change: StatusChange) -> None:
    connection.execute(
        tables.task_history.insert(),
        {
            "task_id": task_id,
            "status": change.status,
            "at": change.at,
            "message": _storable(change.message),
        },
    )


def set_object(connection: sa.Connection, task_id: int, object_uuid: str) -> None:
    """Say what the task works on, where that was not known when it was accepted."""
    connection.execute(
        tables.tasks.update()
        .where(_tasks.id == task_id)
        .values(object_uuid=object_uuid)
    )


def append_log(connection: sa.Connection, uuid: str, text: str) -> None:
    """Add to a task's log, up to MAX_LOG.

    :raises NotFound: there is no such task.
    """
    work = tables.task_work.c
    task_id = row_id(connection, uuid, lock=True)
    size = connection.execute(
        sa.select(work.log_size).where(work.task_id == task_id)
    ).scalar_one()
    if not text or size > MAX_LOG:
        return
    room = MAX_LOG - size
    kept = text if len(text) <= room else text[:room] + LOG_CUT
    connection.execute(tables.task_log.insert().values(task_id=task_id, text=kept))
    connection.execute(
        tables.task_work.update()
        .where(work.task_id == task_id)
        .values(log_size=size + len(text))
    )


def add_request_id(connection: sa.Connection, uuid: str, request_id: str) -> None:
    """Remember a request of this task; one that is known already is no error.

    :raises NotFound: there is no such task.
    """
    task_id = row_id(connection, uuid, lock=True)
    request_id = request_id[:_MAX_REQUEST_ID]
    r = tables.task_request_ids.c
    known = connection.execute(
        sa.select(r.id).where(r.task_id == task_id, r.request_id == request_id)
    ).first()
    if known is None:
        _add_request_id(connection, task_id, request_id)


def _add_request_id(connection: sa.Connection, task_id: int, request_id: str) -> None:
    connection.execute(
        tables.task_request_ids.insert(),
        {"task_id": task_id, "request_id": request_id[:_MAX_REQUEST_ID]},
    )


def purge(connection: sa.Connection, before: datetime.datetime, limit: int) -> int:
    """Forget finished tasks of which nothing was heard since; how many there were."""
    work = tables.task_work.c
    old = (
        sa.select(_tasks.id)
        .join(tables.task_work, work.task_id == _tasks.id)
        .where(work.due.is_(None), _tasks.last_update < before)
        .order_by(_tasks.id)
        .limit(limit)
    )
    ids = connection.execute(old).scalars().all()
    if ids:
        connection.execute(tables.tasks.delete().where(_tasks.id.in_(ids)))
    return len(ids)


def delete(connection: sa.Connection, uuid: str) -> None:
    """Forget a task that is finished.

    :raises NotFound: there is no such task.
    :raises Conflict: it isn't finished, or its worker is still at it.
    """
    task_id = row_id(connection, uuid, lock=True)
    (task,) = load(connection, [task_id])
    work = tables.task_work.c
    due = connection.execute(
        sa.select(work.due).where(work.task_id == task_id)
    ).scalar_one()
    if not task.is_final or due is not None:
        raise Conflict(
            f"task {uuid} is {task.status}: only finished tasks can be deleted",
            code="task_not_finished",
        )
    connection.execute(tables.tasks.delete().where(_tasks.id == task_id))
