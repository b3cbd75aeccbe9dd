# SPDX-License-Identifier: Apache-2.0
"""The one Debian root that all images hold."""

import os
import shutil
from pathlib import Path

from toolbox import run

from guest_image.recipe import Recipe

_MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"


def make(recipe: Recipe, repository: Path, root: Path) -> None:
    """Install the packages of the repository into a new folder `root`."""
    run(
        [
            "mmdebstrap",
            "--mode=root",
            "--variant=essential",
            "--format=directory",
            f"--include={','.join(recipe.packages)}",
            f"--hook-dir={_MERGED_USR}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.exclude),
            "",
            root,
            # Its packages were checked by the machine's apt when they came.
            f"deb [trusted=yes] copy://{repository} ./",
        ],
        environment={"SOURCE_DATE_EPOCH": str(recipe.epoch)},
    )
    for name in recipe.remove:
        shutil.rmtree(root / name)
    for excludes in (root / "etc/dpkg/dpkg.cfg.d").glob("*mmdebstrap"):
        excludes.unlink()
    shutil.copytree(recipe.overlay, root, dirs_exist_ok=True)
    for applet in recipe.applets:
        (root / "usr/local/bin" / applet).symlink_to("/bin/busybox")
    (root / "etc/hostname").write_text(f"{recipe.name}\n")
    # The build's name server would stay otherwise; drivers and DHCP write it.
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").touch()


def settle(root: Path, epoch: int) -> None:
    """Let nothing from `root` downwards be younger than `epoch`."""
    for folder, folders, files in os.walk(root):
        for path in (os.path.join(folder, name) for name in (".", *folders, *files)):
            if os.lstat(path).st_mtime > epoch:
                os.utime(path, (epoch, epoch), follow_symlinks=False)
