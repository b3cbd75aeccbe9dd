# SPDX-License-Identifier: Apache-2.0
"""The example of working hours: an evening and the next morning, by its schedule.

Nothing waits for a clock: in the evening the schedule says that the hours are over, and
in the morning that they have begun.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration import cloud, environments, provisioning
from tests.integration.environments import Environment
from tests.integration.provisioning import Client

#: Hours between now and the next change: no test takes as long.
FAR = 4
#: Seconds until a worker has looked, and has done what is due.
SECONDS = 180


@pytest.fixture
def admin() -> Client:
    return provisioning.administrator()


def schedule(is_open: bool) -> str:
    """One whose hours are now, or are not, as YAML in braces."""
    now = datetime.datetime.now(datetime.UTC)
    first, last = (-FAR, FAR) if is_open else (FAR, 2 * FAR)
    begin, end = (now + datetime.timedelta(hours=each) for each in (first, last))
    hours = f"{begin:%H:%M}-{end:%H:%M}"
    return json.dumps({"timezone": "UTC", "hours": hours, "save": ["desk"]})


@pytest.fixture
def office(admin: Client, tmp_path: Path) -> Iterator[Environment]:
    """The example, whose hours are now, whatever day and time it is."""
    name = "working-hours/office.yaml"
    with environments.example(admin, name, tmp_path) as made:
        told = yaml.safe_load(made.path.read_text())
        assert told["schedule"]["save"] == ["desk"]
        told["schedule"] = json.loads(schedule(is_open=True))
        made.path.write_text(yaml.safe_dump(told, sort_keys=False))
        yield made


def switch(office: Environment, is_open: bool) -> dict[str, Any]:
    """Have its hours begin or end, and wait for the task that sees to it."""
    name = office.name
    done = office.admin.multi(
        *("environment", "set", name, "--schedule", schedule(is_open), "--wait")
    )
    assert done.returncode == 0, done.stderr

    def look() -> str | None:
        hours = office.admin.get(f"/environments/{name}")["hours"]
        return (
            str(hours["task"]) if hours["open"] is is_open and hours["task"] else None
        )

    task = office.admin.ended(
        cloud.wait_for("its hours are seen to", look, 60), SECONDS
    )
    assert task["status"] != "error", task["status_history"]
    return task


def saved_images(office: Environment) -> list[str]:
    """Names of the images in its project."""
    connection = office.admin.connection
    [project] = connection.identity.projects(name=office.name)
    return [each.name for each in connection.image.images(owner=project.id)]


def diary(office: Environment) -> list[str]:
    """What is on the notice board."""
    return office.page(office.outputs()["board"]).splitlines()


def test_an_evening_and_a_morning(admin: Client, office: Environment) -> None:
    office.apply(create=3)
    evening = diary(office)
    assert len(evening) == 2 and evening[1].startswith("made at ")
    board = office.outputs()["board"]
    before = office.stands()
    assert saved_images(office) == []

    task = switch(office, is_open=False)
    assert task["type"] == "close_environment"
    assert office.instances() == []
    project_servers = admin.connection.compute.servers(all_projects=True)
    assert not before & {each.id for each in project_servers}
    assert len(saved_images(office)) == 1
    # What is away because of its hours is nothing that an apply would miss.
    shown = admin.get(f"/environments/{office.name}")
    assert shown["hours"]["open"] is False

    task = switch(office, is_open=True)
    assert task["type"] == "apply_environment"
    assert not office.servers() & before
    morning = diary(office)
    assert morning[:2] == evening and len(morning) == 3
    assert office.outputs()["board"] == board

    usage = admin.get(f"/environments/{office.name}/usage")
    by_name = {each["name"]: each for each in usage["instances"]}
    assert {name: each["lives"] for name, each in by_name.items()} == {
        "desk": 2,
        "board": 2,
    }
    for each in (usage, *by_name.values()):
        assert each["used"]["memory_mb_hours"] > 0
        assert each["saved"]["memory_mb_hours"] > 0
    told = admin.run("environment", "usage", office.name)
    assert [line["Instance"] for line in told] == ["board", "desk", "(all)"]

    office.destroy()
