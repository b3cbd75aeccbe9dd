# SPDX-License-Identifier: Apache-2.0
"""Files below a guest's ``/etc`` that tell it of names and addresses. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from nova_multi.virt.engine import Interface


def resolver(interfaces: Sequence[Interface]) -> str:
    """Content of ``/etc/resolv.conf``; empty where no name server is known."""
    search = dict.fromkeys(name for each in interfaces for name in each.search)
    servers = dict.fromkeys(name for each in interfaces for name in each.nameservers)
    lines = [f"search {' '.join(search)}"] if search else []
    lines += [f"nameserver {ipaddress.ip_address(server)}" for server in servers]
    return "".join(f"{line}\n" for line in lines)


def hosts(hostname: str, interfaces: Sequence[Interface] = ()) -> str:
    """Content of ``/etc/hosts``.

    :param interfaces: whose addresses the host name stands for; with none of them, for
        a loopback address, as Debian does for machines whose address may change.
    """
    own = [a.partition("/")[0] for each in interfaces for a in each.addresses]
    lines = [
        "127.0.0.1 localhost",
        *[f"{address} {hostname}" for address in own or ["127.0.1.1"] if hostname],
        "::1 localhost ip6-localhost ip6-loopback",
    ]
    return "".join(f"{line}\n" for line in lines)
