# SPDX-License-Identifier: Apache-2.0
"""Working hours of environments, as their records keep them."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Mapping
from typing import Any

from nova_multi import spec
from nova_multi.domain import times
from nova_multi.domain.errors import Invalid
from nova_multi.domain.schedule import Schedule
from nova_multi.provision.store import Record

LOG = logging.getLogger(__name__)

#: Keys of an environment's record: its schedule, as :func:`spec.dump_schedule` gives
#: it, and the last change that was seen to.
SCHEDULE, MARK = "schedule", "hours"
#: Another one: outside ports that instances had when they were closed, by their places
#: in the definition, as :class:`nova_multi.domain.publish.Publish` writes them.
PORTS = "closed_ports"
#: Another one: names of the instances whose disks are to come back though the schedule
#: that has named them is gone, until an apply has made them of these.
CLOSED_SAVE = "closed_save"


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What was seen to last.

    :ivar is_open: whether the environment was to stand.
    :ivar since: since when, in RFC 3339; empty for always.
    :ivar task: UUID of the task that sees to it; empty where there was nothing to do.
    :ivar tries: how many tasks there were before.
    """

    is_open: bool
    since: str = ""
    task: str = ""
    tries: int = 0

    def data(self) -> dict[str, Any]:
        """As the record keeps it."""
        return {
            "open": self.is_open,
            "since": self.since,
            "task": self.task,
            "tries": self.tries,
        }

    def is_same(self, other: Seen) -> bool:
        """Whether both are of the same period."""
        return (self.is_open, self.since) == (other.is_open, other.since)


def schedule_of(environment: Record) -> Schedule:
    """An environment's schedule; one that can't be read counts as none."""
    try:
        return spec.load_schedule(environment.data.get(SCHEDULE) or {})
    except Invalid as error:
        LOG.debug("schedule of environment %s: %s", environment.name, error)
        return Schedule()


def seen(environment: Record) -> Seen | None:
    """What was seen to last; None if nothing was since the schedule was changed."""
    found = environment.data.get(MARK)
    if not found:
        return None
    return Seen(found["open"], found["since"], found["task"], found["tries"])


def wanted(schedule: Schedule, now: datetime.datetime) -> Seen:
    """What is to be seen to at a moment."""
    change = schedule.last_change(now)
    since = times.format_time(change) if change else ""
    return Seen(schedule.is_open(now), since)


def changed(environment: Record, schedule: Schedule) -> dict[str, Any]:
    """Entries for the record of an environment that gets this schedule."""
    data = spec.dump_schedule(schedule)
    if data == (environment.data.get(SCHEDULE) or {}):
        return {}
    last = seen(environment)
    # What is away because of its hours comes back when it has none any more.
    stays = schedule.is_always and last is not None and not last.is_open
    # So do the disks of what is away, or was a moment ago.
    away = schedule.is_always and not (last and last.is_open)
    parts = list(saved_parts(environment)) if away else None
    return {
        SCHEDULE: data,
        CLOSED_SAVE: parts or None,
        **({} if stays else {MARK: None}),
    }


def saved_parts(environment: Record) -> tuple[str, ...]:
    """Names in the definition of the instances that are made of disks that are kept."""
    left = coming_back(environment)
    return tuple(dict.fromkeys((*schedule_of(environment).save, *left)))


def coming_back(environment: Record) -> tuple[str, ...]:
    """Those of them that a schedule named which is gone."""
    return tuple(environment.data.get(CLOSED_SAVE) or ())


def read(fields: Mapping[str, Any]) -> Schedule:
    """A schedule that was asked for; None is always.

    :raises Invalid: all that is wrong with it.
    """
    return spec.load_schedule(fields.get(SCHEDULE) or {})
