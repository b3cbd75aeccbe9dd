# SPDX-License-Identifier: Apache-2.0
"""Who listens on a TCP port, read from /proc."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from . import processes

_LISTEN = "0A"


@dataclasses.dataclass(frozen=True)
class Listener:
    """A process that listens on a port; pid 0 where it is not to be found out."""

    port: int
    pid: int
    name: str
    ours: bool


def listeners(ports: set[int], proc: Path = Path("/proc")) -> list[Listener]:
    """Who listens on any of these ports, at whatever address."""
    sockets: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        try:
            text = (proc / "net" / table).read_text()
        except OSError:
            continue
        sockets |= listening(text, ports)
    owners = _owners(set(sockets), proc) if sockets else {}
    found: dict[int, Listener] = {}
    for inode, port in sockets.items():
        pid = owners.get(inode, 0)
        if port not in found or not found[port].pid:
            found[port] = Listener(port, pid, _name(pid, proc), processes.is_ours(pid))
    return [found[port] for port in sorted(found)]


def listening(table: str, ports: set[int]) -> dict[str, int]:
    """The ports of a /proc/net/tcp that are listened on, by the socket's inode."""
    found = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        port = int(fields[1].rpartition(":")[2], 16)
        if fields[3] == _LISTEN and port in ports:
            found[fields[9]] = port
    return found


def _owners(inodes: set[str], proc: Path) -> dict[str, int]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[str, int] = {}
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            for descriptor in (entry / "fd").iterdir():
                inode = wanted.get(os.readlink(descriptor))
                if inode:
                    owners.setdefault(inode, int(entry.name))
        except OSError:
            continue  # it has ended, or the descriptor has been closed
    return owners


def _name(pid: int, proc: Path) -> str:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""
