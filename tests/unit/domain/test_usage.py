# SPDX-License-Identifier: Apache-2.0
"""Reports of usage: what was used, what was saved, and in which period."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_multi.domain.errors import Invalid
from nova_multi.domain.usage import Amounts, End, Lifetime, report

MONDAY = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)


def at(hours: float) -> datetime.datetime:
    return MONDAY + datetime.timedelta(hours=hours)


def life(
    server: str,
    began: float,
    ended: float | None = None,
    end: End | None = None,
    resumed: float | None = None,
    name: str = "web",
) -> Lifetime:
    return Lifetime(
        server,
        "e-1",
        "shop",
        f"i-{server}",
        name,
        at(began),
        part=name,
        driver="lxd",
        cpus=2,
        memory_mb=512,
        disk_gb=5,
        ended=None if ended is None else at(ended),
        end=end or (None if ended is None else End.DELETED),
        resumed=None if resumed is None else at(resumed),
    )


#: Two days of work, 8 to 18.
DAYS = (
    life("s1", 8, 18, End.CLOSED, 32),
    life("s2", 32, 42, End.CLOSED),
)


def test_two_days() -> None:
    found = report("shop", DAYS, at(48))
    assert (found.begin, found.end) == (at(8), at(48))
    assert found.used == Amounts(20, 40, 20 * 512, 100)
    assert found.saved == Amounts(14 + 6, 40, 20 * 512, 100)
    (one,) = found.instances
    assert (one.name, one.driver, one.lives, one.instance) == ("web", "lxd", 2, "i-s2")
    assert (one.began, one.ended) == (at(8), at(42))
    # As if it had run through.
    assert found.used.instance_hours + found.saved.instance_hours == 40


def test_what_lives_uses_until_now() -> None:
    found = report("shop", [life("s1", 8)], at(9.5))
    assert found.used.instance_hours == 1.5
    assert found.saved == Amounts()
    assert found.instances[0].ended is None


@pytest.mark.parametrize("end", [End.DELETED, End.GONE])
def test_what_was_deleted_saves_nothing(end: End) -> None:
    found = report("shop", [life("s1", 8, 10, end)], at(20))
    assert found.used.instance_hours == 2
    assert found.saved == Amounts()


def test_what_is_not_to_come_again_saves_no_more() -> None:
    found = report("shop", [life("s1", 8, 18, End.CLOSED, 20)], at(100))
    assert found.saved.instance_hours == 2


@pytest.mark.parametrize(
    "begin, end, used, saved, lives",
    [
        (9, 10, 1, 0, 1),
        (17, 20, 1, 2, 1),
        (0, 8, 0, 0, 1),
        (0, 7, 0, 0, 0),
        (20, 30, 0, 10, 1),
        (30, 40, 8, 2, 2),
        (44, None, 0, 4, 1),
        (None, 20, 10, 2, 1),
        # The future has used nothing.
        (40, 1000, 2, 6, 1),
        (900, 1000, 0, 0, 1),
    ],
)
def test_periods(
    begin: float | None, end: float | None, used: float, saved: float, lives: int
) -> None:
    found = report(
        "shop",
        DAYS,
        at(48),
        None if begin is None else at(begin),
        None if end is None else at(end),
    )
    assert found.used.instance_hours == used
    assert found.saved.instance_hours == saved
    assert sum(each.lives for each in found.instances) == lives
    assert found.begin <= found.end <= at(48)


def test_a_period_that_ends_before_it_begins() -> None:
    with pytest.raises(Invalid, match="ends before it begins"):
        report("shop", DAYS, at(48), at(10), at(9))


def test_nothing_at_all() -> None:
    found = report("shop", [], at(48))
    assert (found.begin, found.end) == (at(48), at(48))
    assert found.instances == ()
    assert found.used == found.saved == Amounts()


def test_several_by_name() -> None:
    ones = [life("s1", 8, name="web"), life("s2", 8, 9, name="db")]
    found = report("shop", ones, at(10))
    hours = {each.name: each.used.instance_hours for each in found.instances}
    assert list(hours.items()) == [("db", 1), ("web", 2)]
    assert found.used.instance_hours == 3


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8),
    st.lists(st.integers(0, 100), min_size=1, max_size=5),
)
def test_periods_add_up(spans: list[tuple[int, int]], cuts: list[int]) -> None:
    """What is used in parts of a period is what is used in all of it."""
    ones = [
        life(f"s{number}", began, began + length, End.CLOSED, began + 2 * length)
        for number, (began, length) in enumerate(spans)
    ]
    edges = [0, *sorted(cuts), 200]
    whole = report("shop", ones, at(150), at(0), at(200))
    parts = [
        report("shop", ones, at(150), at(first), at(last))
        for first, last in zip(edges, edges[1:], strict=False)
    ]
    for what in ("used", "saved"):
        for field in dataclasses.fields(Amounts):
            wanted = getattr(getattr(whole, what), field.name)
            total = sum(getattr(getattr(each, what), field.name) for each in parts)
            assert total == pytest.approx(wanted)
