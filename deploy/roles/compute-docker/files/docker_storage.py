#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Storage of Nova's Docker daemon, with limits for each guest where there are any.

    docker_storage.py apply CONFIG     mount it, making it the first time
    docker_storage.py check CONFIG     exit status 0 if it is as it should be
    docker_storage.py driver CONFIG    the storage driver that fits it
    docker_storage.py stop CONFIG      end all guests
    docker_storage.py undo CONFIG      unmount it

Docker limits a guest's file system on XFS with project quotas, and on btrfs. Both come
as a sparse file on a loop device. Which one is decided once, by trying; a machine that
can do neither (no loop devices, neither file system in the kernel) has guests without
disk limits.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

_MAKE = {
    "xfs": ["mkfs.xfs", "-q", "-f"],
    # One file below: a second copy of the metadata in it protects from nothing.
    "btrfs": ["mkfs.btrfs", "-q", "-f", "--metadata", "single"],
}
_OPTIONS = {"xfs": "loop,nodev,noatime,pquota", "btrfs": "loop,nodev,noatime"}
_DRIVERS = {"btrfs": "btrfs"}
# BTRFS_IOC_QUOTA_CTL and BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA of linux/btrfs.h; Debian
# 12's btrfs-progs are too old to know the latter.
_QUOTA_CTL = 0xC0109428
_ENABLE_SIMPLE = 4
_TIMEOUT = 120


def _run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Storage:
    """The data root and what is mounted there."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._data = Path(config["data"])
        self._image = Path(config["image"])
        self._new = self._image.with_suffix(".new")
        self._size_gb = int(config["size_gb"])
        self._kinds: list[str] = config["kinds"]
        self._url: str = config["url"]

    def mounted(self) -> str:
        """Type of the file system that is mounted at the data root, or nothing."""
        found = ""
        for line in Path("/proc/self/mounts").read_text().splitlines():
            device, point, kind, *_ = line.split()
            # The daemon mounts the folder upon itself, too.
            if point == str(self._data) and device.startswith("/dev/loop"):
                found = kind
        return found

    def apply(self) -> None:
        self._data.mkdir(mode=0o711, exist_ok=True)
        if self.mounted():
            if self._new.exists() and not self._image.exists():
                self._new.rename(self._image)  # its maker was killed just before
            return
        if self._image.exists():
            self._mount(_run("blkid", "-o", "value", "-s", "TYPE", str(self._image)))
        elif not any(self._data.iterdir()):
            self._make()

    def _make(self) -> None:
        new = self._new
        for kind in self._kinds:
            try:
                with open(new, "wb") as image:
                    image.truncate(self._size_gb * 1024**3)
                new.chmod(0o600)
                _run(*_MAKE[kind], str(new))
                self._mount(kind, new)
                if kind == "btrfs":
                    self._enable_simple_quotas()
            except OSError as error:
                print(f"no {kind} for guests' disks: {error}", flush=True)
                new.unlink(missing_ok=True)
                continue
            # Mounted already: the loop device follows the file, not its name.
            new.rename(self._image)
            print(f"{kind} for guests' disks, with limits", flush=True)
            return
        print("guests' disks are without limits", flush=True)

    def _mount(self, kind: str, image: Path | None = None) -> None:
        kind = kind.strip()
        source = str(image or self._image)
        _run("mount", "-t", kind, "-o", _OPTIONS[kind], source, str(self._data))
        self._data.chmod(0o711)

    def _enable_simple_quotas(self) -> None:
        """Quotas that count what a guest itself has written (Linux 6.7).

        The older kind, which Docker enables where there is none, costs time at each
        removal, and a large removal may leave it inconsistent: then it limits nothing.
        """
        folder = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, _QUOTA_CTL, struct.pack("QQ", _ENABLE_SIMPLE, 0))
        except OSError as error:
            print(f"no simple quotas, Docker enables full ones: {error}", flush=True)
        finally:
            os.close(folder)

    def check(self) -> bool:
        return self._data.is_dir() and (
            bool(self.mounted()) or not self._image.exists()
        )

    def driver(self) -> str:
        mounted = self.mounted()
        if not mounted and self._image.exists():
            # All guests would be gone, and new ones hidden by the mount.
            raise OSError(f"{self._image} is not mounted at {self._data} yet")
        return _DRIVERS.get(mounted, "overlay2")

    def stop(self) -> None:
        docker = ["docker", "--host", self._url]
        listed = [*docker, "ps", "--quiet", "--no-trunc"]
        # A frozen guest can't be killed.
        if frozen := _run(*listed, "--filter", "status=paused").split():
            _run(*docker, "unpause", *frozen)
        if running := _run(*listed).split():
            _run(*docker, "kill", *running)

    def undo(self) -> None:
        points = [
            line.split()[1]
            for line in Path("/proc/self/mounts").read_text().splitlines()
        ]
        for point in reversed(points):
            if Path(point).is_relative_to(self._data):
                _run("umount", point)


def main() -> int:
    try:
        verb, path = sys.argv[1:]
        storage = Storage(json.loads(Path(path).read_text()))
        if verb not in ("apply", "check", "driver", "stop", "undo"):
            raise ValueError(verb)
    except (ValueError, KeyError):
        _usage()
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        result = getattr(storage, verb)()
    except (OSError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1
    if isinstance(result, str):
        print(result)
    return 1 if result is False else 0


def _usage() -> NoReturn:
    print(__doc__, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
