# SPDX-License-Identifier: Apache-2.0
"""Environments: isolated places of a partition, each with its users and a network."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any

from nova_multi.domain.partition import Limits
from nova_multi.domain.schedule import Now


class EnvironmentState(enum.StrEnum):
    """Whether an environment can be used."""

    CREATING = "creating"
    READY = "ready"
    DELETING = "deleting"
    ERROR = "error"


@dataclasses.dataclass(frozen=True, slots=True)
class Environment:
    """An environment.

    :ivar uuid: its project's id.
    :ivar partition: name of its partition.
    :ivar users: logins of who may use it.
    :ivar groups: names of the groups that count for permissions.
    :ivar schedule: when it stands, as the definition says it; empty for always.
    :ivar hours: what that says now; None for always, and in lists.
    :ivar definition: what it was applied from.
    :ivar network_id: its own network.
    :ivar publish_address: where its published ports are; empty while there are none.
    """

    uuid: str
    name: str
    partition: str
    description: str = ""
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    schedule: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    hours: Now | None = None
    definition: str = ""
    state: EnvironmentState = EnvironmentState.CREATING
    limits: Limits = Limits()
    network_id: str = ""
    publish_address: str = ""
    created: datetime.datetime | None = None
    modified: datetime.datetime | None = None
