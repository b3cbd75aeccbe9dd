# SPDX-License-Identifier: Apache-2.0
"""What an environment has used, and what its working hours have saved.

An instance uses its size from the moment in which its server is first seen to run until
the server is gone, also while it is stopped: the size is taken from a host all the
time. Saved is what an instance would have used while it was away because of working
hours.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Iterable, Mapping

from nova_multi.domain.errors import Invalid


class End(enum.StrEnum):
    """Why an instance is not there any more."""

    #: Somebody asked for it.
    DELETED = "deleted"
    #: The working hours of its environment were over.
    CLOSED = "closed"
    #: Its server was deleted by other hands.
    GONE = "gone"


@dataclasses.dataclass(frozen=True, slots=True)
class Lifetime:
    """One server's life.

    :ivar server: its id in Nova.
    :ivar environment: UUID of the environment's record.
    :ivar environment_name: at that time.
    :ivar instance: UUID of the instance's record.
    :ivar part: its name in the definition; empty for one that no definition has made.
    :ivar number: which of that part's, from 0.
    :ivar ended: None while it lives.
    :ivar resumed: when one that was closed was made again, or was no longer wanted;
        None while it is to come again.
    """

    server: str
    environment: str
    environment_name: str
    instance: str
    name: str
    began: datetime.datetime
    part: str = ""
    number: int = 0
    driver: str = ""
    cpus: int = 0
    memory_mb: int = 0
    disk_gb: int = 0
    ended: datetime.datetime | None = None
    end: End | None = None
    resumed: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Amounts:
    """Sizes times hours."""

    instance_hours: float = 0.0
    cpu_hours: float = 0.0
    memory_mb_hours: float = 0.0
    disk_gb_hours: float = 0.0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.instance_hours + other.instance_hours,
            self.cpu_hours + other.cpu_hours,
            self.memory_mb_hours + other.memory_mb_hours,
            self.disk_gb_hours + other.disk_gb_hours,
        )

    @classmethod
    def of(cls, life: Lifetime, hours: float) -> Amounts:
        """What a size comes to in some hours."""
        return cls(
            hours,
            hours * life.cpus,
            hours * life.memory_mb,
            hours * life.disk_gb,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class InstanceUsage:
    """What the instances of one name have used, one after the other.

    :ivar instance: UUID of the last one's record.
    :ivar driver: of the last one.
    :ivar began: when the first of them did, also before the period.
    :ivar ended: when the last of them did; None while it lives.
    :ivar lives: how many there were in the period.
    """

    name: str
    part: str
    driver: str
    instance: str
    began: datetime.datetime
    ended: datetime.datetime | None
    lives: int
    used: Amounts
    saved: Amounts


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """What an environment has used in a period.

    :ivar begin: of the period.
    :ivar end: of the period; not behind the moment of the report.
    """

    environment: str
    begin: datetime.datetime
    end: datetime.datetime
    used: Amounts = Amounts()
    saved: Amounts = Amounts()
    instances: tuple[InstanceUsage, ...] = ()


def report(
    environment: str,
    lives: Iterable[Lifetime],
    now: datetime.datetime,
    begin: datetime.datetime | None = None,
    end: datetime.datetime | None = None,
) -> Usage:
    """Sum up what was used in a period.

    :param environment: its name.
    :param lives: of one environment.
    :param begin: the begin of the first life if None.
    :param end: the present if None, or behind it.
    :raises Invalid: it ends before it begins.
    """
    if begin is not None and end is not None and end < begin:
        raise Invalid("the period ends before it begins", field="to")
    ordered = sorted(lives, key=lambda each: each.began)
    end = now if end is None else min(end, now)
    if begin is None:
        begin = ordered[0].began if ordered else end
    begin = min(begin, end)
    by_name: dict[str, list[Lifetime]] = {}
    for each in ordered:
        if _is_within(each, begin, end):
            by_name.setdefault(each.name, []).append(each)
    first = {each.name: each.began for each in reversed(ordered)}
    found = tuple(
        _of_one(ones, first, now, begin, end) for _, ones in sorted(by_name.items())
    )
    return Usage(
        environment,
        begin,
        end,
        sum((each.used for each in found), Amounts()),
        sum((each.saved for each in found), Amounts()),
        found,
    )


def _of_one(
    ones: list[Lifetime],
    first: Mapping[str, datetime.datetime],
    now: datetime.datetime,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> InstanceUsage:
    last = ones[-1]
    used = saved = Amounts()
    for each in ones:
        hours = _hours(each.began, each.ended or now, begin, end)
        used += Amounts.of(each, hours)
        if each.ended is not None and each.end is End.CLOSED:
            away = _hours(each.ended, each.resumed or now, begin, end)
            saved += Amounts.of(each, away)
    return InstanceUsage(
        last.name,
        last.part,
        last.driver,
        last.instance,
        first[last.name],
        last.ended,
        len(ones),
        used,
        saved,
    )


def _is_within(
    life: Lifetime, begin: datetime.datetime, end: datetime.datetime
) -> bool:
    """Whether it has used or saved something in a period."""
    if life.began > end:
        return False
    last = life.ended
    if life.end is End.CLOSED:
        last = life.resumed
    return last is None or last >= begin


def _hours(
    first: datetime.datetime,
    last: datetime.datetime,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> float:
    """How much of a time is in a period."""
    seconds = (min(last, end) - max(first, begin)).total_seconds()
    return max(seconds, 0.0) / 3600
