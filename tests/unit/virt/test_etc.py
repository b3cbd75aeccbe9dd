# SPDX-License-Identifier: Apache-2.0
"""What guests are told of names and addresses."""

import dataclasses

from nova_multi.virt import etc
from nova_multi.virt.engine import Interface

FIRST = Interface(
    port_id="p",
    name="eth0",
    mac="fa:16:3e:00:00:01",
    mtu=1400,
    tap="tap",
    inner="inn",
    addresses=("10.0.0.7/24", "fd00::7/64"),
    nameservers=("10.0.0.2", "10.0.0.3"),
    search=("cloud.internal",),
)
SECOND = dataclasses.replace(FIRST, name="eth1", nameservers=("10.0.0.3", "10.0.0.4"))


def test_each_name_server_once_and_in_order():
    assert etc.resolver([FIRST, SECOND]) == (
        "search cloud.internal\n"
        "nameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n"
    )


def test_nobody_to_ask():
    assert etc.resolver([]) == ""


def test_a_host_is_known_by_its_addresses():
    lines = etc.hosts("web", [FIRST]).splitlines()
    assert lines[0] == "127.0.0.1 localhost"
    assert lines[1:3] == ["10.0.0.7 web", "fd00::7 web"]


def test_a_host_without_addresses_knows_itself():
    assert "127.0.1.1 web" in etc.hosts("web").splitlines()


def test_a_host_without_a_name():
    assert etc.hosts("", [FIRST]).splitlines() == [
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
    ]
