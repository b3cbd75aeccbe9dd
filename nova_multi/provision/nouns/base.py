# SPDX-License-Identifier: Apache-2.0
"""What the nouns have in common: pages of lists, accepting work, records of names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from nova_multi.domain.errors import (
    Conflict,
    DomainError,
    Invalid,
    NotFound,
    Unsupported,
)
from nova_multi.domain.names import Kind
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.task import Task, TaskStatus, TaskType
from nova_multi.provision.nouns.lookup import Lookup
from nova_multi.provision.service import Accepted, Caller, Page, Query, Scope
from nova_multi.provision.store import Record
from nova_multi.provision.tools import Tools

Value = TypeVar("Value")
Filters = Mapping[str, Callable[[Any], object]]


class Noun:
    """Base of all nouns."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._store = tools.store
        self._find = Lookup(tools)

    def _home(
        self, caller: Caller, scope: Scope
    ) -> tuple[Record | None, Record | None]:
        """As :meth:`Lookup.home`, for what is to be there longer.

        :raises Conflict: it is being deleted.
        """
        found = self._find.home(caller, scope)
        for each in found:
            if each and each.data.get("state") == "deleting":
                raise Conflict(f"{each.kind} {each.name} is being deleted")
        return found

    def _new(
        self,
        kind: Kind | str,
        name: str,
        caller: Caller,
        *,
        scope: str = "",
        project_id: str = "",
        data: Mapping[str, Any],
        permissions: Permissions | None = None,
        task_uuid: str = "",
        openstack_id: str = "",
    ) -> Record:
        """A record that is not stored yet."""
        now = self._tools.clock()
        return Record(
            kind=kind,
            uuid=self._tools.new_uuid(),
            name=name,
            created=now,
            modified=now,
            scope=scope,
            project_id=project_id,
            openstack_id=openstack_id,
            data=data,
            owner_id=caller.user_id,
            permissions=permissions or Permissions(),
            task_uuid=task_uuid,
        )

    def _keep(self, record: Record) -> Record:
        """Store a new record of what is done already.

        :raises NameTaken: another one has its name.
        """
        self._store.add_record(record)
        return record

    def _task(
        self,
        caller: Caller,
        type: TaskType,
        record: Record,
        *,
        uuid: str | None = None,
        goal: TaskStatus | None = None,
        description: str = "",
        parent_uuid: str | None = None,
    ) -> Task:
        """A task that works on what a record stands for."""
        return Task.accepted(
            uuid or self._tools.new_uuid(),
            type,
            record.kind,
            self._tools.clock(),
            object_uuid=record.openstack_id or record.uuid,
            description=description or f"{type.verb} {record.kind} {record.name}",
            goal=goal,
            request_ids=(caller.request_id,) if caller.request_id else (),
            parent_uuid=parent_uuid,
            project_id=caller.project_id,
            user_id=caller.user_id,
        )

    def _accept(
        self,
        caller: Caller,
        type: TaskType,
        record: Record,
        payload: Mapping[str, Any],
        *,
        description: str = "",
    ) -> Accepted:
        """Store work on what is there for the workers."""
        task = self._task(caller, type, record, description=description)
        self._store.add_task(task, work_on(record, caller, payload))
        return self._accepted(caller, task, record)

    def _accept_new(
        self,
        caller: Caller,
        type: TaskType,
        record: Record,
        payload: Mapping[str, Any],
    ) -> Accepted:
        """Take a new record's name and store the work on it, both or neither.

        :raises NameTaken: another one has its name.
        """
        task = self._task(caller, type, record, uuid=record.task_uuid)
        self._store.accept([record], [(task, work_on(record, caller, payload))])
        return self._accepted(caller, task, record)

    def _accept_delete(
        self,
        caller: Caller,
        type: TaskType,
        record: Record,
        payload: Mapping[str, Any],
        **marks: Any,
    ) -> Accepted:
        """Delete what is there; asked twice, the same task does it.

        :param marks: further entries for the record's data.
        """
        found = self._deleting(record)
        if found:
            return found
        task = self._task(caller, type, record)
        marks["deleting"] = task.uuid
        try:
            self._store.accept_on(
                record, marks, marks, task, work_on(record, caller, payload)
            )
        except Conflict:
            # Of two at the same time one was quicker.
            found = self._deleting(self._store.record(record.kind, record.uuid))
            if not found:
                raise
            return found
        return self._accepted(caller, task, record)

    def _deleting(self, record: Record) -> Accepted | None:
        """The task that is at deleting it; None if none is, or it has ended."""
        task_uuid = record.data.get("deleting")
        if not task_uuid:
            return None
        try:
            ended = self._store.task(task_uuid).is_final
        except NotFound:
            ended = True
        return None if ended else Accepted(task_uuid)

    def _accepted(self, caller: Caller, task: Task, record: Record) -> Accepted:
        self._tools.signals.work()
        self._audit(caller, task.type.verb, record, task.uuid)
        return Accepted(task.uuid)

    def _check_made(self, record: Record) -> None:
        """See that nobody is at making it.

        :raises Conflict: its task goes on. One that has ended without taking it back
            leaves it to be deleted.
        """
        if record.data.get("state") != "creating":
            return
        try:
            ended = self._store.task(record.task_uuid).is_final
        except NotFound:
            ended = True
        if not ended:
            raise Conflict(
                f"{record.kind} {record.name} is being made: wait for its task",
                code="being_made",
            )

    @contextlib.contextmanager
    def _put_back(self, before: Record, changed: Iterable[str]) -> Iterator[None]:
        """Make a record what it was before, if what belongs to its change fails.

        :param changed: keys of its data; what workers write meanwhile stays.
        """
        try:
            yield
        except DomainError:
            self._store.update_record(
                before.kind,
                before.uuid,
                name=before.name,
                merge={key: before.data.get(key) for key in changed},
                permissions=before.permissions,
            )
            raise

    def _audit(
        self, caller: Caller, verb: str, record: Record, task_uuid: str = ""
    ) -> None:
        self._tools.audit.change(
            verb,
            record.kind,
            user_id=caller.user_id,
            project_id=caller.project_id,
            request_id=caller.request_id,
            remote_address=caller.remote_address,
            object_uuid=record.openstack_id or record.uuid,
            name=record.name,
            task_uuid=task_uuid,
            outcome="pending" if task_uuid else "success",
        )


def work_on(
    record: Record, caller: Caller, payload: Mapping[str, Any]
) -> dict[str, Any]:
    """What a task is told: on what it works, for whom, and what is to be done."""
    told = {"record": record.uuid, "name": record.name}
    # For the audit record of how it ended.
    return {**told, "remote_address": caller.remote_address, **payload}


def page(
    values: Iterable[Value],
    query: Query,
    name_of: Callable[[Value], str],
    filters: Filters,
) -> Page[Value]:
    """A page of a list, in the order of names.

    :param filters: for each field that can be filtered by, how it is had.
    :raises Invalid: an unknown field or marker.
    """
    for field, wanted in query.filters.items():
        if field not in filters:
            raise Invalid(
                f"lists can't be filtered by {field}; they can by {', '.join(filters)}",
                field=field,
            )
        values = [each for each in values if _fits(filters[field](each), wanted)]
    ordered = sorted(values, key=lambda each: (name_of(each), _uuid(each)))
    if query.marker is not None:
        places = [
            place
            for place, each in enumerate(ordered)
            if query.marker in (_uuid(each), name_of(each))
        ]
        if not places:
            raise Invalid(
                f"marker {query.marker!r:.80} is not in the list", field="marker"
            )
        ordered = ordered[places[-1] + 1 :]
    shown = ordered[: query.limit]
    more = len(ordered) > len(shown)
    return Page(shown, _uuid(shown[-1]) or name_of(shown[-1]) if more else None)


def _uuid(value: object) -> str:
    return str(getattr(value, "uuid", ""))


def _fits(value: object, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted.lower() == str(value).lower()
    if isinstance(value, tuple | list | frozenset | set):
        return any(str(each) == wanted for each in value)
    return value is not None and str(value) == wanted


def attributes(*names: str) -> Filters:
    """Filters by attributes of the values."""

    def of(name: str) -> Callable[[Any], object]:
        return lambda value: getattr(value, name)

    return {name: of(name) for name in names}


def limited_by_cloud() -> Unsupported:
    """Limits are quotas, which take an administrator."""
    return Unsupported(
        "all environments share one project here: its quota is the only limit",
        field="limits",
    )


def shared_by_users() -> Unsupported:
    """Who uses an environment has a role in its project."""
    return Unsupported(
        "all environments share one project here: who may use that may use them all",
        field="users",
    )


def not_yet(what: str) -> Unsupported:
    """What is to come."""
    return Unsupported(f"{what} is not there yet")


def texts(values: Sequence[object] | None) -> list[str]:
    """As JSON takes them."""
    return [str(each) for each in values or ()]
