# SPDX-License-Identifier: Apache-2.0
"""Tasks."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from nova_multi.api.schemas.base import (
    UNSET,
    Answer,
    ListQuery,
    Read,
    Reference,
    Time,
    word_of,
)
from nova_multi.domain.errors import Invalid
from nova_multi.domain.task import StatusChange, Task, TaskStatus, TaskType


def _type(text: Any) -> TaskType:
    try:
        return TaskType(text)
    except ValueError as error:
        raise Invalid(f"task type {text!r:.40} is unknown") from error


_Type = Annotated[Any, word_of(_type, TaskType)]
_Status = Annotated[
    Any,
    Read(TaskStatus.parse, {"type": "string", "enum": [*map(str, TaskStatus)]}),
]


class Change(Answer):
    """A status that the task has reached, and when."""

    status: TaskStatus
    at: Time
    message: str

    @classmethod
    def of(cls, value: StatusChange) -> Self:
        return cls(status=value.status, at=value.at, message=value.message)


class TaskAnswer(Answer):
    """A task; lists leave its log out."""

    uuid: str
    description: str
    type: TaskType
    object_uuid: str
    status: TaskStatus
    status_history: list[Change]
    log: str
    created: Time
    last_update: Time
    request_ids: list[str]
    parent_uuid: str | None
    ended: bool = Field(description="Nothing more will happen, well or not.")

    @classmethod
    def of(cls, value: Task) -> Self:
        return cls(
            uuid=value.uuid,
            description=value.description,
            type=value.type,
            object_uuid=value.object_uuid,
            status=value.status,
            status_history=[Change.of(change) for change in value.history],
            log=value.log,
            created=value.created,
            last_update=value.last_update,
            request_ids=list(value.request_ids),
            parent_uuid=value.parent_uuid,
            ended=value.is_final,
        )


class TaskByStatusQuery(ListQuery):
    """Filters of a list of tasks of one status."""

    type: _Type = UNSET
    object_uuid: Reference = UNSET
    parent_uuid: Reference = UNSET


class TaskQuery(TaskByStatusQuery):
    """Filters of a list of tasks."""

    status: _Status = UNSET
