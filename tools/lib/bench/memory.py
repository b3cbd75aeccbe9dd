# SPDX-License-Identifier: Apache-2.0
"""Proportional set size of the deployment's services.

A page that several processes share counts once in their sum, so this is what the
services really take of the machine.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

#: The mark that the deployment gives to each service's environment, and where the
#: launchers note their pids: some programs overwrite their environment.
MARK = b"NOVA_MULTI_SERVICE="
PIDS = Path("/run/nova-multi/pids")
#: Programs that are part of a guest although a service of ours started them.
GUESTS = ("qemu-system", "containerd-shim", "lxd forkstart")
_UNIT = re.compile(r"/nova-multi-([^/]+)\.service")
_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


def by_service(
    guests: bool = False, proc: Path = Path("/proc"), pids: Path = PIDS
) -> dict[str, float]:
    """MB per service, the largest first.

    :param guests: whether to count their processes.
    """
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    services = _noted(pids)
    here = _namespace(proc / "self")
    for entry in proc.iterdir():
        # What runs in a machine inside of this one is that machine's.
        if not entry.name.isdigit() or _namespace(entry) != here:
            continue
        try:
            stat = (entry / "stat").read_text()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (entry / "environ").read_bytes().split(b"\0")
            unit = _UNIT.search((entry / "cgroup").read_text())
        except OSError:
            continue  # it has ended meanwhile
        pid = int(entry.name)
        parents[pid] = int(stat.rpartition(")")[2].split()[1])
        commands[pid] = command
        if unit:
            services[pid] = unit[1]
        for variable in environment:
            if variable.startswith(MARK):
                services[pid] = variable[len(MARK) :].decode()
    sizes: dict[str, float] = defaultdict(float)
    for pid in parents:
        line = _ancestry(pid, parents)
        service = next((services[p] for p in line if p in services), None)
        if service is None:
            continue
        if not guests and any(_is_guest(commands.get(p, "")) for p in line):
            continue
        sizes[service] += _pss(proc / str(pid))
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _noted(folder: Path) -> dict[int, str]:
    notes = folder.iterdir() if folder.is_dir() else ()
    return {int(note.read_text()): note.name for note in notes}


def _namespace(process: Path) -> str:
    try:
        return os.readlink(process / "ns" / "pid")
    except OSError:
        return ""


def _ancestry(pid: int, parents: dict[int, int]) -> list[int]:
    line = []
    while pid in parents and pid not in line:
        line.append(pid)
        pid = parents[pid]
    return line


def _is_guest(command: str) -> bool:
    return any(name in command for name in GUESTS) or command.startswith(
        "[lxc monitor]"
    )


def _pss(process: Path) -> float:
    try:
        found = _PSS.search((process / "smaps_rollup").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0
