# SPDX-License-Identifier: Apache-2.0
"""Ranges of addresses: which overlap, which are free, what is in one."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

_Address = ipaddress.IPv4Address
#: Length of the prefix of the smallest range that a network can have: a router, the
#: cloud's own DHCP port and a few guests.
SMALLEST = 29


def span_of(text: str) -> tuple[str, str]:
    """The first and the last address of ``10.0.0.10-10.0.0.99``.

    :raises ValueError: it is no such text, or the last one comes first.
    """
    first, dash, last = text.partition("-")
    ends = _Address(first.strip()), _Address(last.strip())
    if not dash or ends[0] > ends[1]:
        raise ValueError(text)
    return str(ends[0]), str(ends[1])


def span_problem(text: str, cidr: str, *, routed: bool) -> str:
    """Why these addresses can't be given to the guests of a range; empty if they can.

    :param text: as for :func:`span_of`.
    :param routed: whether a router has the first address that guests could have.
    """
    network = ipaddress.ip_network(cidr)
    if not isinstance(network, ipaddress.IPv4Network):
        return f"{cidr} has no IPv4 addresses"
    if network.prefixlen > SMALLEST:
        return f"{cidr} has no room for guests"
    ends = [_Address(each) for each in span_of(text)]
    if routed and ends[0] <= network[1] <= ends[1]:
        return f"{network[1]} is the router's"
    for each in ends:
        if each not in network:
            return f"{each} is not in {cidr}"
        if each in (network[0], network[-1]):
            return f"{each} is the first or the last of {cidr}, which no guest can have"
    return ""


def all_of(cidr: str, *, routed: bool) -> tuple[str, str]:
    """The first and the last address of a range that guests can have."""
    network = ipaddress.IPv4Network(cidr)
    return str(network[2 if routed else 1]), str(network[-2])


def overlap(one: str, other: str) -> bool:
    """Whether two ranges have addresses in common."""
    first, second = ipaddress.ip_network(one), ipaddress.ip_network(other)
    if isinstance(first, ipaddress.IPv4Network):
        return isinstance(second, ipaddress.IPv4Network) and first.overlaps(second)
    return isinstance(second, ipaddress.IPv6Network) and first.overlaps(second)


def free(pool: str, taken: Iterable[str], prefix: int = 24) -> str | None:
    """The first range of a pool that overlaps with none that is taken.

    :param prefix: how large it is; the pool itself where that is smaller.
    """
    whole = ipaddress.IPv4Network(pool)
    used = list(taken)
    for each in whole.subnets(new_prefix=max(prefix, whole.prefixlen)):
        if not any(overlap(str(each), other) for other in used):
            return str(each)
    return None
