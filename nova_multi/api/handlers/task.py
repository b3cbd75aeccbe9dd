# SPDX-License-Identifier: Apache-2.0
"""Tasks."""

from __future__ import annotations

import dataclasses

from nova_multi.api.handlers.base import Call, Route
from nova_multi.api.schemas import task
from nova_multi.domain.task import Task, TaskStatus
from nova_multi.provision.service import Page, Scope


def list_(call: Call) -> Page[Task]:
    """``GET /tasks``."""
    return call.service.tasks.list(call.caller, call.page)


def list_of_status(call: Call) -> Page[Task]:
    """``GET /tasks/status/{status}``."""
    status = TaskStatus.parse(call.names["status"])
    query = call.page
    filters = {**query.filters, "status": str(status)}
    return call.service.tasks.list(
        call.caller, dataclasses.replace(query, filters=filters)
    )


def show(call: Call) -> Task:
    """``GET /tasks/{uuid}``."""
    return call.service.tasks.show(call.caller, call.names["uuid"], Scope())


def delete(call: Call) -> None:
    """``DELETE /tasks/{uuid}``."""
    call.service.tasks.delete(call.caller, call.names["uuid"])


ROUTES = [
    Route(
        "GET",
        "/tasks",
        list_,
        "List tasks, the newest first",
        "multi:task:list",
        query=task.TaskQuery,
        answer=task.TaskAnswer,
        plural="tasks",
    ),
    Route(
        "GET",
        "/tasks/status/{status}",
        list_of_status,
        "List tasks of one status",
        "multi:task:list",
        query=task.TaskByStatusQuery,
        answer=task.TaskAnswer,
        plural="tasks",
    ),
    Route(
        "GET",
        "/tasks/{uuid}",
        show,
        "Show a task",
        "multi:task:show",
        answer=task.TaskAnswer,
    ),
    Route(
        "DELETE",
        "/tasks/{uuid}",
        delete,
        "Forget a task that has ended",
        "multi:task:delete",
        verb="delete",
    ),
]
