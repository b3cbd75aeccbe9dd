# SPDX-License-Identifier: Apache-2.0
"""Leases: which worker owns which task. Each function is a part of a transaction.

A lease ends by itself, so a worker that dies hands its tasks to the others. One that
only seemed dead finds its number outdated: each claim counts up, and every change of an
owner's names the number that it was given.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from nova_multi.domain.errors import Conflict
from nova_multi.domain.task import Task, TaskStatus
from nova_multi.provision.store import tables, tasks
from nova_multi.provision.store.errors import Fenced
from nova_multi.provision.store.values import ClaimedTask

LOG = logging.getLogger(__name__)

_work = tables.task_work.c


def due_work(now: datetime.datetime, limit: int) -> sa.Select[tuple[int, int]]:
    """Query for tasks that may be claimed: number and fencing number, oldest first."""
    return (
        sa.select(_work.task_id, _work.fencing)
        .where(_work.due <= now)
        .order_by(_work.due, _work.task_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


def claim(
    connection: sa.Connection,
    worker: str,
    limit: int,
    seconds: float,
    now: datetime.datetime,
) -> list[ClaimedTask]:
    """Make a worker the owner of up to ``limit`` tasks.

    One that can't be read is left out: another worker, of another release, may know it
    after the lease.
    """
    until = now + datetime.timedelta(seconds=seconds)
    claimed = {}
    for task_id, fencing in connection.execute(due_work(now, limit)).all():
        done = connection.execute(
            tables.task_work.update()
            .where(
                _work.task_id == task_id,
                # Nobody else was quicker, whatever locks the database knows.
                _work.fencing == fencing,
                _work.due <= now,
            )
            .values(fencing=fencing + 1, worker=worker, due=until)
        )
        if done.rowcount:
            claimed[task_id] = fencing + 1
    try:
        return _read(connection, claimed, until)
    except (TypeError, ValueError):
        pass
    # One that can't be read must not keep the others from being done.
    found = []
    for task_id, fencing in claimed.items():
        try:
            found += _read(connection, {task_id: fencing}, until)
        except (TypeError, ValueError):
            LOG.exception("task number %s can't be read: it is left out", task_id)
    return found


def _read(
    connection: sa.Connection, claimed: Mapping[int, int], until: datetime.datetime
) -> list[ClaimedTask]:
    """Claimed tasks by their numbers, with the claims' fencing numbers.

    :raises ValueError: one has a type, a status or a payload that is not known here.
    :raises TypeError: the same.
    """
    found = connection.execute(
        sa.select(
            _work.task_id, _work.payload, _work.progress, _work.secret_refs
        ).where(_work.task_id.in_(claimed))
    )
    work = {row.task_id: row for row in found}
    return [
        ClaimedTask(
            task=task,
            payload=work[task_id].payload,
            progress=work[task_id].progress,
            secret_refs=tuple(work[task_id].secret_refs),
            fencing=claimed[task_id],
            leased_until=until,
        )
        for task_id, task in zip(
            claimed, tasks.load(connection, [*claimed]), strict=True
        )
    ]


def check_owner(connection: sa.Connection, task_id: int, fencing: int) -> None:
    """See that a claim still holds, and that it will until this transaction ends.

    A lease that has run out holds as long as nobody else has claimed the task.

    :raises Fenced: it doesn't.
    """
    row = connection.execute(
        sa.select(_work.fencing, _work.worker)
        .where(_work.task_id == task_id)
        .with_for_update()
    ).one()
    if row.fencing != fencing:
        raise Fenced(f"claim {fencing} of a task is outdated by claim {row.fencing}")
    if not row.worker:
        raise Fenced(f"claim {fencing} of a task was given back")


def renew(
    connection: sa.Connection, uuid: str, fencing: int, until: datetime.datetime
) -> None:
    """Own a task for longer.

    :raises Fenced: it is somebody else's.
    """
    _change(connection, uuid, fencing, due=until)


def save_progress(
    connection: sa.Connection,
    uuid: str,
    fencing: int,
    progress: Mapping[str, Any],
    log: str = "",
) -> None:
    """Keep what the next owner has to know, and what is to be told of it.

    :param log: for the task's log: it is there exactly if the progress says so.
    :raises Fenced: the task is somebody else's.
    """
    _change(connection, uuid, fencing, progress=dict(progress))
    if log:
        tasks.append_log(connection, uuid, log)


def release(
    connection: sa.Connection, uuid: str, fencing: int, due: datetime.datetime
) -> None:
    """Give a task back, to be claimed by anybody from ``due`` on.

    :raises Fenced: it is somebody else's.
    """
    _change(connection, uuid, fencing, worker="", due=due)


def _change(connection: sa.Connection, uuid: str, fencing: int, **values: Any) -> None:
    task_id = tasks.row_id(connection, uuid, lock=True)
    check_owner(connection, task_id, fencing)
    connection.execute(
        tables.task_work.update().where(_work.task_id == task_id).values(**values)
    )


def finish(
    connection: sa.Connection,
    uuid: str,
    fencing: int,
    status: TaskStatus,
    message: str,
    at: datetime.datetime,
) -> Task:
    """End a task: it has its last status and is never claimed again.

    Where an event has ended it otherwise before, that end stays.

    :raises Fenced: it is somebody else's.
    :raises Conflict: the status is not an end of this task.
    """
    task_id = tasks.row_id(connection, uuid, lock=True)
    row = connection.execute(
        sa.select(_work.fencing, _work.due)
        .where(_work.task_id == task_id)
        .with_for_update()
    ).one()
    (task,) = tasks.load(connection, [task_id])
    if row.due is None and row.fencing == fencing and task.is_final:
        # The same once more: the first answer got lost.
        return task
    check_owner(connection, task_id, fencing)
    if not task.is_final:
        task = tasks.advance(connection, task_id, status, message, at)
    if not task.is_final:
        raise Conflict(
            f"task {uuid} ({task.type}) does not end as {status}, but as {task.goal}",
            field="status",
            code="task_transition",
        )
    connection.execute(
        tables.task_work.update()
        .where(_work.task_id == task_id)
        .values(due=None, worker="", secret_refs=[])
    )
    return task


def next_due(connection: sa.Connection) -> datetime.datetime | None:
    """When the next task may be claimed; None if all are finished."""
    found: datetime.datetime | None = connection.execute(
        sa.select(_work.due).where(_work.due.is_not(None)).order_by(_work.due).limit(1)
    ).scalar_one_or_none()
    return found
