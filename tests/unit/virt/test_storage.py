# SPDX-License-Identifier: Apache-2.0
"""Where guests' disks lie, and how much is free there."""

from __future__ import annotations

import pytest

from nova_multi.virt import storage

MOUNTS = """\
20 1 254:0 / / rw - ext4 /dev/vda1 rw
22 20 0:42 / /srv/docker rw,noatime shared:1 - btrfs /dev/loop7 rw
23 22 0:42 /1.1 /srv/docker/1.1 rw,noatime - btrfs /dev/loop7 rw
24 20 0:50 / /srv/dockerish rw - tmpfs tmpfs rw
"""


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "mounts").write_text(MOUNTS)
    folder = tmp_path / "block/loop7/loop"
    folder.mkdir(parents=True)
    (folder / "backing_file").write_text("/var/lib/a file.img\n")
    return str(tmp_path / "mounts"), str(tmp_path / "block")


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/srv/docker/1.1", "/var/lib/a file.img"),
        ("/srv/docker/other", "/var/lib/a file.img"),
        ("/srv", None),
        ("/srv/dockerish/x", None),
    ],
)
def test_the_file_below(machine, path, file):
    assert storage.backing_file(path, *machine) == file


def test_space_of_a_folder_that_is_not_there(tmp_path):
    assert storage.space(str(tmp_path / "a/b")) == storage.space(str(tmp_path))


def test_what_lies_in_no_file_is_not_limited_by_one(tmp_path):
    assert storage.free_around(None) == float("inf")
    assert storage.free_around(str(tmp_path / "x.img")) > 0
