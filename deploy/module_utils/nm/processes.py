# SPDX-License-Identifier: Apache-2.0
"""Which processes are whose service, also after their manager was killed.

A process is known by the mark in its environment. Some overwrite that (uWSGI and
whatever sets its title), so each launcher also notes its pid, which the service
keeps. Such a note is believed only if the process began when it was written: after a
restart of the machine the number may be anybody's.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from . import units

# Seconds by which a launcher's note may differ from the start of its process.
_SLACK = 3.0
_TICKS = os.sysconf("SC_CLK_TCK")


def of_service(name: str) -> set[int]:
    """The processes of a service with all their descendants that are no other's."""
    tree = _parents()
    found = {pid for pid in tree if _mark(pid) == name}
    noted = _noted(name)
    if noted:
        found.add(noted)
    # Descendants come after their parents only by chance: until nothing is added.
    grown = True
    while grown:
        more = {
            pid
            for pid, parent in tree.items()
            if parent in found and pid not in found and _mark(pid) in ("", name)
        }
        found |= more
        grown = bool(more)
    return found


def is_ours(pid: int) -> bool:
    """Whether a process, or one that it descends from, is a service of ours."""
    noted = {_noted(path.name) for path in _notes()}
    seen = 0
    while pid > 1 and seen < 64:
        if _mark(pid) or pid in noted or "/nova-multi-" in _cgroups(pid):
            return True
        pid = _parent(pid)
        seen += 1
    return False


def end(pids: set[int], timeout: float) -> None:
    """Ask processes to end, and make those end that do not within so many seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        alive = {pid for pid in pids if is_alive(pid)}
        for pid in alive:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + timeout
        while any(is_alive(pid) for pid in alive) and time.monotonic() < deadline:
            time.sleep(0.1)


def is_alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def program_names(pid: int) -> set[str]:
    """The names that a process runs under: its own, and its script's; no shell's."""
    try:
        words = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return set()
    names = {Path(word.decode(errors="replace")).name for word in words[:2] if word}
    return names - {"sh", "bash"}


def _notes() -> list[Path]:
    return list(units.PIDS.iterdir()) if units.PIDS.is_dir() else []


def _noted(name: str) -> int:
    """The pid that a service's launcher noted, if it is still that process; else 0."""
    path = units.PIDS / name
    try:
        pid = int(path.read_text())
        written = path.stat().st_mtime
    except (OSError, ValueError):
        return 0
    start = began(pid)
    return pid if start and abs(written - start) < _SLACK else 0


def began(pid: int) -> float:
    """When a process began, in seconds since the epoch; 0 if it is not there."""
    fields = _stat(pid)
    if not fields:
        return 0
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - uptime + int(fields[19]) / _TICKS


def _parents() -> dict[int, int]:
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return {pid: _parent(pid) for pid in pids}


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int) -> list[str]:
    """The fields of a process' stat from its state on; empty if it has ended."""
    try:
        text = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _mark(pid: int) -> str:
    """The service whose mark a process carries, or an empty string.

    Machines in containers beside this one have services of the same names: what lives
    in another process namespace is theirs.
    """
    if not is_here(pid):
        return ""
    prefix = f"{units.MARK}=".encode()
    try:
        environment = Path("/proc", str(pid), "environ").read_bytes()
    except OSError:
        return ""
    for variable in environment.split(b"\0"):
        if variable.startswith(prefix):
            return variable.removeprefix(prefix).decode(errors="replace")
    return ""


def is_here(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process is this machine's, and not that of a container on it."""
    return _namespace(proc / str(pid)) == _namespace(proc / "self")


def _namespace(process: Path) -> str:
    try:
        return os.readlink(process / "ns/pid")
    except OSError:
        return ""


def _cgroups(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "cgroup").read_text()
    except OSError:
        return ""
