# SPDX-License-Identifier: Apache-2.0
"""The daemon's answer about itself."""

from __future__ import annotations

import pytest

from nova_multi.virt import storage
from nova_multi.virt.docker import host


def info(**changes):
    return {
        "ID": "x",
        "Driver": "overlay2",
        "DockerRootDir": "/",
        "ServerVersion": "20.10.24+dfsg1",
        "SecurityOptions": ["name=seccomp,profile=default"],
        "CgroupVersion": "2",
        "LiveRestoreEnabled": True,
        **changes,
    }


@pytest.mark.parametrize(
    ("options", "root", "expected"),
    [
        (["name=seccomp"], "/data", (0, 0)),
        (["name=userns"], "/data/1500000000.1500000001", (1500000000, 1500000001)),
        # Only with the option does the name mean anything.
        ([], "/data/7.7", (0, 0)),
    ],
)
def test_root_of_guests(options, root, expected):
    assert (
        host.guest_root(info(SecurityOptions=options, DockerRootDir=root)) == expected
    )


def test_engine_info():
    found = host.engine_info(info(), disk_limits=True)
    assert (found.name, found.version) == ("docker", (20, 10, 24))
    assert found.storage == "overlay2"
    assert found.disk_limits
    assert 0 < found.disk_free_gb <= found.disk_total_gb
    assert found.settings["live restore"] == "yes"
    assert found.settings["user namespaces"] == "no"


def test_free_is_what_is_free_around_the_file_that_grows(monkeypatch):
    sizes = {"/data": (40 * 2**30, 30 * 2**30), "/files": (50 * 2**30, 2 * 2**30)}
    monkeypatch.setattr(storage, "space", sizes.__getitem__)
    monkeypatch.setattr(storage, "backing_file", lambda _path: "/files/docker.img")
    found = host.engine_info(info(DockerRootDir="/data"), disk_limits=True)
    assert (found.disk_total_gb, found.disk_free_gb) == (40, 2)


@pytest.mark.parametrize(
    ("driver", "expected"), [("btrfs", True), ("overlay2", True), ("vfs", False)]
)
def test_may_limit_disks(driver, expected):
    assert host.may_limit_disks(info(Driver=driver)) is expected
