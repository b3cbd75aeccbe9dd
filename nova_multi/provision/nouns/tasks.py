# SPDX-License-Identifier: Apache-2.0
"""Tasks: what was accepted, and how far it has come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nova_multi.domain.errors import Forbidden, Invalid, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.permissions import Action
from nova_multi.domain.task import Task, TaskStatus, TaskType
from nova_multi.provision.nouns.base import Noun
from nova_multi.provision.nouns.lookup import ids
from nova_multi.provision.service import Caller, Page, Query, Scope
from nova_multi.provision.store import Record

_FILTERS: dict[str, Callable[[str], Any]] = {
    "status": TaskStatus.parse,
    "type": lambda text: _type(text),
    "object_uuid": str,
    "parent_uuid": str,
}

#: Tasks that are read at once where the first ones don't fill a page, and how often
#: that is done for one answer: many may be of what the caller may not see.
_AT_ONCE = 200
_LOOKS = 10

#: What tasks work on that has permissions of its own.
_GUARDED = frozenset({Kind.INSTANCE, Kind.IMAGE, Kind.PROVISIONER, Kind.FILE})


class Tasks(Noun):
    """See :class:`nova_multi.provision.service.Tasks`."""

    def list(self, caller: Caller, query: Query) -> Page[Task]:
        """A page of the tasks that the caller may see, newest first.

        It may have less than were asked for, and others follow it nevertheless: of very
        many tasks that the caller may not see only some are passed over for one answer.
        """
        for field in query.filters:
            if field not in _FILTERS:
                raise Invalid(f"tasks can't be filtered by {field}", field=field)
        wanted = {key: _FILTERS[key](text) for key, text in query.filters.items()}
        projects = self._projects(caller)
        seen: list[Task] = []
        limit, marker = query.limit + 1, query.marker
        for _ in range(_LOOKS):
            found = self._store.tasks(projects, limit=limit, marker=marker, **wanted)
            seen += found if projects is None else self._visible(caller, found)
            if len(seen) > query.limit:
                shown = seen[: query.limit]
                return Page(shown, shown[-1].uuid)
            if len(found) < limit:
                return Page(seen)
            # Some were others' own; the page is filled with older ones.
            marker, limit = found[-1].uuid, max(limit, _AT_ONCE)
        # A short page, or an empty one; where it ended the next one goes on.
        return Page(seen, marker)

    def show(self, caller: Caller, name: str, scope: Scope) -> Task:
        """One of them with its log."""
        task = self._store.task(name)
        projects = self._projects(caller)
        if projects is not None and not (
            task.project_id in projects and self._visible(caller, [task])
        ):
            raise NotFound(f"there is no task {name}", field="uuid")
        return task

    def delete(self, caller: Caller, uuid: str) -> None:
        """Forget one that has ended."""
        task = self.show(caller, uuid, Scope())
        if not self._find.is_admin(caller) and not self._may(
            caller, task, "w", self._objects([task])
        ):
            raise Forbidden(
                f"the permissions of {task.object_kind} {task.object_uuid} don't let"
                " you delete its tasks"
            )
        self._store.delete_task(uuid)
        self._tools.audit.change(
            "delete",
            "task",
            user_id=caller.user_id,
            project_id=caller.project_id,
            request_id=caller.request_id,
            remote_address=caller.remote_address,
            object_uuid=uuid,
            name=task.description,
        )

    def _visible(self, caller: Caller, tasks: Sequence[Task]) -> Sequence[Task]:
        """Those that the caller may see: their own, and those of what they may see."""
        objects = self._objects(tasks)
        return [
            task
            for task in tasks
            if task.user_id == caller.user_id or self._may(caller, task, "r", objects)
        ]

    def _may(
        self,
        caller: Caller,
        task: Task,
        action: Action,
        objects: dict[str, Sequence[Record]],
    ) -> bool:
        """Whether the permissions of a task's object leave that to the caller.

        :param objects: as :meth:`_objects` finds them.
        """
        if task.object_kind not in _GUARDED:
            return True
        records = objects[task.uuid]
        if not records:
            # Whose the object was nobody knows any more.
            return task.user_id == caller.user_id
        return all(self._find.may(caller, each, action) for each in records)

    def _objects(self, tasks: Sequence[Task]) -> dict[str, Sequence[Record]]:
        """For each task what there still is of what it works on."""
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for task in tasks:
            if task.object_kind in _GUARDED:
                wanted[task.object_kind].add(task.object_uuid)
        by_id: defaultdict[tuple[str, str], dict[str, Record]] = defaultdict(dict)
        for kind, known in wanted.items():
            known -= {""}
            for each in self._records(kind, known):
                for key in (each.uuid, each.openstack_id):
                    by_id[kind, key][each.uuid] = each
        return {
            task.uuid: list(by_id[task.object_kind, task.object_uuid].values())
            if task.object_uuid
            else []
            for task in tasks
        }

    def _records(self, kind: str, known: Iterable[str]) -> Sequence[Record]:
        return [
            *self._store.list_records(kind, uuids=known),
            *self._store.list_records(kind, openstack_ids=known),
        ]

    def _projects(self, caller: Caller) -> Sequence[str] | None:
        """The caller's project and those below it; None for all."""
        if self._find.is_admin(caller):
            return None
        return list({caller.project_id, *ids(self._find.environments(caller))})


def _type(text: str) -> TaskType:
    try:
        return TaskType(text)
    except ValueError as error:
        raise Invalid(f"task type {text!r:.40} is unknown", field="type") from error
