# SPDX-License-Identifier: Apache-2.0
"""Working hours: when an environment stands, and the moments at which that changes.

What a schedule says is said in the clock time of its zone. An hour that a clock leaves
out (the begin of summer time) is over in the moment in which it would begin; one that
it shows twice begins the first time and ends the second.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import re
import zoneinfo
from collections.abc import Iterator

from nova_multi.domain.errors import Invalid

#: Minutes of a day.
DAY = 24 * 60
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Days in which a moment of change is looked for, before and after a moment.
HORIZON = 800

_RANGE = re.compile(r"(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)", re.ASCII)
_UTC = datetime.UTC


class Unsaved(enum.StrEnum):
    """What becomes of an environment of which something could not be saved."""

    #: It stands until it could be.
    KEEP = "keep"
    #: It is destroyed all the same.
    DESTROY = "destroy"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Hours:
    """A part of a day.

    :ivar begin: minutes from midnight.
    :ivar end: the same; over 1440 where it ends on the day after.
    """

    begin: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Read ``08:00-18:00``; ``22:00-06:00`` goes over midnight.

        :raises Invalid: it is nothing of the kind.
        """
        found = _RANGE.fullmatch(text.strip())
        if not found:
            raise Invalid(f"{text!r:.40} is no part of a day such as 08:00-18:00")
        hour, minute, last_hour, last_minute = map(int, found.groups())
        begin, end = hour * 60 + minute, last_hour * 60 + last_minute
        if minute > 59 or last_minute > 59 or begin >= DAY or end > DAY:
            raise Invalid(f"{text!r} is no part of a day: there are 00:00 to 24:00")
        if begin == end:
            raise Invalid(f"{text!r} is no time at all: a whole day is 00:00-24:00")
        return cls(begin, end if end > begin else end + DAY)

    def __str__(self) -> str:
        """As :meth:`parse` reads it."""
        end = self.end if self.end <= DAY else self.end - DAY
        return f"{_clock(self.begin)}-{_clock(end)}"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Days:
    """Days of the calendar, both ends counted."""

    first: datetime.date
    last: datetime.date

    @classmethod
    def parse(cls, text: str) -> Days:
        """Read ``2026-12-24``, or ``2026-12-24..2027-01-01``.

        :raises Invalid: it is nothing of the kind.
        """
        first, dots, last = text.strip().partition("..")
        try:
            begin = _date(first)
            end = _date(last) if dots else begin
        except ValueError as error:
            raise Invalid(
                f"{text!r:.40} is no day such as 2026-12-24, nor some such as"
                " 2026-12-24..2027-01-01"
            ) from error
        if end < begin:
            raise Invalid(f"{text!r}: the last day is before the first")
        return cls(begin, end)

    def __str__(self) -> str:
        """As :meth:`parse` reads it."""
        return str(self.first) + (f"..{self.last}" if self.last != self.first else "")

    def __contains__(self, day: datetime.date) -> bool:
        return self.first <= day <= self.last


@dataclasses.dataclass(frozen=True, slots=True)
class Schedule:
    """When an environment stands.

    :ivar timezone: a name of the time zone database.
    :ivar days: weekdays on which its hours begin, Monday is 0.
    :ivar hours: of each of these days.
    :ivar closed: days on which none begins.
    :ivar save: names of instances in the definition whose disks are kept meanwhile.
    :ivar unsaved: what is done if one of these could not be kept.
    """

    timezone: str = "UTC"
    days: tuple[int, ...] = tuple(range(7))
    hours: tuple[Hours, ...] = (Hours(0, DAY),)
    closed: tuple[Days, ...] = ()
    save: tuple[str, ...] = ()
    unsaved: Unsaved = Unsaved.KEEP

    @property
    def is_always(self) -> bool:
        """There is no moment at which anything changes."""
        whole = any(each.end - each.begin >= DAY for each in self.hours)
        return whole and not self.closed and set(self.days) == set(range(7))

    def is_open(self, at: datetime.datetime) -> bool:
        """Whether the environment is to stand at a moment, which is aware."""
        day = at.astimezone(zone(self.timezone)).date()
        return any(begin <= at < end for begin, end in self._periods(day, -2, 3))

    def next_change(self, at: datetime.datetime) -> datetime.datetime | None:
        """The first moment after ``at`` at which it is otherwise, in UTC.

        None if there is none for years.
        """
        if self.is_always:
            return None
        day = at.astimezone(zone(self.timezone)).date()
        for begin, end in self._merged(day, -2, HORIZON):
            if at < begin:
                return begin
            if at < end:
                # What ends behind the last day that was looked at has no end.
                return end if _days(day, end) < HORIZON - 2 else None
        return None

    def last_change(self, at: datetime.datetime) -> datetime.datetime | None:
        """The last moment up to ``at`` at which it was otherwise before, in UTC.

        None if there was none for years.
        """
        if self.is_always:
            return None
        day = at.astimezone(zone(self.timezone)).date()
        found = None
        # Usually it was some days ago.
        for span in (10, HORIZON):
            for begin, end in self._merged(day, -span, 3):
                for moment in (begin, end):
                    # What began before the first of these days has no begin.
                    if moment <= at and _days(moment, day) < span - 2:
                        found = moment
            if found:
                return found
        return None

    def _merged(
        self, day: datetime.date, first: int, last: int
    ) -> Iterator[tuple[datetime.datetime, datetime.datetime]]:
        """Periods without those that only continue others, in their order."""
        now: tuple[datetime.datetime, datetime.datetime] | None = None
        for begin, end in self._periods(day, first, last):
            if now and begin <= now[1]:
                now = now[0], max(now[1], end)
                continue
            if now:
                yield now
            now = begin, end
        if now:
            yield now

    def _periods(
        self, day: datetime.date, first: int, last: int
    ) -> Iterator[tuple[datetime.datetime, datetime.datetime]]:
        """Periods that begin on some days around a day, in UTC, by their begin."""
        where, ordered = zone(self.timezone), sorted(self.hours)
        for number in range(first, last):
            try:
                each = day + datetime.timedelta(days=number)
            except OverflowError:
                continue
            if each.weekday() not in self.days:
                continue
            if any(each in days for days in self.closed):
                continue
            for hours in ordered:
                begin = _moment(where, each, hours.begin, 0)
                end = _moment(where, each, hours.end, 1)
                if begin < end:
                    yield begin, end


@dataclasses.dataclass(frozen=True, slots=True)
class Now:
    """What a schedule says at a moment.

    :ivar is_open: whether the environment is to stand.
    :ivar until: when that changes, in UTC; None if it doesn't for years.
    :ivar task: UUID of the task that last saw to a change; empty if none has.
    """

    is_open: bool
    until: datetime.datetime | None = None
    task: str = ""


def parse_days(text: str) -> tuple[int, ...]:
    """Weekdays: ``mon``, or ``mon-fri``; ``sat-mon`` goes over the end of the week.

    :raises Invalid: it is nothing of the kind.
    """
    first, dash, last = (part.strip().lower() for part in text.partition("-"))
    try:
        begin = WEEKDAYS.index(first)
        end = WEEKDAYS.index(last) if dash else begin
    except ValueError as error:
        raise Invalid(
            f"{text!r:.40} is no weekday, nor some such as mon-fri; there are"
            f" {', '.join(WEEKDAYS)}"
        ) from error
    count = (end - begin) % 7 + 1
    return tuple(sorted((begin + number) % 7 for number in range(count)))


def format_days(days: tuple[int, ...]) -> list[str]:
    """Weekdays as :func:`parse_days` reads each of them, in few words."""
    found: list[str] = []
    left = sorted(days)
    while left:
        end = 0
        while end + 1 < len(left) and left[end + 1] == left[end] + 1:
            end += 1
        if end > 1:
            found.append(f"{WEEKDAYS[left[0]]}-{WEEKDAYS[left[end]]}")
            left = left[end + 1 :]
        else:
            found.append(WEEKDAYS[left.pop(0)])
    return found


def check_timezone(name: str) -> str:
    """A name of the time zone database.

    :raises Invalid: it has no such zone.
    """
    try:
        zone(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise Invalid(
            f"there is no time zone {name!r:.60}; Europe/Berlin and UTC are some"
        ) from error
    return name


@functools.lru_cache(maxsize=256)
def zone(name: str) -> zoneinfo.ZoneInfo:
    """A time zone.

    :raises ValueError: the name is none.
    :raises zoneinfo.ZoneInfoNotFoundError: there is none.
    """
    return zoneinfo.ZoneInfo(name)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _date(text: str) -> datetime.date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip(), re.ASCII):
        raise ValueError(text)
    return datetime.date.fromisoformat(text.strip())


def _days(
    first: datetime.date | datetime.datetime, last: datetime.date | datetime.datetime
) -> int:
    return (_day(last) - _day(first)).days


def _day(at: datetime.date | datetime.datetime) -> datetime.date:
    return at.date() if isinstance(at, datetime.datetime) else at


def _moment(
    where: datetime.tzinfo, day: datetime.date, minutes: int, fold: int
) -> datetime.datetime:
    """When clocks show a time, in UTC.

    :param fold: which of the two, where they show it twice.
    """
    try:
        local = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(
            minutes=minutes
        )
        aware = local.replace(tzinfo=where, fold=fold).astimezone(_UTC)
        if aware.astimezone(where).replace(tzinfo=None, fold=0) == local:
            return aware
        # Never shown: the moment in which it was left out.
        before, after = sorted(
            local.replace(tzinfo=where, fold=each).astimezone(_UTC) for each in (0, 1)
        )
        return _jump(where, before, after)
    except OverflowError:
        # The end of the calendar, which nobody waits for.
        return datetime.datetime.max.replace(tzinfo=_UTC)


def _jump(
    where: datetime.tzinfo, before: datetime.datetime, after: datetime.datetime
) -> datetime.datetime:
    """The moment between two at which a zone's offset changes."""
    offset = before.astimezone(where).utcoffset()
    while after - before > datetime.timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(where).utcoffset() == offset:
            before = middle
        else:
            after = middle
    # Clocks are changed at whole seconds, of which there is one between the two.
    return after.replace(microsecond=0)
