# SPDX-License-Identifier: Apache-2.0
"""Daemons and ids that a machine has before the first deployment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from nm import adopted

ROOT = Path("/var/lib/lxd")
SNAP = Path("/var/snap/lxd/common/lxd")
SUBUID = Path("/etc/subuid")


def _process(proc: Path, pid: str, name: str, *variables: str, ns: str = "1") -> None:
    (proc / pid / "ns").mkdir(parents=True)
    (proc / pid / "comm").write_text(f"{name}\n")
    (proc / pid / "environ").write_bytes("\0".join(variables).encode())
    os.symlink(f"pid:[{ns}]", proc / pid / "ns/pid")


def test_the_lxds_that_run_here(tmp_path: Path) -> None:
    _process(tmp_path, "self", "python3")
    _process(tmp_path, "7", "lxd", "PATH=/bin")
    _process(tmp_path, "8", "lxd", "A=B", f"LXD_DIR={SNAP}/")
    _process(tmp_path, "9", "lxcfs", "LXD_DIR=/x")
    _process(tmp_path, "10", "lxd", "LXD_DIR=/of/a/container", ns="2")
    assert adopted.lxd_roots(tmp_path) == {ROOT, SNAP}


def test_an_lxd_elsewhere_is_told_with_the_variable() -> None:
    assert adopted.check_roots(ROOT, {ROOT}) == []
    (fault,) = adopted.check_roots(ROOT, {SNAP})
    assert f"set lxd_root to {SNAP}" in fault


def _answers(version: str) -> dict[str, object]:
    return {"/1.0": {"environment": {"server_version": version}}}


@pytest.mark.parametrize(
    ("version", "faults"), [("5.0.2", 0), ("6.1", 0), ("4.0.9", 1), ("3.23", 1)]
)
def test_an_old_lxd(version: str, faults: int) -> None:
    assert len(adopted.check_lxd(_answers(version))) == faults


def test_our_names_in_an_lxd_are_told_both() -> None:
    names = ("/1.0/projects/nova-multi", "/1.0/storage-pools/nova-multi")
    answers = {**_answers("5.0.2"), **dict.fromkeys(names, {})}
    project, pool = adopted.check_lxd(answers)
    assert "project nova-multi" in project
    assert "storage pool nova-multi" in pool


@pytest.mark.parametrize(
    ("version", "faults"), [("", 0), ("9.0.0", 0), ("7.0.0", 1), ("10.1.0", 0)]
)
def test_an_old_libvirt(version: str, faults: int) -> None:
    assert len(adopted.check_libvirt(version)) == faults


def test_ids_of_docker_guests_that_others_have() -> None:
    free, taken = "alice:100000:65536\n", "alice:1500000000:10\n"
    assert adopted.check_docker_ids({SUBUID: free}, 1500000000) == []
    (fault,) = adopted.check_docker_ids({SUBUID: taken}, 1500000000)
    assert "alice" in fault
    assert "docker_guest_first_id" in fault


@pytest.mark.parametrize(
    ("text", "isolated", "faults"),
    [
        ("root:100000:10000001\n", True, 0),
        ("root:100000:65536\n", True, 1),
        ("root:100000:65536\n", False, 0),
        ("alice:100000:10000001\n", True, 1),
    ],
)
def test_ids_of_lxd_guests(text: str, isolated: bool, faults: int) -> None:
    assert len(adopted.check_lxd_ids({SUBUID: text}, isolated)) == faults


def test_what_the_inventory_says_is_what_the_roles_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(adopted, "lxd_roots", lambda: {SNAP})
    monkeypatch.setattr(adopted, "_text", lambda _: "root:1:65536\nx:1500000000:5\n")
    monkeypatch.setattr(adopted, "_libvirt_version", lambda: "")
    monkeypatch.setattr(
        adopted, "_ask", lambda root: asked.append(root) or _answers("5.0.2")
    )
    values = {
        "lxd_root": str(SNAP),
        "lxd_isolated": "false",
        "docker_guest_first_id": "1600000000",
    }
    assert adopted.check(values) == []
    assert asked == [SNAP]
