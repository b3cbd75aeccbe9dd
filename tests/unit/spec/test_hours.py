# SPDX-License-Identifier: Apache-2.0
"""The section ``schedule``: what it may say, and where each mistake is."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from nova_multi import spec
from nova_multi.domain.errors import Invalid
from nova_multi.domain.schedule import Hours, Schedule, Unsaved
from nova_multi.spec import hours

VALIDATOR = jsonschema.Draft202012Validator(hours.FIELD.schema)

WHOLE: dict[str, Any] = {
    "timezone": "Europe/Berlin",
    "days": ["mon-thu", "fri"],
    "hours": ["13:00-18:00", "08:00-12:00"],
    "closed": ["2026-12-24..2027-01-01", "2027-05-01"],
    "save": ["db"],
    "unsaved": "destroy",
}
INSTANCES = "instances: {db: {image: i}, web: {image: i}}\n"


def load(section: str) -> Schedule | None:
    return spec.load_text(f"name: a\n{INSTANCES}schedule: {section}").schedule


def test_all_of_it() -> None:
    data = {"name": "a", "instances": {"db": {"image": "i"}}, "schedule": WHOLE}
    found = spec.load_dict(data).schedule
    assert found == spec.load_schedule(WHOLE)
    assert found is not None
    assert found.days == (0, 1, 2, 3, 4)
    assert found.hours == (Hours(480, 720), Hours(780, 1080))
    assert found.save == ("db",) and found.unsaved is Unsaved.DESTROY
    assert spec.load_schedule(spec.dump_schedule(found)) == found


def test_what_is_usual() -> None:
    assert load("{}") == Schedule()
    assert load("") == Schedule()
    assert spec.load_schedule({}) == Schedule()
    assert spec.dump_schedule(Schedule()) == {}
    assert load("{days: mon-fri, hours: 08:00-18:00}") == Schedule(
        days=(0, 1, 2, 3, 4), hours=(Hours(480, 1080),)
    )


@pytest.mark.parametrize(
    "section, column, path, told",
    [
        ("{hour: 08:00-18:00}", 12, "schedule.hour", "did you mean hours?"),
        ("{timezone: Berlin}", 22, "schedule.timezone", "there is no time zone"),
        ("{timezone: 1}", 22, "schedule.timezone", "must be a text"),
        ("{days: [mon, fry]}", 24, "schedule.days[1]", "is no weekday"),
        ("{days: []}", 18, "schedule.days", "is empty"),
        ("{hours: [08:00-12:00, 9-17]}", 33, "schedule.hours[1]", "no part of a day"),
        ("{hours: 8}", 19, "schedule.hours", "must be a text"),
        ("{closed: 24.12.2026}", 20, "schedule.closed", "is no day such as"),
        ("{save: [/srv]}", 19, "schedule.save[0]", "no single paths can be saved"),
        ("{save: [dp]}", 19, "schedule.save[0]", "there is no instance"),
        ("{save: [db, db]}", 23, "schedule.save[1]", "is there twice"),
        ("{save: db}", 18, "schedule.save", "must be a list"),
        ("{save: [[db]]}", 19, "schedule.save[0]", "must be a text"),
        ("{unsaved: maybe}", 21, "schedule.unsaved", "must be keep or destroy"),
        ("[mon]", 11, "schedule", "must be a mapping"),
    ],
)
def test_mistakes(section: str, column: int, path: str, told: str) -> None:
    with pytest.raises(Invalid) as caught:
        load(section)
    (found,) = caught.value.details
    assert (found["line"], found["column"]) == (3, column), found
    assert found["field"] == path
    assert told in found["message"]


def test_mistakes_of_one_by_itself() -> None:
    with pytest.raises(Invalid) as caught:
        spec.load_schedule({"hours": "x", "days": 5, "what": 1})
    found = {each["field"] for each in caught.value.details}
    assert found == {"schedule.hours", "schedule.days", "schedule.what"}


def test_the_form_for_editors() -> None:
    VALIDATOR.validate(WHOLE)
    VALIDATOR.validate({"days": "mon-fri", "hours": "08:00-18:00"})
    for wrong in ({"hours": "8-18"}, {"days": []}, {"closed": "x"}, {"unsaved": 1}):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(wrong)
