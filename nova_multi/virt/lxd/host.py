# SPDX-License-Identifier: Apache-2.0
"""What the LXD daemon and its storage pool can do."""

from __future__ import annotations

import os
from typing import Any

from nova_multi.virt import storage
from nova_multi.virt.engine import EngineInfo

#: Pool drivers that enforce the size of a root file system.
LIMITING_POOLS = frozenset({"btrfs", "zfs", "lvm", "ceph"})
#: Pool drivers whose snapshots are of one moment, without the guest being paused.
ATOMIC_POOLS = LIMITING_POOLS

_GIB = 1024**3


def version(text: str) -> tuple[int, ...]:
    """``5.0.2`` as numbers; whatever is no number ends it."""
    numbers = []
    for part in text.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def cgroup_version() -> int:
    """1 or 2: how this machine limits its containers."""
    return 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1


def backing_file(pool: dict[str, Any]) -> str | None:
    """The file in which a pool on a loop device lies."""
    source = str(pool.get("config", {}).get("source", ""))
    on_file = source.startswith("/") and not source.startswith("/dev/")
    return source if on_file and pool["driver"] in LIMITING_POOLS else None


def engine_info(
    name: str,
    server: dict[str, Any],
    pool: dict[str, Any],
    space: dict[str, Any],
    *,
    project: str,
    isolated: bool,
) -> EngineInfo:
    """From LXD's description of itself, of the pool, and of the pool's space."""
    free = min(
        space["total"] - space.get("used", 0),
        storage.free_around(backing_file(pool)),
    )
    features = server["environment"].get("kernel_features", {})
    return EngineInfo(
        name=name,
        version=version(server["environment"]["server_version"]),
        storage=pool["driver"],
        disk_limits=pool["driver"] in LIMITING_POOLS,
        disk_total_gb=space["total"] // _GIB,
        disk_free_gb=int(free // _GIB),
        settings={
            "LXD": server["environment"]["server_version"],
            "project": project,
            "pool": f"{pool['name']} ({pool['driver']})",
            "id ranges": "one for each guest" if isolated else "shared by all guests",
            "idmapped mounts": str(features.get("idmapped_mounts", "unknown")),
            "cgroup version": str(cgroup_version()),
        },
    )
