# SPDX-License-Identifier: Apache-2.0
"""Values that the store keeps and hands out."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from nova_multi.domain.permissions import Permissions
from nova_multi.domain.task import Task


@dataclasses.dataclass(frozen=True, slots=True)
class ClaimedTask:
    """A task that a worker owns until its lease ends.

    :ivar payload: what was asked for; never changes.
    :ivar progress: what the last owner saved of how far it came.
    :ivar fencing: number of this claim. Each claim of a task has a higher one; changes
        with an older one are refused.
    :ivar secret_refs: where secrets are kept that the work needs.
    :ivar leased_until: when others may claim it.
    """

    task: Task
    payload: Mapping[str, Any]
    progress: Mapping[str, Any]
    fencing: int
    leased_until: datetime.datetime
    secret_refs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """Ties a name to what OpenStack has for it, and keeps what OpenStack doesn't.

    :ivar kind: see :class:`nova_multi.domain.names.Kind`.
    :ivar scope: uuid of what the name is unique in; empty for names that are unique
        overall.
    :ivar openstack_id: id of the project, server, image or aggregate; empty while there
        is none, and for what OpenStack has no home for.
    :ivar data: further fields, as JSON.
    :ivar owner_id: user id of the creator.
    :ivar task_uuid: the task that made it.
    """

    kind: str
    uuid: str
    name: str
    created: datetime.datetime
    modified: datetime.datetime
    scope: str = ""
    project_id: str = ""
    openstack_id: str = ""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    owner_id: str = ""
    permissions: Permissions = Permissions()
    task_uuid: str = ""
