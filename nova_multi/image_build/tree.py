# SPDX-License-Identifier: Apache-2.0
"""The one root file system that all packagings of an image hold."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from nova_multi.domain.recipe import Recipe, Variant
from nova_multi.image_build import commands, contents, extracted
from nova_multi.image_build.programs import run

_MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
#: Made anew by what needs them, and different in each build.
_PASSING = (
    "etc/*-",
    "etc/.pwd.lock",
    "etc/ssh/ssh_host_*",
    "etc/dropbear/dropbear_*_host_key",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/*",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/*-old",
    "var/lib/systemd/random-seed",
    "var/log/alternatives.log",
    "var/log/apt/*",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
)
_SHADOW = re.compile(r"^([^:\n]*:[^:\n]*:)\d+(?=:)", re.MULTILINE)


def make(recipe: Recipe, repository: Path, root: Path) -> None:
    """Install the packages of the repository into a new folder `root`.

    :param recipe: of a plan.
    :raises BuildError: something failed
    """
    extract = recipe.variant is Variant.EXTRACT
    run(
        [
            "mmdebstrap",
            "--mode=root",
            f"--variant={recipe.variant}",
            "--format=directory",
            f"--architectures={recipe.architecture}",
            # Nothing of the image is run then.
            *(["--skip=check/qemu"] if extract else []),
            f"--include={','.join(recipe.packages)}",
            f"--hook-dir={_MERGED_USR}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.exclude),
            "",
            root,
            # Its packages were checked by apt when they came.
            f"deb [trusted=yes] copy://{repository} ./",
        ],
        environment={"SOURCE_DATE_EPOCH": str(recipe.epoch)},
    )
    if extract:
        extracted.complete(root)
    # The build's name server would stay otherwise; drivers and DHCP write it.
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").touch()
    contents.put_init(recipe, root)
    (root / "etc/hostname").write_text(f"{recipe.name}\n")
    contents.put_users(recipe, root)
    contents.put_files(recipe, root)
    for command in recipe.commands:
        commands.run_inside(recipe, root, command)
    for name in recipe.remove:
        contents.remove(root, name)
    scrub(root, recipe.epoch)


def scrub(root: Path, epoch: int) -> None:
    """Take away what the build itself left, and what differs from build to build."""
    for excludes in (root / "etc/dpkg/dpkg.cfg.d").glob("*mmdebstrap"):
        excludes.unlink()
    for sources in (root / "etc/apt").glob("sources.list"):
        if "trusted=yes" in sources.read_text():
            sources.write_text("")
    for passing in (root / "etc/apt/apt.conf.d").glob("*mmdebstrap"):
        passing.unlink()
    for pattern in _PASSING:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    if (root / "etc/machine-id").exists():
        (root / "etc/machine-id").write_text("")
    shadow = root / "etc/shadow"
    if shadow.exists():
        # Passwords were changed on the day of the build.
        days = epoch // 86_400
        text = shadow.read_text()
        if (fixed := _SHADOW.sub(rf"\g<1>{days}", text)) != text:
            shadow.write_text(fixed)


def settle(root: Path, epoch: int) -> None:
    """Let nothing from `root` downwards be younger than `epoch`."""
    for folder, folders, files in os.walk(root):
        for path in (os.path.join(folder, name) for name in (".", *folders, *files)):
            if os.lstat(path).st_mtime > epoch:
                os.utime(path, (epoch, epoch), follow_symlinks=False)
