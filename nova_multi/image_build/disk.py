# SPDX-License-Identifier: Apache-2.0
"""The virtual machine's disk: one ext4 file system, no partitions."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from nova_multi.domain.recipe import Recipe
from nova_multi.exception import BuildError
from nova_multi.image_build.programs import run

#: Share of the file system that its own tables and journal may need.
_OWN_NEEDS = 1.1
#: Bytes of a label of ext4.
_LABEL = 16


def make(recipe: Recipe, root: Path, raw: Path) -> None:
    """Write the root as a raw disk; needs neither a mount nor a loop device.

    :raises BuildError: the root does not fit into it, or a program failed
    """
    needed = _used(root) * _OWN_NEEDS
    if needed > recipe.size_mb * 2**20:
        raise BuildError(
            f"{recipe.name} needs about {needed / 2**20:.0f} MB of disk, and its recipe"
            f" gives it a size of {recipe.size_mb} MB"
        )
    run(
        [
            "mkfs.ext4",
            "-q",
            "-F",
            "-L",
            recipe.name[:_LABEL],
            "-U",
            recipe.disk_uuid,
            "-E",
            f"hash_seed={recipe.disk_uuid},root_owner=0:0,nodiscard",
            # The guest's kernel is the only one that mounts it: no reserve for
            # a journal's recovery by other systems.
            "-O",
            "^resize_inode,^metadata_csum",
            "-m",
            "0",
            "-d",
            root,
            raw,
            f"{recipe.size_mb}M",
        ],
        environment={"E2FSPROGS_FAKE_TIME": str(recipe.epoch)},
    )
    _set_times(raw, recipe.epoch)


def qcow2(raw: Path, target: Path) -> None:
    """Write a raw disk as qcow2."""
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, target])


def _used(root: Path) -> int:
    """Bytes in whole blocks of what is below a folder; hard links count once."""
    seen: set[int] = set()
    total = 0
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            found = os.lstat(os.path.join(folder, name))
            if found.st_ino not in seen:
                seen.add(found.st_ino)
                total += -(-found.st_size // 4096) * 4096
    return total


def _set_times(image: Path, epoch: int) -> None:
    """Replace the times of inodes that mkfs takes from the folder's inodes.

    Nobody can set a file's change time, and it would differ in each build.
    """
    stats = run(["debugfs", "-R", "stats -h", image])
    inodes = int(_number(r"Inode count:\s+(\d+)", stats))
    free = int(_number(r"Free inodes:\s+(\d+)", stats))
    when = time.strftime("%Y%m%d%H%M%S", time.gmtime(epoch))
    commands = []
    for inode in range(2, inodes - free + 1):
        for field in ("ctime", "atime", "crtime"):
            commands.append(f"set_inode_field <{inode}> {field} {when}\n")
            commands.append(f"set_inode_field <{inode}> {field}_extra 0\n")
    run(
        ["debugfs", "-w", "-f", "/dev/stdin", image],
        environment={"E2FSPROGS_FAKE_TIME": str(epoch)},
        stdin="".join(commands),
    )


def _number(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else "0"
