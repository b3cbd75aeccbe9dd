# SPDX-License-Identifier: Apache-2.0
"""What the daemon and its machine are like: version, storage, id ranges, limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nova_multi.virt import storage
from nova_multi.virt.docker import mapping
from nova_multi.virt.engine import EngineInfo

_GIB = 1024**3
#: The daemon appends the owner of a remapped data root to its folder's name.
_REMAPPED = re.compile(r"/(\d+)\.(\d+)$")


def guest_root(info: Mapping[str, Any]) -> tuple[int, int]:
    """User and group of the host that are root in guests.

    :param info: answer of ``GET /info``.
    """
    if "name=userns" not in info.get("SecurityOptions", ()):
        return 0, 0
    found = _REMAPPED.search(info["DockerRootDir"])
    return (int(found[1]), int(found[2])) if found else (0, 0)


def may_limit_disks(info: Mapping[str, Any]) -> bool:
    """Whether the storage driver can limit a guest's disk on a suitable file system."""
    return info["Driver"] in ("btrfs", "zfs", "overlay2")


def engine_info(info: Mapping[str, Any], *, disk_limits: bool) -> EngineInfo:
    """The daemon's answer as our values."""
    folder = info["DockerRootDir"]
    total, inside = storage.space(folder)
    free = min(inside, storage.free_around(storage.backing_file(folder)))
    root = guest_root(info)
    return EngineInfo(
        name="docker",
        version=mapping.version(info["ServerVersion"]),
        storage=info["Driver"],
        disk_limits=disk_limits,
        disk_total_gb=total // _GIB,
        disk_free_gb=int(free // _GIB),
        settings={
            "version": info["ServerVersion"],
            "data root": info["DockerRootDir"],
            "cgroup": info.get("CgroupVersion", "1"),
            "user namespaces": f"root is {root[0]}:{root[1]}" if root[0] else "no",
            "live restore": "yes" if info.get("LiveRestoreEnabled") else "no",
            "disk limits": "yes" if disk_limits else "no",
        },
    )
