# SPDX-License-Identifier: Apache-2.0
"""A task that stands for several others and ends when all of them have."""

from __future__ import annotations

from nova_multi.domain.errors import Conflict
from nova_multi.domain.task import TaskStatus
from nova_multi.provision.steps.base import Step, Wait, Work

_LOOK = 2.0
#: Failed ones that the message names; the others are counted.
_NAMED = 5


def _all(work: Work) -> None:
    children = work.payload["children"]
    # Those that are missing were deleted, which only an ended one can be.
    tasks = work.tools.store.tasks(None, parent_uuid=work.uuid, limit=len(children))
    if not all(task.is_final for task in tasks):
        raise Wait(_LOOK)
    failed = sorted(
        task.description for task in tasks if task.status is TaskStatus.ERROR
    )
    if failed:
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        raise Conflict(
            f"{len(failed)} of {len(children)} failed:"
            f" {', '.join(failed[:_NAMED])}{more}; see their own tasks"
        )


STEPS = [Step("parts", "instances", _all)]
