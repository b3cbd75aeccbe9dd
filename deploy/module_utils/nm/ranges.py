# SPDX-License-Identifier: Apache-2.0
"""Are the ranges that the cloud takes free on this machine?

What leaves by the outer interface to one of them is dropped, and has an unreachable
route: a machine whose own network, gateway, name server or administrator is in there
would lose them.
"""

from __future__ import annotations

import dataclasses
import re
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from . import detect

# The variables that hold one, and what has to be changed with it.
_VARIABLES = {
    "network_external_cidr": ("network_external_gateway", "network_external_pool"),
    "network_private_cidr": (),
    "provisioning_environment_cidr": (),
}
# linux/route.h: an unreachable route, which leads nowhere.
_REJECT = 0x0200
_ESTABLISHED = "01"
_LOCAL = re.compile(r"\|-- ([0-9.]+)\n +/32 host LOCAL")


@dataclasses.dataclass(frozen=True)
class Use:
    """Addresses that the machine uses already, and for what."""

    network: IPv4Network
    what: str


def check(values: Mapping[str, str], uses: Iterable[Use]) -> list[str]:
    """The ranges that overlap with what is in use, each with the first such use."""
    faults = []
    found = list(uses)
    for name, companions in _VARIABLES.items():
        if name not in values:
            continue
        try:
            network = IPv4Network(values[name])
        except ValueError as error:
            faults.append(f"{name} is no network: {error}")
            continue
        use = next((use for use in found if use.network.overlaps(network)), None)
        if use:
            choose = " and ".join((name, *companions))
            faults.append(
                f"{name} is {network}, where this machine has {use.what} already, "
                f"which it would lose; set {choose} to what is free"
            )
    return faults


def uses(proc: Path = Path("/proc"), servers: Iterable[str] | None = None) -> list[Use]:
    """What the machine reaches otherwise than by its default route, and its peers.

    :param servers: name servers; None for those that the machine asks.
    """
    net = proc / "net"
    asked = detect.dns_servers() if servers is None else servers
    return [
        *_routes(_text(net / "route")),
        *(_host(local, "its address") for local in _local(_text(net / "fib_trie"))),
        *(_host(server, "the name server") for server in asked),
        *(_host(peer, "a connection with") for peer in _peers(_text(net / "tcp"))),
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _host(address: str, what: str) -> Use:
    return Use(IPv4Network(address), f"{what} {address}")


def _address(word: str) -> str:
    """Of a word of /proc/net: hexadecimal, in the processor's order."""
    return socket.inet_ntoa(struct.pack("=I", int(word, 16)))


def _routes(table: str) -> Iterator[Use]:
    for line in table.splitlines()[1:]:
        name, destination, gateway, flags, _, _, _, mask = line.split()[:8]
        if int(flags, 16) & _REJECT:
            continue
        network = IPv4Network(f"{_address(destination)}/{_address(mask)}")
        # Tunnels for everything have two halves in place of one default route.
        if network.prefixlen > 1:
            yield Use(network, f"a route to {network} by {name}")
        if int(gateway, 16):
            yield _host(_address(gateway), "the gateway")


def _local(trie: str) -> list[str]:
    """Addresses of the machine's interfaces, but not of its loopback."""
    found = dict.fromkeys(_LOCAL.findall(trie))
    return [address for address in found if not _is_loopback(address)]


def _peers(table: str) -> Iterator[str]:
    """Who has a TCP connection with this machine, as an administrator's SSH."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        peer = _address(fields[2].partition(":")[0])
        if fields[3] == _ESTABLISHED and not _is_loopback(peer):
            yield peer


def _is_loopback(address: str) -> bool:
    return IPv4Address(address).is_loopback
