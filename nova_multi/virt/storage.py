# SPDX-License-Identifier: Apache-2.0
"""Space for guests' disks, also where they lie in a file that grows as they do."""

from __future__ import annotations

import os
from collections.abc import Iterable

_MOUNTS = "/proc/self/mountinfo"
_BLOCK = "/sys/block"


def space(path: str) -> tuple[int, int]:
    """Size and free part in bytes of the file system that holds ``path``.

    An engine's own folder is closed to the compute's user; the nearest open one above
    it tells the same unless a mount lies between.
    """
    while True:
        try:
            found = os.statvfs(path)
        except (PermissionError, FileNotFoundError):
            if path == "/":
                raise
            path = os.path.dirname(path)
            continue
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize


def backing_file(path: str, mounts: str = _MOUNTS, block: str = _BLOCK) -> str | None:
    """The file in which the file system that holds ``path`` lies, if it is in one."""
    with open(mounts, encoding="utf-8", errors="surrogateescape") as source:
        device = _device(path, source)
    try:
        with open(f"{block}/{os.path.basename(device)}/loop/backing_file") as link:
            return link.read().removesuffix("\n")
    except (FileNotFoundError, NotADirectoryError):
        return None


def free_around(file: str | None) -> float:
    """Bytes by which such a file may still grow; no limit where there is none.

    It is sparse: the file system in it may be empty, and the one around it full.
    """
    return space(os.path.dirname(file))[1] if file else float("inf")


def _device(path: str, mountinfo: Iterable[str]) -> str:
    """What is mounted nearest above a path; of two at one point the later."""
    best, device = "", ""
    for line in mountinfo:
        fields, _, source = line.partition(" - ")
        point = fields.split()[4].replace("\\040", " ")
        above = point == "/" or path == point or path.startswith(f"{point}/")
        if above and len(point) >= len(best):
            best, device = point, source.split()[1]
    return device
