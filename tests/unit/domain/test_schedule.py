# SPDX-License-Identifier: Apache-2.0
"""Working hours: what is read, and the moments at which they begin and end."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_multi.domain.errors import Invalid
from nova_multi.domain.schedule import (
    DAY,
    Days,
    Hours,
    Schedule,
    check_timezone,
    format_days,
    parse_days,
)

UTC = datetime.UTC
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
MINUTE = datetime.timedelta(minutes=1)

ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        # Half an hour of summer time; midnight that is left out; far from everybody.
        "Australia/Lord_Howe",
        "America/Havana",
        "Asia/Kathmandu",
        "Pacific/Apia",
    ]
)


@st.composite
def hours(draw: st.DrawFn) -> Hours:
    begin = draw(st.integers(0, DAY - 1))
    return Hours(begin, begin + draw(st.integers(1, DAY)))


DATES = st.dates(datetime.date(2024, 1, 1), datetime.date(2027, 12, 31))


@st.composite
def closed(draw: st.DrawFn) -> Days:
    first = draw(DATES)
    return Days(first, first + datetime.timedelta(days=draw(st.integers(0, 20))))


SCHEDULES = st.builds(
    Schedule,
    timezone=ZONES,
    days=st.sets(st.integers(0, 6), min_size=1).map(sorted).map(tuple),
    hours=st.lists(hours(), min_size=1, max_size=3).map(tuple),
    closed=st.lists(closed(), max_size=3).map(tuple),
)
MOMENTS = st.datetimes(
    datetime.datetime(2024, 1, 3),
    datetime.datetime(2027, 12, 20),
    timezones=st.just(UTC),
)


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(UTC)


def workdays(*ranges: str, timezone: str = "Europe/Berlin") -> Schedule:
    return Schedule(timezone, parse_days("mon-fri"), tuple(map(Hours.parse, ranges)))


@pytest.mark.parametrize(
    "text, begin, end",
    [
        ("08:00-18:00", 480, 1080),
        (" 08:15 - 18:30 ", 495, 1110),
        ("22:00-06:00", 1320, 1800),
        ("00:00-24:00", 0, 1440),
        ("18:00-00:00", 1080, 1440),
    ],
)
def test_hours_are_read(text: str, begin: int, end: int) -> None:
    found = Hours.parse(text)
    assert (found.begin, found.end) == (begin, end)
    assert Hours.parse(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "8-18", "08:00", "08:60-09:00", "24:00-03:00", "25:00-26:00",
             "08:00-08:00", "08:00-24:01", "٠٨:00-18:00"]
)  # fmt: skip
def test_what_is_no_part_of_a_day(text: str) -> None:
    with pytest.raises(Invalid):
        Hours.parse(text)


@pytest.mark.parametrize(
    "text, days",
    [
        ("mon", (0,)),
        ("Mon-Fri", (0, 1, 2, 3, 4)),
        ("sat-mon", (0, 5, 6)),
        ("sun-sat", tuple(range(7))),
    ],
)
def test_weekdays_are_read(text: str, days: tuple[int, ...]) -> None:
    assert parse_days(text) == days


@pytest.mark.parametrize("text", ["", "monday", "mon-", "-fri", "mon-fri-sun", "1"])
def test_what_is_no_weekday(text: str) -> None:
    with pytest.raises(Invalid):
        parse_days(text)


@given(st.sets(st.integers(0, 6), min_size=1))
def test_weekdays_are_written_as_they_are_read(days: set[int]) -> None:
    ordered = tuple(sorted(days))
    found = {day for text in format_days(ordered) for day in parse_days(text)}
    assert tuple(sorted(found)) == ordered


@pytest.mark.parametrize("text", ["2026-12-24", "2026-12-24..2027-01-01"])
def test_days_of_the_calendar(text: str) -> None:
    found = Days.parse(text)
    assert str(found) == text
    assert datetime.date(2026, 12, 24) in found
    assert datetime.date(2027, 1, 2) not in found


@pytest.mark.parametrize(
    "text", ["", "24.12.2026", "2026-02-30", "2026-12-24..", "2026-12-24..2026-12-23",
             "2026-W52", "20261224"]
)  # fmt: skip
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(Invalid):
        Days.parse(text)


@pytest.mark.parametrize(
    "name", ["", "Mars/Phobos", "../etc/passwd", "/etc/passwd", "a\0"]
)
def test_what_is_no_time_zone(name: str) -> None:
    with pytest.raises(Invalid):
        check_timezone(name)
    assert check_timezone("Europe/Berlin") == "Europe/Berlin"


def test_a_week_of_work() -> None:
    found = workdays("08:00-12:00", "13:00-18:00")
    friday = at("2026-11-27T17:30:00+01:00")
    assert found.is_open(friday)
    assert found.last_change(friday) == at("2026-11-27T13:00:00+01:00")
    assert found.next_change(friday) == at("2026-11-27T18:00:00+01:00")
    evening = at("2026-11-27T18:00:00+01:00")
    assert not found.is_open(evening)
    assert found.last_change(evening) == evening
    assert found.next_change(evening) == at("2026-11-30T08:00:00+01:00")


def test_over_midnight_belongs_to_the_day_of_the_begin() -> None:
    found = Schedule("UTC", parse_days("fri"), (Hours.parse("22:00-06:00"),))
    assert found.is_open(at("2026-11-28T05:59:00Z"))
    assert not found.is_open(at("2026-11-28T06:00:00Z"))
    assert not found.is_open(at("2026-11-27T05:00:00Z"))


def test_what_follows_at_once_is_no_change() -> None:
    found = Schedule("UTC", parse_days("mon-tue"), (Hours.parse("00:00-24:00"),))
    monday = at("2026-11-30T12:00:00Z")
    assert found.last_change(monday) == at("2026-11-30T00:00:00Z")
    assert found.next_change(monday) == at("2026-12-02T00:00:00Z")


def test_days_that_are_left_out() -> None:
    found = Schedule(
        "UTC",
        hours=(Hours.parse("08:00-18:00"),),
        closed=(Days.parse("2026-12-24..2027-01-01"),),
    )
    assert not found.is_open(at("2026-12-24T12:00:00Z"))
    assert found.next_change(at("2026-12-23T18:00:00Z")) == at("2027-01-02T08:00:00Z")


def test_always_and_never() -> None:
    moment = at("2026-11-30T12:00:00Z")
    always = Schedule()
    assert always.is_always and always.is_open(moment)
    assert always.next_change(moment) is always.last_change(moment) is None
    years = Days(datetime.date(2000, 1, 1), datetime.date(2100, 1, 1))
    never = Schedule(hours=(Hours.parse("08:00-18:00"),), closed=(years,))
    assert not never.is_open(moment)
    assert never.next_change(moment) is never.last_change(moment) is None


@pytest.mark.parametrize(
    "hours, after, moment",
    [
        # 02:00 to 03:00 is left out on that day...
        ("02:30-05:00", "2026-03-28T20:00:00Z", "2026-03-29T01:00:00Z"),
        ("01:00-02:30", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
        # ... and is there twice on this.
        ("02:30-05:00", "2026-10-24T20:00:00Z", "2026-10-25T00:30:00Z"),
        ("01:00-02:30", "2026-10-24T23:20:00Z", "2026-10-25T01:30:00Z"),
        # A whole part that never comes.
        ("02:15-02:45", "2026-03-28T20:00:00Z", "2026-03-30T00:15:00Z"),
    ],
)
def test_clocks_that_are_changed(hours: str, after: str, moment: str) -> None:
    found = Schedule("Europe/Berlin", hours=(Hours.parse(hours),))
    assert found.next_change(at(after)) == at(moment)


def test_a_zone_that_left_a_day_out() -> None:
    """Samoa had no 30 December 2011."""
    found = Schedule("Pacific/Apia", hours=(Hours.parse("08:00-18:00"),))
    before = at("2011-12-29T18:00:00-10:00")
    assert found.next_change(before) == at("2011-12-31T08:00:00+14:00")


def test_the_end_of_the_calendar() -> None:
    found = workdays("08:00-18:00")
    for moment in (datetime.datetime.max, datetime.datetime.min):
        aware = moment.replace(tzinfo=UTC)
        # A zone may have no such time; nothing else goes wrong.
        try:
            found.is_open(aware)
            found.next_change(aware)
            found.last_change(aware)
        except OverflowError:
            pass


@settings(max_examples=200, deadline=None)
@given(SCHEDULES, MOMENTS)
def test_it_is_as_clocks_show(schedule: Schedule, moment: datetime.datetime) -> None:
    """Against a look at the clock; times that it shows twice are left out."""
    where = zoneinfo.ZoneInfo(schedule.timezone)
    local = moment.astimezone(where)
    around = {
        (moment + datetime.timedelta(hours=hours)).astimezone(where).utcoffset()
        for hours in range(-50, 51, 1)
    }
    if len(around) > 1:
        return
    naive = local.replace(tzinfo=None)
    wanted = False
    for back in range(3):
        day = naive.date() - datetime.timedelta(days=back)
        if day.weekday() not in schedule.days or any(day in d for d in schedule.closed):
            continue
        midnight = datetime.datetime.combine(day, datetime.time())
        for each in schedule.hours:
            begin, end = (midnight + m * MINUTE for m in (each.begin, each.end))
            wanted = wanted or begin <= naive < end
    assert schedule.is_open(moment) == wanted


@settings(max_examples=200, deadline=None)
@given(SCHEDULES, MOMENTS)
def test_changes_are_where_it_changes(
    schedule: Schedule, moment: datetime.datetime
) -> None:
    now = schedule.is_open(moment)
    tick = datetime.timedelta(microseconds=1)
    later = schedule.next_change(moment)
    if later is not None:
        assert later > moment
        assert schedule.is_open(later) != now
        assert schedule.is_open(later - tick) == now
        assert schedule.last_change(later) == later
        half = moment + (later - moment) / 2
        assert schedule.is_open(half) == now
        assert schedule.next_change(half) == later
    before = schedule.last_change(moment)
    if before is not None:
        assert before <= moment
        assert schedule.is_open(before) == now
        assert schedule.is_open(before - tick) != now
        assert schedule.next_change(before - tick) == before
