# SPDX-License-Identifier: Apache-2.0
"""Whose project and pool it is, beside an LXD that is a dictionary.

With a real LXD: tests/fixtures/lxd_daemon.py, whose project and pool this makes.
"""

from __future__ import annotations

import json
from typing import Any

import lxd_setup
import pytest

MARK = {"user.nova-multi": "true"}


class LXD:
    """Projects with their configuration, and one pool or none."""

    def __init__(self) -> None:
        self.projects: dict[str, dict[str, str]] = {"default": {}}
        self.pool: dict[str, Any] | None = None
        self.changes: list[str] = []

    def __call__(self, *words: str) -> str:
        match words:
            case ("query", "/1.0/projects"):
                return json.dumps([f"/1.0/projects/{name}" for name in self.projects])
            case ("query", "/1.0/storage-pools"):
                return json.dumps(
                    ["/1.0/storage-pools/nova-multi"] if self.pool else []
                )
            case ("query", "/1.0/projects/nova-multi"):
                return json.dumps({"config": self.projects["nova-multi"]})
            case ("query", "/1.0/storage-pools/nova-multi"):
                return json.dumps(self.pool)
        self.changes.append(" ".join(words))
        match words:
            case ("storage", "create", _, _, *options):
                self.pool = {"config": _settings(options), "used_by": []}
            case ("storage", "set", _, *options):
                assert self.pool
                self.pool["config"] |= _settings(options)
            case ("storage", "delete", _):
                self.pool = None
            case ("project", "create", name, *options):
                words_ = [option.removeprefix("--config=") for option in options]
                self.projects[name] = _settings(words_)
            case ("project", "set", name, option):
                self.projects[name] |= _settings([option])
            case ("project", "delete", name):
                del self.projects[name]
        return ""


def _settings(options: list[str]) -> dict[str, str]:
    return dict(option.split("=", 1) for option in options)


@pytest.fixture
def lxd() -> LXD:
    return LXD()


@pytest.fixture
def setup(lxd: LXD, monkeypatch: pytest.MonkeyPatch) -> lxd_setup.Setup:
    made = lxd_setup.Setup(
        {
            "project": "nova-multi",
            "pool": "nova-multi",
            "root": "/var/lib/lxd",
            "drivers": ["btrfs", "dir"],
            "size_gb": 1,
            "isolated": True,
        }
    )
    monkeypatch.setattr(made, "_lxc", lxd)
    monkeypatch.setattr(made, "_check_ids", lambda: None)
    return made


def test_project_and_pool_are_made_with_our_mark(
    setup: lxd_setup.Setup, lxd: LXD
) -> None:
    setup.apply()
    assert setup.check()
    assert lxd.projects["nova-multi"].items() >= MARK.items()
    assert lxd.pool and lxd.pool["config"].items() >= MARK.items()
    lxd.changes.clear()
    setup.apply()
    assert lxd.changes == []
    setup.undo()
    assert lxd.projects == {"default": {}}
    assert lxd.pool is None


def test_those_of_somebody_else_are_neither_used_nor_deleted(
    setup: lxd_setup.Setup, lxd: LXD
) -> None:
    lxd.projects["nova-multi"] = {"features.images": "true"}
    with pytest.raises(lxd_setup.SetupError, match="project nova-multi is not"):
        setup.apply()
    setup.undo()
    assert lxd.changes == []


@pytest.mark.parametrize("used_by", [[], ["/1.0/profiles/default"]])
def test_a_pool_of_somebody_else(
    setup: lxd_setup.Setup, lxd: LXD, used_by: list[str]
) -> None:
    lxd.pool = {"config": {"size": "1GiB"}, "used_by": used_by}
    with pytest.raises(lxd_setup.SetupError, match="storage pool nova-multi is not"):
        setup.apply()
    setup.undo()
    assert lxd.changes == []


def test_those_that_we_made_before_there_was_a_mark_get_it(
    setup: lxd_setup.Setup, lxd: LXD
) -> None:
    lxd.projects["nova-multi"] = setup._project_settings()
    lxd.pool = {
        "config": {"size": "1GiB"},
        "used_by": ["/1.0/instances/x?project=nova-multi&target=a", "/1.0/images/f"],
    }
    assert not setup.check()
    setup.apply()
    assert lxd.changes == [
        "storage set nova-multi user.nova-multi=true",
        "project set nova-multi user.nova-multi=true",
    ]
    assert setup.check()


def test_our_project_goes_and_a_pool_of_others_stays(
    setup: lxd_setup.Setup, lxd: LXD
) -> None:
    setup.apply()
    lxd.pool = {"config": {}, "used_by": ["/1.0/profiles/default"]}
    setup.undo()
    assert "nova-multi" not in lxd.projects
    assert lxd.pool is not None
