# SPDX-License-Identifier: Apache-2.0
"""What LXD says of its pool, as our values."""

from __future__ import annotations

import pytest

from nova_multi.virt import storage
from nova_multi.virt.lxd import host

GIB = 2**30


def info(driver="btrfs", source="/var/lib/lxd/disks/pool.img"):
    return host.engine_info(
        "lxd",
        {"environment": {"server_version": "5.0.2"}},
        {"name": "pool", "driver": driver, "config": {"source": source}},
        {"total": 40 * GIB, "used": 10 * GIB},
        project="p",
        isolated=True,
    )


@pytest.mark.parametrize(
    ("driver", "source", "free"),
    [
        ("btrfs", "/var/lib/lxd/disks/pool.img", 2),
        ("btrfs", "/dev/vdb", 30),
        ("zfs", "tank/pool", 30),
        # Its space is that of the file system below already.
        ("dir", "/var/lib/lxd/storage-pools/pool", 30),
    ],
)
def test_free_is_what_is_free_around_the_file_that_grows(
    monkeypatch, driver, source, free
):
    sizes = {"/var/lib/lxd/disks": (50 * GIB, 2 * GIB)}
    monkeypatch.setattr(storage, "space", sizes.__getitem__)
    found = info(driver, source)
    assert (found.disk_total_gb, found.disk_free_gb) == (40, free)
