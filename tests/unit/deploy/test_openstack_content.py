# SPDX-License-Identifier: Apache-2.0
"""Which computes are believed to be up."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

import nm
import pytest
from nm import backend, paths, processes

from tests.unit.deploy.conftest import DEPLOY

#: 2026-11-29T03:12:53 in UTC.
REPORTED = 1795921973.0
SERVICE = {"state": "up", "updated_at": "2026-11-29T03:12:53.000000"}


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The module, on a machine with one compute, `node-lxd`."""
    monkeypatch.setitem(sys.modules, "ansible.module_utils.nm", nm)
    spec = importlib.util.spec_from_file_location(
        "openstack_content", DEPLOY / "library" / "openstack_content.py"
    )
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    folder = tmp_path / "compute-lxd"
    folder.mkdir()
    (folder / "nova.conf").write_text("[DEFAULT]\nhost = node-lxd\nmy_ip = ::1\n")
    monkeypatch.setattr(paths, "ETC", tmp_path)
    return loaded


def up(content: Any, began: float, *services: dict[str, str]) -> set[str]:
    """Hosts that are up if this machine's process began then; 0: there is none."""
    admin = mock.Mock()
    admin.compute.services.return_value = [
        types.SimpleNamespace(**each) for each in services
    ]
    manager = mock.Mock()
    manager.pid.side_effect = {"compute-lxd": 77}.__getitem__
    with (
        mock.patch.object(backend, "detect", return_value=manager),
        mock.patch.object(processes, "began", {77: began}.__getitem__),
    ):
        return set(content._up(admin))


HERE = {"host": "node-lxd", **SERVICE}


def test_one_that_has_reported_since_its_start(content: Any) -> None:
    assert up(content, REPORTED - 100, HERE) == {"node-lxd"}
    # Nova keeps whole seconds.
    assert up(content, REPORTED + 0.5, HERE) == {"node-lxd"}


def test_one_that_reported_before_it_began_anew(content: Any) -> None:
    assert up(content, REPORTED + 2, HERE) == set()


def test_one_without_a_process_is_dead_whatever_nova_says(content: Any) -> None:
    assert up(content, 0, HERE) == set()


def test_of_another_machine_nova_is_believed(content: Any) -> None:
    other = {"host": "far-lxd", **SERVICE}
    down = {**other, "host": "dark", "state": "down"}
    assert up(content, 0, HERE, other, down) == {"far-lxd"}


def test_one_that_is_down(content: Any) -> None:
    assert up(content, REPORTED - 100, {**HERE, "state": "down"}) == set()
