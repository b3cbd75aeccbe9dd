# SPDX-License-Identifier: Apache-2.0
"""A control group for each machine, so that what it leaves behind can be found."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

_PREFIX = "bare-machine-"


def entry(name: str, *, inner: bool = False) -> Callable[[], None]:
    """Make a machine's groups; returns what takes the calling process into them.

    :param inner: into those that systemd-nspawn made below them for the machine's
        own processes, where it did
    """
    groups = []
    for top in _hierarchies():
        group = top / f"{_PREFIX}{name}"
        group.mkdir(exist_ok=True)
        # On version 1 a new group has neither processors nor memory.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (top / setting).exists():
                (group / setting).write_text((top / setting).read_text())
        payload = group / "payload"
        groups.append(payload if inner and payload.exists() else group)

    def enter() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    return enter


def remove(name: str) -> None:
    """Remove a machine's groups with all below them."""
    for top in _hierarchies():
        group = top / f"{_PREFIX}{name}"
        if not group.exists():
            continue
        below = sorted(group.rglob("*/"), key=lambda path: -len(path.parts))
        for folder in (*(path for path in below if path.is_dir()), group):
            _remove_one(folder)


def _remove_one(folder: Path) -> None:
    # The kernel lets go of the last process a moment after its end.
    for _ in range(20):
        with contextlib.suppress(FileNotFoundError):
            try:
                folder.rmdir()
            except OSError:
                time.sleep(0.1)
                continue
        return


def _hierarchies() -> list[Path]:
    mounts = Path("/proc/mounts").read_text().splitlines()
    fields = [line.split() for line in mounts]
    return [Path(field[1]) for field in fields if field[2] in ("cgroup", "cgroup2")]
