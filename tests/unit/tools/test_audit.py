# SPDX-License-Identifier: Apache-2.0
"""What tools/audit takes for an orphan."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from audit.findings import (
    Found,
    Owners,
    interfaces_without_port,
    ports_without_server,
    without_server,
)

PORT = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"
OWNERS = Owners(frozenset({"server-1"}), {PORT: "server-1", OTHER: "server-2"})


def test_a_thing_of_a_server_is_no_orphan() -> None:
    mine = Found("LXD guest", "a", "server-1")
    lost = Found("LXD guest", "b", "server-2")
    assert without_server([mine, lost], OWNERS) == [lost]


def test_only_interfaces_named_after_ports_are_looked_at() -> None:
    names = ["lo", "eth0", "tapshort", "tap11111111-22", "inn88888888-22", "tap0"]
    assert interfaces_without_port(names, OWNERS) == ["inn88888888-22"]


def test_ports_of_routers_and_unused_ports_are_none_of_compute() -> None:
    owners = Owners(OWNERS.servers, {**OWNERS.ports, "r": "router", "free": ""})
    device_owners = {
        PORT: "compute:nova",
        OTHER: "compute:nova",
        "r": "network:router_interface",
        "free": "",
    }
    assert ports_without_server(device_owners, owners) == [OTHER]


def test_the_metadata_service_of_a_network_has_an_interface() -> None:
    owners = Owners(frozenset(), {}, frozenset({PORT}))
    names = ["tap11111111-20", "tap99999999-20"]
    assert interfaces_without_port(names, owners) == ["tap99999999-20"]


def test_it_looks_until_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    main = audit_main(monkeypatch)
    looks = [["port a"], ["port a"], []]
    assert main.last_look(lambda: looks.pop(0), 60) == []
    assert looks == []


def test_it_looks_once_where_nobody_asks_it_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main = audit_main(monkeypatch)
    looks = [["port a"], []]
    assert main.last_look(lambda: looks.pop(0), 0) == ["port a"]
    assert looks == [[]]


def test_what_is_known_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = audit_main(monkeypatch)
    monkeypatch.setattr(main.openstack, "connect", lambda cloud: None)
    monkeypatch.setattr(main, "_orphans", lambda cloud: iter(["port a", "port b"]))
    known = tmp_path / "known"
    for text, told, status in (
        ("", "port a\nport b\n", 1),
        ("port a\n", "port b\n", 1),
        ("port b\nport a\nport gone\n", "", 0),
    ):
        known.write_text(text)
        monkeypatch.setattr(sys, "argv", ["audit", "--known", str(known)])
        assert main.main() == status
        assert capsys.readouterr().out == told


def audit_main(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from audit import __main__ as main

    monkeypatch.setattr(main, "PAUSE", 0)
    return main
