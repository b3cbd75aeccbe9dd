# SPDX-License-Identifier: Apache-2.0
"""Runs a claimed task from step to step, and takes back what it made if one fails.

Progress is saved before each step, so that whoever takes the task over knows which step
may have been begun. A step's own repetition finds what was made. Whatever happens, the
task ends with a status, or is parked to go on later.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from nova_multi.domain import times
from nova_multi.domain.errors import DomainError, Unavailable
from nova_multi.domain.task import TaskStatus, TaskType
from nova_multi.exception import NovaMultiError
from nova_multi.provision.steps import PROCEDURES, Procedure, Step, Wait, Work
from nova_multi.provision.store import ClaimedTask, Fenced
from nova_multi.provision.tools import Tools

LOG = logging.getLogger(__name__)

#: Seconds after which the database is tried again.
_DATABASE_RETRY = 5.0


class Stopping(Exception):  # noqa: N818 - not an error
    """The worker ends: the task is to be given back between two steps."""


class Runner:
    """Runs tasks; one call at a time for each task, many tasks at once.

    :param procedures: the steps of each type of task.
    """

    def __init__(
        self,
        tools: Tools,
        procedures: Mapping[TaskType, Procedure] = PROCEDURES,
    ) -> None:
        self._tools = tools
        self._procedures = procedures

    def begin(self, claimed: ClaimedTask) -> Work:
        """The work of a claimed task."""
        return Work(self._tools, claimed)

    def run(self, work: Work) -> float | None:
        """Go on with a task as far as possible.

        :returns: seconds after which to go on; None if the task is at its end.
        :raises Fenced: it is another worker's now.
        :raises Stopping: the worker ends; the task can be given back.
        """
        try:
            try:
                with self._tools.store.session():
                    return self._forward(work)
            except Wait as wait:
                return wait.seconds
        except Unavailable as error:
            # Only the store is left that could have raised it.
            LOG.warning("task %s: %s", work.uuid, error)
            return max(_DATABASE_RETRY, error.retry_after)

    def _forward(self, work: Work) -> float | None:
        procedure = self._procedures.get(work.task.type)
        if procedure is None:
            self._end(
                work, TaskStatus.ERROR, f"{work.task.type} can't be done here yet"
            )
            return None
        steps = procedure(work)
        if not work.failure:
            work.status(TaskStatus.DISPATCHING)
            failed = self._do(work, steps)
            if failed and self._reached_goal(work):
                # An event has told users that it stands: it is not taken away again.
                LOG.warning("task %s reached its goal, but: %s", work.uuid, failed)
                work.log(failed)
                failed = ""
            if not failed:
                self._end(work, work.task.goal)
                return None
            work.failure = failed
            LOG.warning("task %s (%s): %s", work.uuid, work.task.type, failed)
            work.save()
        return self._revert(work, steps)

    def _do(self, work: Work, steps: Sequence[Step]) -> str:
        """Do what is left.

        :returns: what went wrong: step, resource, cause. Empty if nothing did.
        """
        for step in steps:
            if step.name in work.done:
                continue
            if work.stopping:
                work.save()
                raise Stopping
            work.hold()
            work.again = step.name in work.begun
            if not work.again:
                work.begun[step.name] = times.format_time(self._tools.clock())
                work.save()
            try:
                step.do(work)
            except (Fenced, Wait):
                raise
            except Exception as error:
                cause = self._cause(work, step, error)
                return f"step {step.name}, {step.noun} {work.name}: {cause}"
            # Saved together with the begin of the next step.
            work.done.append(step.name)
        return ""

    def _reached_goal(self, work: Work) -> bool:
        return self._tools.store.task(work.uuid).status == work.task.goal

    def _cause(self, work: Work, step: Step, error: Exception) -> str:
        """What to tell of an error.

        :raises Wait: it is worth waiting.
        """
        if isinstance(error, Unavailable):
            self._be_patient(work, f"step {step.name}", error)
        if isinstance(error, DomainError):
            return error.message
        if isinstance(error, NovaMultiError):
            return str(error)
        LOG.exception("task %s: step %s", work.uuid, step.name, exc_info=error)
        return f"internal error ({type(error).__name__}); the worker's log has more"

    def _be_patient(self, work: Work, what: str, error: Unavailable) -> None:
        """Wait for what does not answer, and tell so once.

        :raises Wait: unless it has taken too long already.
        """
        waits = work.state.setdefault("waits", {})
        now = self._tools.clock()
        if what not in waits:
            waits[what] = times.format_time(now)
            work.save(log=f"{what} waits: {error.message}")
        since = times.parse_time(waits[what])
        if (now - since).total_seconds() < self._tools.settings.patience:
            raise Wait(error.retry_after) from error

    def _revert(self, work: Work, steps: Sequence[Step]) -> float | None:
        # A step may have decided that what stands is worth more than nothing.
        reverted = () if work.state.get("kept") else steps
        for step in reversed(reverted):
            if step.undo is None or step.name not in work.begun:
                continue
            if step.name in work.undone:
                continue
            if work.stopping:
                raise Stopping
            work.hold()
            try:
                step.undo(work)
            except (Fenced, Wait):
                raise
            except Exception as error:
                cause = self._cause(work, _undoing(step), error)
                work.left.append(f"{step.noun} {work.name} ({cause})")
            work.undone.append(step.name)
            work.save()
        self._end(work, TaskStatus.ERROR, _told(work))
        return None

    def _end(self, work: Work, status: TaskStatus, message: str = "") -> None:
        work.task = self._tools.store.finish(work.uuid, work.fencing, status, message)
        LOG.info("task %s (%s) is %s", work.uuid, work.task.type, work.task.status)
        self._audit(work)
        if work.task.parent_uuid:
            self._tools.signals.wake(work.task.parent_uuid)

    def _audit(self, work: Work) -> None:
        """Tell how what was audited as pending has ended."""
        task = work.task
        succeeded = task.status == task.goal
        self._tools.audit.change(
            task.type.verb,
            task.object_kind,
            user_id=task.user_id,
            project_id=task.project_id,
            request_id=task.request_ids[0] if task.request_ids else "",
            remote_address=work.payload.get("remote_address", ""),
            object_uuid=task.object_uuid,
            name=work.name,
            task_uuid=task.uuid,
            outcome="success" if succeeded else "failure",
            reason="" if succeeded else task.history[-1].message,
        )


def _undoing(step: Step) -> Step:
    return Step(f"{step.name} (taking back)", step.noun, step.do)


def _told(work: Work) -> str:
    parts = [work.failure]
    if work.state.get("kept"):
        parts.append(work.state["kept"])
    if work.taken_back:
        parts.append(f"taken back: {', '.join(work.taken_back)}")
    if work.left:
        parts.append(f"could not be taken back: {', '.join(work.left)}")
    return "; ".join(parts)
