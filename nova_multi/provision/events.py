# SPDX-License-Identifier: Apache-2.0
"""Nova's versioned notifications: what they say of our servers, and which tasks move.

They may come late, twice, in any order, or not at all. A task only ever moves forward,
and what an event says is looked up again by the task's worker, which it wakes.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Mapping
from typing import Any

from nova_multi.cloud import marks
from nova_multi.domain import times
from nova_multi.domain.errors import Conflict, DomainError, Invalid, NotFound
from nova_multi.domain.names import Kind, is_id
from nova_multi.domain.task import TaskStatus, TaskType
from nova_multi.provision.poll import TASK_STATES
from nova_multi.provision.tools import Tools

LOG = logging.getLogger(__name__)

_DATA = "nova_object.data"
_COMPUTE = "nova-compute"
_MAKERS = (TaskType.CREATE_INSTANCE, TaskType.CLONE_INSTANCE)
#: Newest tasks of a server that are looked at.
_TASKS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """What happened to a server.

    :ivar task: UUID of the task that made it, as its metadata says.
    :ivar project_id: whose server it is.
    :ivar host: compute host, empty as long as it has none.
    """

    type: str
    server_id: str
    task: str
    at: datetime.datetime
    project_id: str = ""
    host: str = ""
    task_state: str = ""
    request_id: str = ""

    @property
    def changes(self) -> tuple[tuple[TaskStatus, str], ...]:
        """Statuses that the making of the server has reached, with a message."""
        if self.type == "instance.create.start" and self.host:
            return ((TaskStatus.DISPATCHED, self.host),)
        if self.type == "instance.create.end":
            return ((TaskStatus.CREATED, ""),)
        if self.type == "instance.update":
            status = TASK_STATES.get(self.task_state)
            return ((status, ""),) if status else ()
        return ()

    @property
    def ends_something(self) -> bool:
        """Whether a task may be waiting for it; a boot tells much on its way."""
        if self.type == "instance.update":
            return not self.task_state
        return self.type.endswith((".end", ".error"))


def read(
    event_type: str,
    payload: Mapping[str, Any],
    timestamp: str | None,
    publisher: str = "",
) -> Event | None:
    """A notification as an event; None if it is not about a server of ours.

    :param timestamp: when it was sent, as the bus says.
    :param publisher: which service sent it, and on which host.
    """
    if not event_type.startswith("instance."):
        return None
    data = payload.get(_DATA)
    if not isinstance(data, Mapping):
        return None
    metadata = data.get("metadata")
    task = metadata.get(marks.TASK_KEY) if isinstance(metadata, Mapping) else None
    server_id = data.get("uuid")
    if not isinstance(task, str) or not isinstance(server_id, str) or not is_id(task):
        return None
    update = data.get("state_update")
    states = update.get(_DATA, {}) if isinstance(update, Mapping) else {}
    return Event(
        type=event_type,
        server_id=server_id,
        task=task,
        at=_time(timestamp),
        project_id=str(data.get("tenant_id") or ""),
        # A compute tells of a boot's begin before the server has its host.
        host=str(data.get("host") or _compute_host(publisher)),
        task_state=str(states.get("new_task_state") or data.get("task_state") or ""),
        request_id=str(data.get("request_id") or ""),
    )


def _compute_host(publisher: str) -> str:
    service, _, host = publisher.partition(":")
    return host if service == _COMPUTE else ""


def _time(text: str | None) -> datetime.datetime:
    try:
        return times.parse_time(text or "")
    except Invalid:
        return times.now()


class Listener:
    """Moves tasks by what is heard."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def heard(
        self,
        event_type: str,
        payload: Mapping[str, Any],
        timestamp: str | None,
        publisher: str = "",
    ) -> None:
        """Take a notification; one that can't be used is left alone."""
        event = read(event_type, payload, timestamp, publisher)
        if event is None:
            return
        try:
            self._advance(event)
            if event.ends_something:
                self._wake(event)
        except NotFound:
            LOG.debug("%s: no task %s", event.type, event.task)
        except DomainError as error:
            # The worker looks by itself, a little later.
            LOG.warning("%s of server %s: %s", event.type, event.server_id, error)

    def _advance(self, event: Event) -> None:
        changes = event.changes
        if not changes:
            return
        task = self._tools.store.task(event.task)
        if task.type not in _MAKERS or task.status is TaskStatus.ERROR:
            return
        # A user may write any metadata on any server: only one of the environment's own
        # moves a task, and no other once the task's server is known.
        if not self._is_of(event, task.object_uuid):
            return
        for status, message in changes:
            try:
                self._tools.store.advance(event.task, status, message, at=event.at)
            except Conflict:
                LOG.debug("task %s can't become %s any more", event.task, status)
        if event.request_id and event.request_id not in task.request_ids:
            self._tools.store.add_request_id(event.task, event.request_id)

    def _is_of(self, event: Event, object_uuid: str) -> bool:
        if object_uuid == event.server_id:
            return True
        store = self._tools.store
        try:
            record = store.record(Kind.INSTANCE, object_uuid)
            if record.openstack_id:
                return record.openstack_id == event.server_id
            if self._tools.single:
                return True
            project_id = store.record(Kind.ENVIRONMENT, record.scope).openstack_id
        except NotFound:
            return False
        return bool(project_id) and project_id == event.project_id

    def _wake(self, event: Event) -> None:
        self._tools.signals.wake(event.task)
        tasks = self._tools.store.tasks(None, object_uuid=event.server_id, limit=_TASKS)
        for task in tasks:
            if not task.is_final and task.uuid != event.task:
                self._tools.signals.wake(task.uuid)
