# SPDX-License-Identifier: Apache-2.0
"""The programs that images are made with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nova_multi.exception import BuildError

#: Debian's package of each program that is not on every Debian.
PACKAGES = {
    "apt-get": "apt",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "debugfs": "e2fsprogs",
    "mkfs.ext4": "e2fsprogs",
    "mksquashfs": "squashfs-tools",
    "mmdebstrap": "mmdebstrap",
    "qemu-img": "qemu-utils",
    "setpriv": "util-linux",
    "tar": "tar",
    "unshare": "util-linux",
}
#: They are not on every user's PATH.
_SEARCHED = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def missing(names: Iterable[str]) -> list[str]:
    """Those of the programs that this machine lacks, in order."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SEARCHED))
    return sorted(name for name in set(names) if not shutil.which(name, path=path))


def check(names: Iterable[str]) -> None:
    """See that programs are there.

    :raises BuildError: some are not; with all of them, and the packages to install.
    """
    lacking = missing(names)
    if lacking:
        packages = sorted({PACKAGES.get(name, name) for name in lacking})
        raise BuildError(
            f"this machine lacks {', '.join(lacking)}: "
            f"apt-get install {' '.join(packages)}"
        )


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program and return its output.

    :raises BuildError: it is missing or failed; with its last lines
    """
    words = [str(word) for word in command]
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SEARCHED))
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", "PATH": path, **(environment or {})},
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        package = PACKAGES.get(words[0], words[0])
        raise BuildError(f"{words[0]} is missing: apt-get install {package}") from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise BuildError(
            f"{words[0]} failed with status {done.returncode}:\n  " + "\n  ".join(lines)
        )
    return done.stdout
