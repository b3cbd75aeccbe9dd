# SPDX-License-Identifier: Apache-2.0
"""The section ``schedule``: when what a file says is to stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_multi.domain import names
from nova_multi.domain.names import Kind as Noun
from nova_multi.domain.schedule import (
    WEEKDAYS,
    Days,
    Hours,
    Schedule,
    Unsaved,
    check_timezone,
    format_days,
    parse_days,
)
from nova_multi.spec import kinds, plaintree, yamltree
from nova_multi.spec.context import MISSING, Context, Wrong
from nova_multi.spec.kinds import Kind
from nova_multi.spec.problems import shown
from nova_multi.spec.table import Field, Table
from nova_multi.spec.tree import Node, Report, Spot

#: Parts of a day, and of the calendar, that a schedule can have.
_MOST_HOURS, _MOST_CLOSED = 24, 366


def _text(spot: Spot) -> str:
    if not isinstance(spot.value, str):
        raise Wrong(f"must be a text, not {shown(spot.value)}")
    return spot.value


def _listed(read: Any, pattern: str, most: int, example: str) -> Kind:
    """One text, or a list of them."""

    def read_all(ctx: Context, spot: Spot) -> tuple[Any, ...]:
        if isinstance(spot.value, list):
            found = kinds.each_of(ctx, spot, lambda _, item: read(_text(item)), most)
            if not spot.value:
                raise Wrong(f"is empty: leave it out, or write {example}")
            return tuple(value for _, value in found)
        return (read(_text(spot)),)

    one = {"type": "string", "pattern": pattern, "examples": [example]}
    several = {"type": "array", "minItems": 1, "maxItems": most, "items": one}
    return Kind(read_all, {"anyOf": [one, several]})


def _days(ctx: Context, spot: Spot) -> tuple[int, ...]:
    found: tuple[tuple[int, ...], ...] = _WEEKDAYS.read(ctx, spot)
    return tuple(sorted({day for days in found for day in days}))


def _hours(ctx: Context, spot: Spot) -> tuple[Hours, ...]:
    return tuple(sorted(_HOURS.read(ctx, spot)))


def _timezone(ctx: Context, spot: Spot) -> str:
    return check_timezone(_text(spot))


def _save(ctx: Context, spot: Spot) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for item, name in kinds.each_of(ctx, spot, _saved, 1000):
        if name in found:
            ctx.add(item, f"{shown(name)} is there twice")
        found[name] = None
    return tuple(found)


def _saved(ctx: Context, spot: Spot) -> str:
    name = _text(spot)
    if "/" in name:
        raise Wrong(
            f"{shown(name)} is a path: no single paths can be saved; the name of an"
            " instance has its whole disk saved"
        )
    return names.check_name(Noun.INSTANCE, name)


def _unsaved(ctx: Context, spot: Spot) -> Unsaved:
    try:
        return Unsaved(_text(spot))
    except ValueError as error:
        words = " or ".join(Unsaved)
        raise Wrong(f"must be {words}, not {shown(spot.value)}") from error


_DAY = f"(?:{'|'.join(WEEKDAYS)})"
_TIME = "[0-9]{2}:[0-9]{2}"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_WEEKDAYS = _listed(parse_days, f"^{_DAY}( ?- ?{_DAY})?$", 7, "mon-fri")
_HOURS = _listed(Hours.parse, f"^{_TIME} ?- ?{_TIME}$", _MOST_HOURS, "08:00-18:00")
_CLOSED = _listed(
    Days.parse, rf"^{_DATE}(\.\.{_DATE})?$", _MOST_CLOSED, "2026-12-24..2027-01-01"
)

SCHEDULE = Table(
    "a schedule",
    (
        Field(
            "timezone",
            Kind(_timezone, {"type": "string", "examples": ["Europe/Berlin"]}),
            "A name of the time zone database; UTC if left out.",
        ),
        Field(
            "days",
            Kind(_days, _WEEKDAYS.schema),
            "Weekdays on which its hours begin; all if left out.",
        ),
        Field(
            "hours",
            Kind(_hours, _HOURS.schema),
            "From when to when; the whole day if left out.",
        ),
        Field("closed", _CLOSED, "Days of the calendar on which none of them begins."),
        Field(
            "save",
            Kind(
                _save,
                {
                    "type": "array",
                    "maxItems": 1000,
                    "items": {"type": "string", "minLength": 1, "maxLength": 63},
                },
            ),
            "Instances of the file whose disks are kept meanwhile.",
        ),
        Field(
            "unsaved",
            Kind(_unsaved, {"enum": [str(each) for each in Unsaved]}),
            "What becomes of it where that fails: keep, which is usual, or destroy.",
        ),
    ),
)


def _read(ctx: Context, spot: Spot) -> Schedule:
    return Schedule(**SCHEDULE.read(ctx, spot))


FIELD = Kind(_read, SCHEDULE.schema())


def load_schedule_text(text: str) -> Schedule:
    """Read a schedule by itself, in YAML.

    :raises Invalid: all that is wrong, each with its line and column in ``details``.
    """
    report = Report()
    return _load(yamltree.read(text, report), report)


def load_schedule(data: Mapping[str, Any]) -> Schedule:
    """Read a schedule by itself, as JSON gave it.

    :param data: need not be trusted; nothing at all is always.
    :raises Invalid: all that is wrong, each with its path (``schedule.hours``).
    """
    report = Report()
    return _load(plaintree.read(dict(data), report), report)


def _load(root: Node | None, report: Report) -> Schedule:
    found: Any = MISSING
    if root is not None:
        found = Context(report, {}).attempt(_read, Spot(root, ("schedule",)))
    report.finish()
    assert isinstance(found, Schedule)
    return found


def dump_schedule(schedule: Schedule) -> dict[str, Any]:
    """What :func:`load_schedule` reads back; what is usual is left out."""
    usual = Schedule()
    found: dict[str, Any] = {}
    if schedule.timezone != usual.timezone:
        found["timezone"] = schedule.timezone
    if schedule.days != usual.days:
        found["days"] = format_days(schedule.days)
    if schedule.hours != usual.hours:
        found["hours"] = [str(each) for each in schedule.hours]
    if schedule.closed:
        found["closed"] = [str(each) for each in schedule.closed]
    if schedule.save:
        found["save"] = list(schedule.save)
    if schedule.unsaved is not usual.unsaved:
        found["unsaved"] = str(schedule.unsaved)
    return found
