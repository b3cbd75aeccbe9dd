# SPDX-License-Identifier: Apache-2.0
"""Ranges of the cloud beside what a machine has already."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from nm import ranges

VALUES = {
    "network_external_cidr": "172.24.4.0/24",
    "network_private_cidr": "10.20.0.0/24",
    "provisioning_environment_cidr": "10.21.0.0/16",
}
ROUTE = """\
Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 0100140A 0003 0 0 0 00000000 0 0 0
* 0000150A 00000000 0201 0 0 4278198272 0000FFFF 0 0 0
eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0
tun0 0000000A 00000000 0001 0 0 0 000000FF 0 0 0
tun1 00000000 00000000 0001 0 0 0 00000080 0 0 0
tun1 00000080 00000000 0001 0 0 0 00000080 0 0 0
"""
TRIE = """\
Main:
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.1
              /32 host LOCAL
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
"""
TCP = """\
  sl  local_address rem_address   st
   0: 0202000C:0016 0903150A:D204 01
   1: 0100007F:1388 0100007F:D204 01
   2: 00000000:0016 00000000:0000 0A
"""


@pytest.fixture
def uses(tmp_path: Path) -> list[ranges.Use]:
    (tmp_path / "net").mkdir()
    for name, text in {"route": ROUTE, "fib_trie": TRIE, "tcp": TCP}.items():
        (tmp_path / "net" / name).write_text(text)
    return ranges.uses(tmp_path, ["198.51.100.53"])


def test_what_a_machine_uses(uses: list[ranges.Use]) -> None:
    assert {use.what: str(use.network) for use in uses} == {
        "the gateway 10.20.0.1": "10.20.0.1/32",
        "a route to 192.0.2.0/24 by eth0": "192.0.2.0/24",
        "a route to 10.0.0.0/8 by tun0": "10.0.0.0/8",
        "its address 192.0.2.2": "192.0.2.2/32",
        "the name server 198.51.100.53": "198.51.100.53/32",
        "a connection with 10.21.3.9": "10.21.3.9/32",
    }


def test_a_machine_without_any_of_it(tmp_path: Path) -> None:
    assert ranges.uses(tmp_path, []) == []


@pytest.mark.parametrize(
    ("used", "variable"),
    [
        ("10.20.0.1/32", "network_private_cidr"),
        ("10.21.3.0/24", "provisioning_environment_cidr"),
        ("172.16.0.0/12", "network_external_cidr"),
    ],
)
def test_an_overlap_is_told_with_the_variable(used: str, variable: str) -> None:
    use = ranges.Use(IPv4Network(used), "the gateway of its own")
    (fault,) = ranges.check(VALUES, [use])
    assert f"set {variable}" in fault
    assert "the gateway of its own" in fault


def test_all_overlaps_at_once_and_each_once() -> None:
    uses = [ranges.Use(IPv4Network(net), "x") for net in ("10.0.0.0/8", "10.21.0.1/32")]
    assert len(ranges.check(VALUES, uses)) == 2


def test_ranges_that_are_free() -> None:
    use = ranges.Use(IPv4Network("192.0.2.0/24"), "x")
    assert ranges.check(VALUES, [use]) == []


def test_a_range_that_is_none() -> None:
    (fault,) = ranges.check({"network_private_cidr": "10.20.0.1/24"}, [])
    assert "network_private_cidr" in fault
