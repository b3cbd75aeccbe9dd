# SPDX-License-Identifier: Apache-2.0
"""Partitions: hosts of their own, and limits for all environments together."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable

from nova_multi.domain.errors import Conflict


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Upper limits; None is none."""

    instances: int | None = None
    cpus: int | None = None
    memory_mb: int | None = None


_TOLD = {"instances": "instances", "cpus": "CPUs", "memory_mb": "MB of memory"}
_FIELDS = {
    "instances": "limits.instances",
    "cpus": "limits.cpus",
    "memory_mb": "limits.memory",
}


def check_limits(partition: str, limit: Limits, parts: Iterable[Limits]) -> None:
    """See that what environments may use stays within what their partition may.

    :param partition: its name.
    :param parts: the limits of its environments as they would be.
    :raises Conflict: their sum is more, or one of them has no limit where the
        partition has one.
    """
    parts = list(parts)
    for name, told in _TOLD.items():
        most = getattr(limit, name)
        if most is None:
            continue
        amounts = [getattr(part, name) for part in parts]
        if None in amounts:
            raise Conflict(
                f"partition {partition} has at most {most} {told}: each of its "
                "environments needs a limit, too",
                field=_FIELDS[name],
                code="partition_limit",
            )
        if sum(amounts) > most:
            raise Conflict(
                f"partition {partition} has at most {most} {told}, its environments "
                f"would have {sum(amounts)}",
                field=_FIELDS[name],
                code="partition_limit",
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Partition:
    """A partition.

    :ivar uuid: its project's id.
    :ivar aggregate_id: the host aggregate; empty while it has no hosts.
    :ivar hosts: names of the machines in it. A partition without any uses those of no
        partition.
    """

    uuid: str
    name: str
    description: str = ""
    aggregate_id: str = ""
    hosts: tuple[str, ...] = ()
    limits: Limits = Limits()
    created: datetime.datetime | None = None
    modified: datetime.datetime | None = None
