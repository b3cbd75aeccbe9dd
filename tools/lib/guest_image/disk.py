# SPDX-License-Identifier: Apache-2.0
"""The virtual machine's disk: one ext4 file system, no partitions."""

import re
import time
from pathlib import Path

from toolbox import run

from guest_image.recipe import Recipe


def make(recipe: Recipe, root: Path, target: Path) -> None:
    """Write the root as a qcow2 disk; needs neither a mount nor a loop device."""
    raw = target.with_suffix(".raw")
    run(
        [
            "mkfs.ext4",
            "-q",
            "-F",
            "-L",
            recipe.name,
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
            f"{recipe.disk_mb}M",
        ],
        environment={"E2FSPROGS_FAKE_TIME": str(recipe.epoch)},
    )
    _set_times(raw, recipe.epoch)
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, target])
    raw.unlink()


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
