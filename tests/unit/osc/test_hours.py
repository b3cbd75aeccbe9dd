# SPDX-License-Identifier: Apache-2.0
"""Commands for working hours and usage."""

from __future__ import annotations

import pathlib

import pytest

from tests.unit.osc.conftest import Shell


@pytest.fixture
def dev(shell: Shell) -> Shell:
    assert shell("multi partition create co") == 0, shell.err
    assert shell("multi environment create dev --partition co") == 0, shell.err
    return shell


def schedule(shell: Shell, name: str = "dev") -> object:
    return shell.json(f"multi environment show {name}")["schedule"]


def test_a_schedule_of_the_command_line(dev: Shell) -> None:
    # The test's shell parts words at spaces; JSON needs none.
    schedule_ = '{"days":"mon-fri","hours":"08:00-18:00"}'
    line = f"multi environment set dev --schedule {schedule_}"
    assert dev(line) == 0, dev.err
    wanted = {"days": ["mon-fri"], "hours": ["08:00-18:00"]}
    assert schedule(dev) == wanted
    assert dev("multi environment unset dev --schedule") == 0, dev.err
    assert schedule(dev) == {}
    line = 'multi environment create new --partition co --schedule {"days":"mon"}'
    assert dev(line) == 0, dev.err
    assert schedule(dev, "new") == {"days": ["mon"]}


def test_a_schedule_of_a_file(dev: Shell, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "hours.yaml"
    path.write_text("timezone: Europe/Berlin\nhours: [08:00-12:00, 13:00-18:00]\n")
    assert dev(f"multi environment set dev --schedule {path}") == 0, dev.err
    assert schedule(dev) == {
        "timezone": "Europe/Berlin",
        "hours": ["08:00-12:00", "13:00-18:00"],
    }


def refused(shell: Shell, line: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        shell(line)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_every_mistake_has_its_place(
    dev: Shell, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hours.yaml"
    path.write_text("hour: 8\ndays: fry\n")
    line = "multi environment set dev --schedule "
    told = refused(dev, f"{line}{path}", capsys)
    assert f"{path}:1:1: a schedule has no field" in told
    assert f"{path}:2:7: " in told
    assert "1:9: " in refused(dev, line + '{"days":"fry"}', capsys)
    assert "can't read" in refused(dev, f"{line}{path}.not", capsys)
    assert schedule(dev) == {}


def test_what_is_taken_away_must_be_said(
    dev: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--schedule" in refused(dev, "multi environment unset dev", capsys)


def test_usage(dev: Shell) -> None:
    rows = dev.json("multi environment usage dev")
    assert rows == [
        {
            "Instance": name,
            "Driver": driver,
            "Hours Used": 8.0,
            "Hours Saved": 16.0,
            "vCPU Hours Used": 16.0,
            "vCPU Hours Saved": 32.0,
        }
        for name, driver in (("web", "lxd"), ("(all)", ""))
    ]
    assert dev.service.environments.asked == {"begin": None, "end": None}
    long = dev.json("multi environment usage dev --long")[0]
    assert (long["Memory MB Hours Used"], long["Disk GB Hours Saved"]) == (4096.0, 160)


def test_usage_of_a_period(dev: Shell) -> None:
    line = "multi environment usage dev --from 2026-11-01 --to 2026-11-02T08:00:00Z"
    assert dev(line) == 0, dev.err
    asked = dev.service.environments.asked
    assert f"{asked['begin']:%F %T} {asked['end']:%F %T}" == (
        "2026-11-01 00:00:00 2026-11-02 08:00:00"
    )
    assert dev("multi environment usage dev --from yesterday") != 0
    assert "no time" in dev.err
    assert dev("multi environment usage nowhere") != 0
