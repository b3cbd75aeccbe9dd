# SPDX-License-Identifier: Apache-2.0
"""A machine's network: a namespace, a veth pair, and NAT to the outside."""

import ipaddress
import re
from pathlib import Path

from toolbox import ToolError, run

from bare_machine.surroundings import outer_interface

# RFC 2544's range for tests between networks: nobody routes it.
_RANGE = ipaddress.ip_network("198.18.0.0/15")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# Linux limits interface names to 15 characters.
_PREFIX = "bare"


def add(name: str) -> str:
    """Make the network of a machine; returns the machine's address."""
    _, mtu = outer_interface()
    number, link = _free()
    outside, inside = link.hosts()
    host_end = f"{_PREFIX}{number}"
    run(["ip", "netns", "add", name])
    run(
        [
            *("ip", "link", "add", host_end, "mtu", str(mtu), "type", "veth"),
            *("peer", "name", "eth0", "mtu", str(mtu), "netns", name),
        ]
    )
    # The alias ties the interface to the machine, whose names are longer.
    run(["ip", "link", "set", host_end, "alias", f"bare-machine {name}", "up"])
    run(["ip", "address", "add", f"{outside}/{link.prefixlen}", "dev", host_end])
    run(["ip", "-n", name, "link", "set", "lo", "up"])
    run(["ip", "-n", name, "link", "set", "eth0", "up"])
    run(["ip", "-n", name, "address", "add", f"{inside}/30", "dev", "eth0"])
    run(["ip", "-n", name, "route", "add", "default", "via", str(outside)])
    run(["nft", "-f", "-"], stdin=_rules(name, host_end, str(link)))
    if _FORWARD.read_text().strip() != "1":
        _FORWARD.write_text("1")
    if _forward_drops():
        for rule in _forward_rules(host_end):
            run(["iptables", "-I", *rule])
    return str(inside)


def remove(name: str) -> None:
    """Take the network away; what is not there does no harm."""
    host_end = _host_end(name)
    if host_end:
        for rule in _forward_rules(host_end):
            _quietly(["iptables", "-D", *rule])
        # Both ends go, wherever the other is.
        _quietly(["ip", "link", "delete", host_end])
    _quietly(["nft", "delete", "table", "inet", _table(name)])
    if Path("/run/netns", name).exists():
        run(["ip", "netns", "delete", name])


def _free() -> tuple[int, ipaddress.IPv4Network]:
    routes = run(["ip", "-o", "-4", "route", "show", "table", "all"])
    interfaces = {path.name for path in Path("/sys/class/net").iterdir()}
    for number, link in enumerate(_RANGE.subnets(new_prefix=30)):
        if f"{_PREFIX}{number}" not in interfaces and str(link) not in routes:
            return number, link  # type: ignore[return-value]
        if number > 250:
            break
    raise ToolError("too many machines: no free network is left for another one")


def _host_end(name: str) -> str | None:
    for interface in Path("/sys/class/net").glob(f"{_PREFIX}*"):
        alias = interface / "ifalias"
        if alias.exists() and alias.read_text().strip() == f"bare-machine {name}":
            return interface.name
    return None


def _table(name: str) -> str:
    return "bare_machine_" + re.sub(r"\W", "_", name)


def _rules(name: str, host_end: str, link: str) -> str:
    return f"""
table inet {_table(name)} {{
    chain outside {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {link} oifname != "{host_end}" masquerade
    }}
}}
"""


def _forward_rules(host_end: str) -> list[list[str]]:
    """Rules for hosts whose own policy drops what is forwarded."""
    return [
        ["FORWARD", "-i", host_end, "-j", "ACCEPT"],
        ["FORWARD", "-o", host_end, "-j", "ACCEPT"],
    ]


def _forward_drops() -> bool:
    try:
        return run(["iptables", "-S", "FORWARD"]).startswith("-P FORWARD DROP")
    except ToolError:
        # No iptables, no such policy.
        return False


def _quietly(command: list[str]) -> None:
    try:
        run(command)
    except ToolError:
        # Already gone; a repeated removal is the usual case.
        return
