# SPDX-License-Identifier: Apache-2.0
"""tools/test says at its end what failed, not only that something did."""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LIBRARY = Path(__file__).parents[3] / "tools/lib"

TESTS = """
import pytest

def test_well():
    pass

def test_ill():
    assert 1 == 2, "one is\\nnot two"

@pytest.fixture
def broken():
    raise RuntimeError("no cloud")

def test_unmade(broken):
    pass
"""


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(LIBRARY))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import stages as module

    return module


def run(stages: ModuleType, tests: Path) -> Any:
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, str(tests)]
    return stages._run("unit", command, dict(os.environ))


def test_failures_are_named_at_the_end(
    stages: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = tmp_path / "test_some.py"
    tests.write_text(TESTS)
    result = run(stages, tests)
    assert result.status == 1
    capsys.readouterr()
    stages._sum_up([stages.Result("lint", 0, 1.0), result])
    lines = capsys.readouterr().out.split("\n")
    start = lines.index("unit failed in")
    assert "test_some::test_ill: AssertionError: one is not two" in lines[start + 1]
    assert "test_some::test_unmade: " in lines[start + 2]
    assert "no cloud" in lines[start + 2]
    assert lines[start + 3] == ""
    assert lines[start + 4].split() == ["lint", "passed", "1", "s"]
    assert lines[start + 5].split()[:3] == ["unit", "FAILED", "(1)"]


def test_nothing_is_named_that_passed(
    stages: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = tmp_path / "test_some.py"
    tests.write_text("def test_well():\n    pass\n")
    result = run(stages, tests)
    assert (result.status, result.failures) == (0, ())
    capsys.readouterr()
    stages._sum_up([result])
    assert "failed" not in capsys.readouterr().out


def test_a_stage_without_a_report(stages: ModuleType) -> None:
    result = stages._run("smoke", [sys.executable, "-c", "raise SystemExit(3)"], {})
    assert (result.status, result.failures) == (3, ())


def words_run(
    stages: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> list[list[str]]:
    """What tools/test runs, without running it."""
    ran: list[list[str]] = []

    def run(stage: str, command: list[str], environment: dict[str, str]) -> Any:
        if "--known" in command:
            assert Path(command[-1]).read_text() == "port a\n"
        ran.append([stage, *command[1:]])
        return stages.Result(stage, 0, 1.0)

    monkeypatch.setattr(sys, "argv", ["test", *arguments])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(stages, "_ensure_programs", lambda chosen: None)
    monkeypatch.setattr(stages, "_tox", lambda environment: Path("tox"))
    monkeypatch.setattr(stages, "_run", run)
    monkeypatch.setattr(stages, "_orphans", lambda environment: "port a\n")
    assert stages.main() == 0
    return ran


@pytest.mark.parametrize("stage", ["integration", "smoke", "long"])
def test_nothing_may_be_left_after_a_stage_that_makes_servers(
    stages: ModuleType, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    ran = words_run(stages, monkeypatch, stage)
    assert [words[0] for words in ran] == ["deploy/up", "leftovers", stage, "audit"]
    assert "--known" in ran[-1]


def test_stages_without_servers_are_not_audited(
    stages: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = words_run(stages, monkeypatch, "unit", "contract")
    assert [words[0] for words in ran] == ["unit", "deploy/up", "contract"]


def test_what_takes_minutes_is_tested_only_when_it_is_named(
    stages: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = words_run(stages, monkeypatch, "all")
    assert not {"deploy", "long"} & {words[0] for words in ran}
    ran = words_run(stages, monkeypatch, "deploy", "--", "--init", "plain")
    # On machines of its own: this one needs no cloud.
    assert [words[0] for words in ran] == ["deploy"]
    assert ran[0][-3:] == ["--", "--init", "plain"]


@pytest.mark.parametrize(
    "stage", ["contract", "integration", "smoke", "long", "deploy"]
)
def test_a_stage_that_changes_the_machine_needs_root(
    stages: ModuleType, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["test", stage])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert stages.main() == stages.UNFIT


def test_every_stage_is_documented(stages: ModuleType) -> None:
    testing = LIBRARY.parents[1] / "doc/source/contributor/testing.rst"
    for stage in stages.STAGES:
        assert f"``{stage}``" in testing.read_text()
