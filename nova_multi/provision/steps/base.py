# SPDX-License-Identifier: Apache-2.0
"""What a step is, and what it works with."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nova_multi.cloud.clouds import Cloud
from nova_multi.cloud.marks import Mark
from nova_multi.domain import times
from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.task import Task, TaskStatus
from nova_multi.provision.store import ClaimedTask, Record
from nova_multi.provision.tools import Tools

LOG = logging.getLogger(__name__)

#: Seconds between looks at what others make.
_LOOK = 1.0


class Wait(Exception):  # noqa: N818 - not an error
    """The step is not at its end; do it again later.

    :ivar seconds: until then, unless an event comes before.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One part of a task's work.

    :ivar noun: what it makes or changes, for messages.
    :ivar do: may be repeated at any time: it looks for what it made before. Raises
        :class:`Wait` while there is nothing to do but wait.
    :ivar undo: takes back what the step made for this task, also if it was interrupted
        anywhere; None if there is nothing to take back.
    """

    name: str
    noun: str
    do: Callable[[Work], None]
    undo: Callable[[Work], None] | None = None


class Work:
    """A claimed task on its way through its steps.

    :ivar again: whether the present step was begun before, so that it may have made
        something already.
    :ivar woken: whether it goes on because something was heard.
    :ivar stopping: whether the worker wants it back between two steps.
    :ivar memory: what this owner alone remembers, to be found out again by the next.
    """

    def __init__(self, tools: Tools, claimed: ClaimedTask) -> None:
        self.tools = tools
        self.task: Task = claimed.task
        self.payload: Mapping[str, Any] = claimed.payload
        self.fencing = claimed.fencing
        self.leased_until = claimed.leased_until
        self.again = False
        self.woken = False
        self.stopping = False
        self.memory: dict[str, Any] = {}
        progress = claimed.progress
        self.done: list[str] = list(progress.get("done", ()))
        self.begun: dict[str, str] = dict(progress.get("begun", {}))
        self.undone: list[str] = list(progress.get("undone", ()))
        self.taken_back: list[str] = list(progress.get("taken_back", ()))
        self.left: list[str] = list(progress.get("left", ()))
        self.failure: str = progress.get("failure", "")
        self.state: dict[str, Any] = dict(progress.get("state", {}))

    # -- who and what

    @property
    def uuid(self) -> str:
        """The task's."""
        return self.task.uuid

    @property
    def claim(self) -> tuple[str, int]:
        """With which the store sees that the task is still ours."""
        return self.task.uuid, self.fencing

    @property
    def name(self) -> str:
        """Of what the task works on."""
        return str(self.payload.get("name", ""))

    @property
    def mark(self) -> Mark:
        """What everything that the task makes has to carry."""
        return Mark(
            task=self.task.uuid,
            environment=self.payload.get("environment") or None,
            partition=self.payload.get("partition") or None,
        )

    def record(self, kind: str, uuid: str | None = None) -> Record:
        """A record; without a uuid the one that the task works on.

        :raises NotFound: there is none.
        """
        return self.tools.store.record(kind, uuid or self.payload["record"])

    def find_record(self, kind: str, uuid: str | None = None) -> Record | None:
        """As :meth:`record`, but None if there is none."""
        try:
            return self.record(kind, uuid)
        except NotFound:
            return None

    def project(self) -> Cloud:
        """The cloud inside of the project that the task works in."""
        return self.tools.clouds.project(self.state.get("project_id", ""))

    # -- what is kept

    @property
    def progress(self) -> dict[str, Any]:
        """What the next owner has to know."""
        return {
            "done": self.done,
            "begun": self.begun,
            "undone": self.undone,
            "taken_back": self.taken_back,
            "left": self.left,
            "failure": self.failure,
            "state": self.state,
        }

    def keep(self, log: str = "", /, **values: Any) -> None:
        """Remember values for later steps; None takes one away.

        :param log: as for :meth:`save`.
        :raises Fenced: the task is another worker's.
        """
        merged = {**self.state, **values}
        self.state = {key: each for key, each in merged.items() if each is not None}
        self.save(log)

    def go_back(self, *names: str, **values: Any) -> None:
        """Have steps done anew whose effects were taken back.

        :param values: as for :meth:`keep`.
        :raises Fenced: the task is another worker's.
        """
        self.done = [each for each in self.done if each not in names]
        self.begun = {key: at for key, at in self.begun.items() if key not in names}
        self.keep(**values)

    def save(self, log: str = "") -> None:
        """Keep the progress.

        :param log: line of the task's log that belongs to it, told exactly once.
        :raises Fenced: the task is another worker's.
        """
        self.tools.store.save_progress(
            self.uuid, self.fencing, self.progress, _ended(log)
        )

    def hold(self) -> None:
        """See to it that the task stays ours for the next request.

        :raises Fenced: it is another worker's.
        """
        lease = datetime.timedelta(seconds=self.tools.settings.lease)
        now = self.tools.clock()
        if self.leased_until - now < lease / 2:
            self.tools.store.renew(self.uuid, self.fencing, lease.total_seconds())
            self.leased_until = now + lease

    def step_age(self, name: str) -> float:
        """Seconds since a step was begun first."""
        began = self.begun.get(name)
        if began is None:
            return 0.0
        return (self.tools.clock() - times.parse_time(began)).total_seconds()

    # -- what is told

    def status(
        self,
        status: TaskStatus,
        message: str = "",
        at: datetime.datetime | None = None,
    ) -> None:
        """Move the task on; a status that can't follow any more is left out."""
        if any(change.status == status for change in self.task.history):
            return
        try:
            self.task = self.tools.store.advance(
                self.uuid, status, message, self.fencing, at
            )
        except Conflict:
            LOG.debug("task %s can't become %s any more", self.uuid, status)

    def message(self, status: TaskStatus, message: str) -> None:
        """Say anew what the task is doing in a status that it has.

        :raises Fenced: the task is another worker's.
        """
        if any(each.status == status for each in self.task.history):
            self.tools.store.set_message(self.uuid, status, message, self.fencing)

    def log(self, text: str) -> None:
        """Add a line to the task's log."""
        self.tools.store.append_log(self.uuid, _ended(text))

    def took_back(self, what: str) -> None:
        """Say what was taken back."""
        if what not in self.taken_back:
            self.taken_back.append(what)


def _ended(text: str) -> str:
    return f"{text}\n" if text and not text.endswith("\n") else text


def has_ended(work: Work, task_uuid: str) -> bool:
    """Whether a task goes on no more; one that is forgotten has ended, too."""
    try:
        return work.tools.store.task(task_uuid).is_final
    except NotFound:
        return True


def still_wanted(work: Work) -> None:
    """See that nobody has asked to delete the instance that is being made.

    :raises Conflict: somebody has.
    """
    record = work.find_record(Kind.INSTANCE)
    if record is None or record.data.get("deleting"):
        raise Conflict("it was deleted while it was made", code="deleted")


def ready(work: Work, kind: Kind, uuid: str) -> Record:
    """The record of what the task's object is to be in, once that stands.

    :raises Wait: it is being made.
    :raises Conflict: it is gone, or can't be used.
    """
    record = work.find_record(kind, uuid)
    if record and record.data.get("state") == "creating":
        if not has_ended(work, record.task_uuid):
            raise Wait(_LOOK)
        # The last thing that its task did may have been to finish it, or to drop it.
        record = work.find_record(kind, uuid)
    if record is None:
        raise Conflict(f"its {kind} is gone", field=kind)
    state = record.data.get("state", "ready")
    if state != "ready":
        raise Conflict(f"{kind} {record.name} is in state {state}", field=kind)
    return record


def made(work: Work, cloud: Cloud, kind: str, known: str | None = None) -> list[str]:
    """Ids of what the task has made of a kind, also what it didn't live to remember."""
    domain_id = work.tools.settings.domain_id if kind == "project" else None
    ids = [each.id for each in cloud.find_made(work.uuid, kind, domain_id)]
    if known and known not in ids:
        ids.append(known)
    return ids


def take_back(
    work: Work,
    what: str,
    ids: Sequence[str],
    delete: Callable[[str], bool],
) -> None:
    """Delete each of these, and say so."""
    for each in ids:
        if delete(each):
            work.took_back(f"{what} {each}")
