# SPDX-License-Identifier: Apache-2.0
"""The store: each method is one short transaction and returns plain values."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from nova_multi.domain import times
from nova_multi.domain.names import Kind
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.task import Task, TaskStatus, TaskType
from nova_multi.provision.store import leases, records, signatures, tasks
from nova_multi.provision.store.database import Clock, Database, retried
from nova_multi.provision.store.lifetimes import Lifetimes
from nova_multi.provision.store.values import ClaimedTask, Record

#: UUID of a task and the fencing number of its owner's claim.
Claim: TypeAlias = tuple[str, int]


class Store:
    """Own state in one database; may be shared by threads, not over a fork.

    Any method raises Unavailable if the database does not answer.

    :param url: of SQLAlchemy; ``sqlite:////folder/file`` or
        ``mysql+pymysql://user:password@host/database``.
    :param clock: the present, for tests. Leases go by MariaDB's clock, which all
        workers share.
    :raises ConfigurationError: the URL can't be used.
    """

    def __init__(self, url: str, *, clock: Clock = times.now) -> None:
        self._database = Database(url, clock)
        self._clock = clock
        #: From when to when servers lived.
        self.lifetimes = Lifetimes(self._database)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def session(
        self, *, of_one_moment: bool = False
    ) -> contextlib.AbstractContextManager[None]:
        """Ask over one connection in a block, in the thread that enters it.

        :param of_one_moment: nothing that others write is seen, until the block writes
            something itself: for a request, which asks much in a row.
        """
        return self._database.session(of_one_moment=of_one_moment)

    def ping(self) -> None:
        """See that the database answers and has its tables."""
        with self._database.read() as connection:
            leases.next_due(connection)

    # Tasks

    @retried
    def add_task(
        self,
        task: Task,
        payload: Mapping[str, Any],
        secret_refs: Sequence[str] = (),
    ) -> None:
        """Accept work; it can be claimed from now on.

        :param payload: what is asked for, as JSON; no secrets.
        :param secret_refs: where secrets are kept; forgotten when the task is finished.
        :raises Conflict: there is a task with that uuid.
        """
        with self._database.write() as connection:
            due = self._database.now(connection)
            tasks.add(connection, task, payload, secret_refs, due)

    @retried
    def accept(
        self,
        new_records: Sequence[Record],
        work: Sequence[tuple[Task, Mapping[str, Any]]],
        *,
        owner: Claim | None = None,
    ) -> None:
        """Take names and accept the work on them: all of it, or nothing.

        :param work: tasks, each with its payload as for :meth:`add_task`.
        :param owner: the task that this is a part of, and the number of its claim.
        :raises NameTaken: a record's scope has one of that kind and name.
        :raises Conflict: there is a record or task with that uuid.
        :raises Fenced: the owner's task is somebody else's.
        """
        with self._database.write() as connection:
            _check_claim(connection, owner)
            due = self._database.now(connection)
            for record in new_records:
                records.add(connection, record)
            for task, payload in work:
                tasks.add(connection, task, payload, (), due)

    @retried
    def accept_on(
        self,
        record: Record,
        merge: Mapping[str, Any],
        expected: Iterable[str],
        task: Task,
        payload: Mapping[str, Any],
        *,
        kept: Iterable[Record] = (),
        owner: Claim | None = None,
    ) -> None:
        """Mark a record and accept the work on it: both, or nothing.

        :param record: as the caller has read it.
        :param merge: as for :meth:`update_record`.
        :param expected: entries of its data that nobody may have changed since.
        :param payload: as for :meth:`add_task`.
        :param kept: as for :meth:`change_with`.
        :param owner: as for :meth:`accept`.
        :raises NotFound: the record is gone.
        :raises Conflict: somebody has, or there is a task with that uuid.
        :raises Fenced: the owner's task is somebody else's.
        """
        as_read = {key: record.data.get(key) for key in expected}
        with self._database.write() as connection:
            _check_claim(connection, owner)
            at = self._clock()
            records.update(connection, record.kind, record.uuid, at, {}, merge, as_read)
            for each in kept:
                records.put(connection, each, at)
            tasks.add(connection, task, payload, (), self._database.now(connection))

    def task(self, uuid: str, *, log: bool = True) -> Task:
        """A task.

        :param log: with its log, which may be a megabyte.
        :raises NotFound: there is no such task.
        """
        with self._database.read() as connection:
            if log:
                return tasks.get(connection, uuid)
            (found,) = tasks.load(connection, [tasks.row_id(connection, uuid)])
            return found

    def tasks(
        self,
        project_ids: Iterable[str] | None,
        *,
        status: TaskStatus | None = None,
        type: TaskType | None = None,
        object_uuid: str | None = None,
        parent_uuid: str | None = None,
        limit: int = 100,
        marker: str | None = None,
    ) -> list[Task]:
        """A page of tasks, newest first, without their logs.

        Those of another release, which can't be read, are left out.

        :param project_ids: whose; None for everybody's.
        :param marker: uuid of the task after which the page begins.
        :raises Invalid: the marker is no task.
        """
        with self._database.read() as connection:
            found: list[Task] = []
            before = tasks.marker_id(connection, marker)
            while True:
                query = tasks.page(
                    project_ids=project_ids,
                    status=status,
                    type=type,
                    object_uuid=object_uuid,
                    parent_uuid=parent_uuid,
                    before=before,
                    limit=limit - len(found),
                )
                ids = connection.execute(query).scalars().all()
                found += tasks.load(connection, ids, skip_unknown=True)
                # A page is short only at the end of all.
                if len(found) == limit or not ids:
                    return found
                before = ids[-1]

    def ends(self, uuids: Iterable[str]) -> dict[str, bool | None]:
        """Those of these tasks that have ended, and whether well.

        None for one that is forgotten, which only one that has ended can be.
        """
        with self._database.read() as connection:
            return tasks.ends(connection, uuids)

    @retried
    def advance(
        self,
        uuid: str,
        status: TaskStatus,
        message: str = "",
        fencing: int | None = None,
        at: datetime.datetime | None = None,
    ) -> Task:
        """Move a task on, as :meth:`Task.advanced` says.

        :param fencing: number of the claim; None for an event, which anybody may hear.
        :param at: when it happened, if that was not just now.
        :returns: the task without its log.
        :raises Fenced: the task is somebody else's.
        :raises Conflict: the status can't follow.
        """
        with self._database.write() as connection:
            task_id = tasks.row_id(connection, uuid, lock=True)
            if fencing is not None:
                leases.check_owner(connection, task_id, fencing)
            return tasks.advance(
                connection, task_id, status, message, at or self._clock()
            )

    @retried
    def set_message(
        self, uuid: str, status: TaskStatus, message: str, fencing: int
    ) -> None:
        """Say anew what a task is doing in a status that it has already.

        :raises Fenced: the task is somebody else's.
        """
        with self._database.write() as connection:
            task_id = tasks.row_id(connection, uuid, lock=True)
            leases.check_owner(connection, task_id, fencing)
            tasks.set_message(connection, task_id, status, message, self._clock())

    @retried
    def set_object(self, uuid: str, object_uuid: str, fencing: int) -> None:
        """Say what a task works on, once that is known.

        :raises Fenced: the task is somebody else's.
        """
        with self._database.write() as connection:
            task_id = tasks.row_id(connection, uuid, lock=True)
            leases.check_owner(connection, task_id, fencing)
            tasks.set_object(connection, task_id, object_uuid)

    @retried
    def append_log(self, uuid: str, text: str) -> None:
        """Add to a task's log; what is over a megabyte is left out.

        :raises NotFound: there is no such task.
        """
        with self._database.write() as connection:
            tasks.append_log(connection, uuid, text)

    @retried
    def add_request_id(self, uuid: str, request_id: str) -> None:
        """Remember that a request to OpenStack was for this task.

        :raises NotFound: there is no such task.
        """
        with self._database.write() as connection:
            tasks.add_request_id(connection, uuid, request_id)

    @retried
    def delete_task(self, uuid: str) -> None:
        """Forget a finished task.

        :raises NotFound: there is no such task.
        :raises Conflict: it isn't finished.
        """
        with self._database.write() as connection:
            tasks.delete(connection, uuid)

    @retried
    def purge_tasks(self, before: datetime.datetime, limit: int = 1000) -> int:
        """Forget finished tasks of which nothing was heard since.

        :param limit: of one transaction; with as many there may be more.
        :returns: how many there were.
        """
        with self._database.write(read_committed=True) as connection:
            return tasks.purge(connection, before, limit)

    # Leases

    @retried
    def claim(self, worker: str, limit: int, seconds: float) -> list[ClaimedTask]:
        """Own tasks that are due or whose owner's lease has ended.

        :param worker: who; not empty.
        :param seconds: until others may claim them.
        """
        if not worker:
            raise ValueError("a worker without a name can't own a task")
        with self._database.write(read_committed=True) as connection:
            now = self._database.now(connection)
            return leases.claim(connection, worker, limit, seconds, now)

    @retried
    def renew(self, uuid: str, fencing: int, seconds: float) -> None:
        """Own a task for that many seconds from now.

        :raises Fenced: it is somebody else's.
        """
        with self._database.write() as connection:
            until = self._after(connection, seconds)
            leases.renew(connection, uuid, fencing, until)

    @retried
    def save_progress(
        self, uuid: str, fencing: int, progress: Mapping[str, Any], log: str = ""
    ) -> None:
        """Keep how far the work has come, in place of what was kept before.

        :param log: added to the task's log in the same transaction: whoever goes on
            from this progress neither misses nor repeats it.
        :raises Fenced: the task is somebody else's.
        """
        with self._database.write() as connection:
            leases.save_progress(connection, uuid, fencing, progress, log)

    @retried
    def release(self, uuid: str, fencing: int, delay: float = 0) -> None:
        """Give a task back; anybody may claim it in ``delay`` seconds.

        :raises Fenced: it is somebody else's.
        """
        with self._database.write() as connection:
            due = self._after(connection, delay)
            leases.release(connection, uuid, fencing, due)

    @retried
    def finish(
        self,
        uuid: str,
        fencing: int,
        status: TaskStatus,
        message: str = "",
        at: datetime.datetime | None = None,
    ) -> Task:
        """End a task; it is never claimed again.

        :returns: the task; with another status, where an event ended it before.
        :raises Fenced: it is somebody else's.
        :raises Conflict: the status is not an end of this task.
        """
        with self._database.write() as connection:
            return leases.finish(
                connection, uuid, fencing, status, message, at or self._clock()
            )

    def next_due(self) -> datetime.datetime | None:
        """When the next task may be claimed; None if all are finished."""
        with self._database.read() as connection:
            return leases.next_due(connection)

    # Records

    @retried
    def add_record(self, record: Record) -> None:
        """Store a new record.

        :raises NameTaken: its scope has one of that kind and name.
        :raises Conflict: there is one with that uuid.
        """
        with self._database.write() as connection:
            records.add(connection, record)

    def record(self, kind: Kind | str, uuid: str) -> Record:
        """A record.

        :raises NotFound: there is none.
        """
        with self._database.read() as connection:
            return records.get(connection, kind, uuid)

    @retried
    def update_record(
        self,
        kind: Kind | str,
        uuid: str,
        *,
        name: str | None = None,
        scope: str | None = None,
        project_id: str | None = None,
        openstack_id: str | None = None,
        data: Mapping[str, Any] | None = None,
        merge: Mapping[str, Any] | None = None,
        owner_id: str | None = None,
        permissions: Permissions | None = None,
        task_uuid: str | None = None,
        expected: Mapping[str, Any] | None = None,
    ) -> Record:
        """Change what is given of a record.

        :param data: all further fields, in place of what there was.
        :param merge: single further fields; the others stay, None takes one away.
        :param expected: further fields that it must have; None is none.
        :raises NotFound: there is no such record.
        :raises NameTaken: another one has the name.
        :raises Conflict: somebody has changed what was expected.
        """
        given = {
            "name": name,
            "scope": scope,
            "project_id": project_id,
            "openstack_id": openstack_id,
            "data": None if data is None else dict(data),
            "owner_id": owner_id,
            "permissions": None if permissions is None else str(permissions),
            "task_uuid": task_uuid,
        }
        values = {field: value for field, value in given.items() if value is not None}
        with self._database.write() as connection:
            at = self._clock()
            return records.update(connection, kind, uuid, at, values, merge, expected)

    @retried
    def change_with(
        self,
        record: Record,
        expected: Iterable[str],
        *,
        name: str | None = None,
        merge: Mapping[str, Any] | None = None,
        same: Iterable[Record] = (),
        kept: Iterable[Record] = (),
        gone: Iterable[Record] = (),
    ) -> None:
        """Change a record, or what belongs to it: all of it, or nothing.

        :param record: as the caller has read it.
        :param name: its new one.
        :param merge: as for :meth:`update_record`; it stays as it is without.
        :param expected: entries of its data that nobody may have changed since.
        :param same: others, whose data nobody may have changed since they were read.
        :param kept: stored; those of their kind, scope and name get their data instead.
        :param gone: forgotten, if they are there.
        :raises NotFound: the record is gone, or one that is to be the same.
        :raises NameTaken: another one has the name.
        :raises Conflict: somebody has changed what was expected (``changed``).
        """
        as_read = {key: record.data.get(key) for key in expected}
        values = {} if name is None else {"name": name}
        with self._database.write() as connection:
            if merge or values:
                at = self._clock()
                records.update(
                    connection, record.kind, record.uuid, at, values, merge, as_read
                )
            else:
                records.check(connection, record.kind, record.uuid, as_read)
            for each in same:
                records.check(connection, each.kind, each.uuid, each.data)
            for each in kept:
                records.put(connection, each, self._clock())
            for each in gone:
                records.delete(connection, each.kind, each.uuid)

    @retried
    def delete_record(self, kind: Kind | str, uuid: str) -> bool:
        """Forget a record; False if there was none."""
        with self._database.write() as connection:
            return records.delete(connection, kind, uuid)

    def list_records(
        self,
        kind: Kind | str,
        *,
        uuids: Iterable[str] | None = None,
        scope: str | None = None,
        scopes: Iterable[str] | None = None,
        name: str | None = None,
        called: str | None = None,
        project_ids: Iterable[str] | None = None,
        openstack_ids: Iterable[str] | None = None,
        task_uuid: str | None = None,
        limit: int | None = None,
        marker: str | None = None,
    ) -> list[Record]:
        """Records that fit everything that is given, oldest first.

        :param called: a name, a UUID or an id of OpenStack.
        :param marker: uuid of the record after which the page begins.
        :raises Invalid: the marker is no record.
        """
        if scope is not None:
            scopes = [scope]
        several = {
            "uuids": uuids,
            "scopes": scopes,
            "project_ids": project_ids,
            "openstack_ids": openstack_ids,
        }
        asked: dict[str, Any] = {
            field: None if values is None else tuple(values)
            for field, values in several.items()
        }
        asked |= {
            "name": name,
            "called": called,
            "task_uuid": task_uuid,
            "limit": limit,
            "marker": marker,
        }
        question = (str(kind), *asked.values())
        session = self._database.present
        known = session.known if session else None
        if known is not None and question in known:
            return list(known[question])
        with self._database.read() as connection:
            found = records.select(connection, kind, **asked)
        if known is not None:
            known[question] = tuple(found)
        return found

    # Signatures

    @retried
    def use_signature(self, signature: str, seconds: float) -> bool:
        """Use a request's signature up; False if it was used before.

        :param seconds: for how long it could be repeated.
        """
        with self._database.write(read_committed=True) as connection:
            now = self._database.now(connection)
            expires = now + datetime.timedelta(seconds=seconds)
            return signatures.use(connection, signature, expires, now)

    def _after(self, connection: sa.Connection, seconds: float) -> datetime.datetime:
        now = self._database.now(connection)
        return now + datetime.timedelta(seconds=seconds)


def _check_claim(connection: sa.Connection, claim: Claim | None) -> None:
    """See that a claim holds until this transaction ends.

    :raises Fenced: it doesn't.
    """
    if claim is not None:
        uuid, fencing = claim
        task_id = tasks.row_id(connection, uuid, lock=True)
        leases.check_owner(connection, task_id, fencing)
