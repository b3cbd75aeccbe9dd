# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from nm import detect, ports, preflight, ranges

from tests.unit.deploy.conftest import DEPLOY

_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 0100007F:244C 0100007F:1388 01 00000000:00000000 00:00000000 00000000     0        0 4713 1
"""  # noqa: E501


def test_only_listeners_on_wanted_ports() -> None:
    assert ports.listening(_TCP, {5000, 9292}) == {"4711": 5000}


def test_a_taken_port_is_told_with_its_holder_and_our_variable() -> None:
    holder = ports.Listener(port=3306, pid=12, name="mysqld", ours=False)
    (fault,) = preflight.check_ports({3306: "database_port"}, [holder])
    assert "3306" in fault
    assert "mysqld (process 12)" in fault
    assert "database_port" in fault


def test_our_own_services_may_hold_their_ports() -> None:
    holder = ports.Listener(port=3306, pid=12, name="mariadbd", ours=True)
    assert preflight.check_ports({3306: "database_port"}, [holder]) == []


def test_a_holder_that_cannot_be_seen() -> None:
    holder = ports.Listener(port=3306, pid=0, name="", ours=False)
    (fault,) = preflight.check_ports({3306: "database_port"}, [holder])
    assert "cannot be seen" in fault


@pytest.mark.parametrize(
    ("distribution", "fit"),
    [(("debian", "12"), True), (("ubuntu", "24.04"), False), (("", ""), False)],
)
def test_system(distribution: tuple[str, str], fit: bool) -> None:
    assert (preflight.check_system(distribution) == []) is fit


def test_memory() -> None:
    assert preflight.check_memory(4096, 4096) == []
    (fault,) = preflight.check_memory(2048, 4096)
    assert "2048" in fault
    assert "4096" in fault


def test_os_release(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text('NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    assert detect.distribution(path) == ("debian", "12")
    assert detect.distribution(tmp_path / "none") == ("", "")


def test_the_best_default_route_counts(tmp_path: Path) -> None:
    path = tmp_path / "route"
    header = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
    path.write_text(
        header
        + "wlan0 00000000 010200C0 0003 0 0 600 00000000 0 0 0\n"
        + "eth0 00000000 010200C0 0003 0 0 100 00000000 0 0 0\n"
        + "eth1 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"
    )
    assert detect.outer_interface(path) == "eth0"
    path.write_text(header)
    assert detect.outer_interface(path) == ""


def test_ports_of_the_command_line_and_none_that_nobody_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: set[int] = set()
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "has_begun", lambda: True)
    monkeypatch.setattr(ports, "listeners", lambda wanted: asked.update(wanted) or [])
    inventory = DEPLOY / "inventories" / "all-in-one"
    preflight.check(DEPLOY, inventory, ['{"compute_port": 18774}'])
    assert {18774, 9696} <= asked
    assert not {8774, 6641, 6642} & asked


@pytest.mark.parametrize("begun", [False, True])
def test_ranges_are_looked_at_before_the_first_deployment(
    begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [{"kind": "tree", "path": "/x"}] if begun else []
    gateway = ranges.Use(IPv4Network("10.21.0.1/32"), "the gateway 10.21.0.1")
    monkeypatch.setattr(preflight.manifest, "entries", lambda: entries)
    monkeypatch.setattr(preflight.mirrors, "check", lambda: [])
    monkeypatch.setattr(ranges, "uses", lambda: [gateway])
    faults = preflight.check(DEPLOY, DEPLOY / "inventories" / "all-in-one", [])
    assert any("10.21.0.1" in fault for fault in faults) is not begun


def test_the_documentation_says_which_systems_are_supported() -> None:
    text = (DEPLOY.parent / "doc/source/admin/deploy.rst").read_text()
    for name, version in preflight.SUPPORTED:
        assert f"{name.capitalize()} {version}" in text
    refused = preflight.check_system(("debian", "13"))
    assert ("Debian 13 is refused" in text) is bool(refused)
