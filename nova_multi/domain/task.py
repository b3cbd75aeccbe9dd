# SPDX-License-Identifier: Apache-2.0
"""Tasks: work that was accepted, and how far it has come.

A status comes from a real event, and events may come twice, late, or not at all. So a
task only ever moves forward, may leave out statuses that nobody saw, and has each one
in its history at most once, with the time at which it was true.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Iterable

from nova_multi.domain.errors import Conflict, Invalid


class TaskStatus(enum.StrEnum):
    """How far a task has come."""

    PENDING = "pending"
    DISPATCHING = "dispatching"
    DISPATCHED = "dispatched"
    SETTING_UP = "setting up"
    CREATING = "creating"
    CREATED = "created"
    PROVISIONING = "provisioning"
    PROVISIONED = "provisioned"
    DELETING = "deleting"
    DELETED = "deleted"
    #: The end of what neither makes nor deletes anything, such as a start.
    DONE = "done"
    ERROR = "error"

    @classmethod
    def parse(cls, text: str, field: str = "status") -> TaskStatus:
        """Read a status; ``received`` is VirtShell's other word for dispatched.

        :raises Invalid: there is no such status.
        """
        try:
            return cls.DISPATCHED if text == "received" else cls(text)
        except ValueError as error:
            raise Invalid(
                f"status {text!r:.40} is unknown; there are {', '.join(cls)}",
                field=field,
            ) from error

    @property
    def is_final(self) -> bool:
        """Nothing ever follows it. See :attr:`Task.is_final` for ``created``."""
        return not ALLOWED[self]


_CREATION = (
    TaskStatus.PENDING,
    TaskStatus.DISPATCHING,
    TaskStatus.DISPATCHED,
    TaskStatus.SETTING_UP,
    TaskStatus.CREATING,
    TaskStatus.CREATED,
    TaskStatus.PROVISIONING,
    TaskStatus.PROVISIONED,
)
_DELETION = (
    TaskStatus.PENDING,
    TaskStatus.DISPATCHING,
    TaskStatus.DISPATCHED,
    TaskStatus.DELETING,
    TaskStatus.DELETED,
)
_ACTION = (
    TaskStatus.PENDING,
    TaskStatus.DISPATCHING,
    TaskStatus.DISPATCHED,
    TaskStatus.SETTING_UP,
    TaskStatus.CREATING,
    TaskStatus.PROVISIONING,
    TaskStatus.DONE,
)
_PATHS = (_CREATION, _DELETION, _ACTION)


def _allowed(status: TaskStatus) -> frozenset[TaskStatus]:
    following = {
        later
        for path in _PATHS
        if status in path
        for later in path[path.index(status) + 1 :]
    }
    return frozenset(following | {TaskStatus.ERROR} if following else ())


#: What may follow each status.
ALLOWED: dict[TaskStatus, frozenset[TaskStatus]] = {
    status: _allowed(status) for status in TaskStatus
}


class TaskType(enum.StrEnum):
    """What a task does: ``<verb>_<kind>``."""

    CREATE_PARTITION = "create_partition"
    UPDATE_PARTITION = "update_partition"
    DELETE_PARTITION = "delete_partition"
    UPDATE_HOST = "update_host"
    ADD_HOST = "add_host"
    REMOVE_HOST = "remove_host"
    CREATE_ENVIRONMENT = "create_environment"
    UPDATE_ENVIRONMENT = "update_environment"
    DELETE_ENVIRONMENT = "delete_environment"
    APPLY_ENVIRONMENT = "apply_environment"
    DESTROY_ENVIRONMENT = "destroy_environment"
    CLOSE_ENVIRONMENT = "close_environment"
    CREATE_IMAGE = "create_image"
    UPDATE_IMAGE = "update_image"
    DELETE_IMAGE = "delete_image"
    CREATE_NETWORK = "create_network"
    UPDATE_NETWORK = "update_network"
    DELETE_NETWORK = "delete_network"
    CREATE_INSTANCE = "create_instance"
    UPDATE_INSTANCE = "update_instance"
    DELETE_INSTANCE = "delete_instance"
    START_INSTANCE = "start_instance"
    STOP_INSTANCE = "stop_instance"
    RESTART_INSTANCE = "restart_instance"
    CLONE_INSTANCE = "clone_instance"
    EXECUTE_COMMAND = "execute_command"
    COPY_FILES = "copy_files"
    INSTALL_PACKAGES = "install_packages"
    UPGRADE_PACKAGES = "upgrade_packages"
    REMOVE_PACKAGES = "remove_packages"

    @property
    def verb(self) -> str:
        """First word, as answers tell it: ``{"create": "in progress"}``."""
        return self.value.split("_", 1)[0]

    @property
    def goal(self) -> TaskStatus:
        """Where a task of this type ends, unless something is provisioned, too."""
        if self.verb in ("create", "clone"):
            return TaskStatus.CREATED
        if self.verb in ("delete", "destroy", "close"):
            return TaskStatus.DELETED
        return TaskStatus.DONE


@dataclasses.dataclass(frozen=True, slots=True)
class StatusChange:
    """One line of a task's history.

    :ivar at: when it happened, which is before it was heard of.
    """

    status: TaskStatus
    at: datetime.datetime
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """Accepted work.

    :ivar object_kind: what it works on (:class:`nova_multi.domain.names.Kind`).
    :ivar object_uuid: empty while there is none.
    :ivar goal: the status at which it is finished: ``created`` is the end of an
        instance without a provisioner, and a station of one with.
    :ivar history: in the order of the statuses, the present one last. The clocks of
        several machines are in it, so the times need not rise.
    :ivar log: what was written while it ran; lists leave it out.
    :ivar request_ids: of OpenStack's services, and of the request that was accepted.
    :ivar parent_uuid: the task that it is a part of.
    :ivar project_id: whose it is.
    :ivar user_id: who asked for it.
    """

    uuid: str
    type: TaskType
    object_kind: str
    status: TaskStatus
    created: datetime.datetime
    last_update: datetime.datetime
    goal: TaskStatus
    object_uuid: str = ""
    description: str = ""
    history: tuple[StatusChange, ...] = ()
    log: str = ""
    request_ids: tuple[str, ...] = ()
    parent_uuid: str | None = None
    project_id: str = ""
    user_id: str = ""

    @classmethod
    def accepted(
        cls,
        uuid: str,
        type: TaskType,
        object_kind: str,
        at: datetime.datetime,
        *,
        object_uuid: str = "",
        description: str = "",
        goal: TaskStatus | None = None,
        request_ids: tuple[str, ...] = (),
        parent_uuid: str | None = None,
        project_id: str = "",
        user_id: str = "",
    ) -> Task:
        """A new task, pending.

        :param goal: if it isn't what tasks of that type usually reach.
        """
        return cls(
            uuid=uuid,
            type=type,
            object_kind=object_kind,
            status=TaskStatus.PENDING,
            created=at,
            last_update=at,
            goal=goal or type.goal,
            object_uuid=object_uuid,
            description=description,
            history=(StatusChange(TaskStatus.PENDING, at),),
            request_ids=request_ids,
            parent_uuid=parent_uuid,
            project_id=project_id,
            user_id=user_id,
        )

    @property
    def is_final(self) -> bool:
        """It has ended, well or not."""
        return self.status == self.goal or self.status.is_final

    def advanced(
        self, status: TaskStatus, at: datetime.datetime, message: str = ""
    ) -> Task:
        """The task after ``status`` was heard of.

        One that the history has already changes nothing. One that was passed before
        it was heard of goes into the history, the present status stays.

        :raises Conflict: it can't follow, the task has ended otherwise.
        """
        if any(change.status == status for change in self.history):
            return self
        late = self.status in ALLOWED[status] and self.status != TaskStatus.ERROR
        follows = status in ALLOWED[self.status] and not self.is_final
        if not self._leads_on(status) or not (late or follows):
            raise Conflict(
                f"task {self.uuid} ({self.type}) is {self.status}: it can't become "
                f"{status}",
                field="status",
                code="task_transition",
            )
        # Nova tells some times in whole seconds: no status is to be seen before the one
        # that it follows.
        ranks = list(TaskStatus)
        before = [
            change.at
            for change in self.history
            if ranks.index(change.status) < ranks.index(status)
        ]
        line = StatusChange(status, max([at, *before]), message)
        return dataclasses.replace(
            self,
            status=self.status if late else status,
            last_update=max(self.last_update, line.at),
            history=in_order((*self.history, line)),
        )

    def _leads_on(self, status: TaskStatus) -> bool:
        """Whether a task with this goal ever has that status."""
        ends = (self.goal, TaskStatus.ERROR)
        return status in ends or self.goal in ALLOWED[status]


def in_order(history: Iterable[StatusChange]) -> tuple[StatusChange, ...]:
    """A history as a task has it, the present status last."""
    ranks = list(TaskStatus)
    return tuple(sorted(history, key=lambda change: ranks.index(change.status)))
