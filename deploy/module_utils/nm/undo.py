# SPDX-License-Identifier: Apache-2.0
"""Takes back what the manifest says was made. Bears that it is gone already.

Kinds, with their arguments:

    directory   path            removed if empty
    tree        path            removed with everything in it
    file        path, original  removed, or the original put back
    clouds      path, original, names: the same, but if somebody has changed the file
                                since, only these entries of clouds.yaml are taken out
    leaving     path            what a program made there by itself: a file is
                                removed, a folder if it is empty
    command     undo, service   an argument list that is run, before that service is
                                stopped or else when all are
    service     name            stopped and forgotten
    supervisor                  ended
    user, group name            removed
    membership  user, group     taken out of the group again
    packages    names           removed and purged, only with --purge
    python      names           stays: it runs deploy/down, which says how to remove it
    disabled_units names        nothing without --purge: with it they go anyway
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import backend, clouds, command, packages, paths, processes

# Data that is only given up with --purge: databases, images, guests' disks. The
# venvs too, so that a new `deploy/up` need not build them again.
_KEPT_TREES = (str(paths.ROOT), str(paths.STATE))

# Made by the build of images, below which each folder is in the manifest.
_CACHE = Path("/var/cache/nova-multi")

# Types of file systems that hold nothing of anybody's.
_WITHOUT_DATA = ("proc", "sysfs", "devpts", "devtmpfs", "tmpfs", "mqueue")


class Undo:
    """The undo of each kind, for one run of `deploy/down`."""

    def __init__(self, purge: bool) -> None:
        self._purge = purge
        self._backend = backend.detect()

    def is_kept(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry outlives a run without --purge."""
        if entry["kind"] == "python":
            return True
        if self._purge:
            return False
        if entry["kind"] in ("packages", "disabled_units", "user", "group"):
            return True
        path = str(entry.get("path", ""))
        if _below(path, (str(paths.SERVICES),)):
            return False
        return _below(path, _KEPT_TREES) or path in (
            str(paths.ETC),
            str(paths.ETC / "passwords.yml"),
        )

    def __call__(self, entry: Mapping[str, Any]) -> None:
        """Undo one entry.

        :raises CommandError, OSError, ServiceError: it cannot be undone.
        """
        undo: Callable[[Mapping[str, Any]], None] = getattr(self, f"_{entry['kind']}")
        undo(entry)

    def finish(self) -> None:
        """Remove what only ever was ours, once nothing in it is in use any more.

        :raises OSError: something is mounted there still.
        """
        if self._purge:
            for path in (paths.ETC, paths.ROOT, paths.STATE):
                _remove_tree(path)
            with contextlib.suppress(OSError):
                _CACHE.rmdir()

    def _directory(self, entry: Mapping[str, Any]) -> None:
        path = Path(entry["path"])
        if _below(str(path), (str(paths.RUN), str(paths.LOG))):
            # What services left in their own folders goes with them.
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()

    def _leaving(self, entry: Mapping[str, Any]) -> None:
        path = Path(entry["path"])
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            self._directory(entry)

    def _tree(self, entry: Mapping[str, Any]) -> None:
        _remove_tree(Path(entry["path"]))

    def _file(self, entry: Mapping[str, Any]) -> None:
        path = Path(entry["path"])
        original = entry.get("original")
        if original and not os.path.lexists(original):
            return  # put back already, by a run that was killed before it could say so
        if original:
            status = os.lstat(original)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(original, path, follow_symlinks=False)
            os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)
            os.unlink(original)
        else:
            path.unlink(missing_ok=True)

    def _clouds(self, entry: Mapping[str, Any]) -> None:
        path, original = Path(entry["path"]), entry.get("original")
        if original and not os.path.lexists(original):
            return  # done already, by a run that was killed
        if not path.exists():
            self._file(entry)
            return
        python = paths.DEPLOY_VENV / "bin" / "python"
        if not python.exists():
            names = ", ".join(entry["names"])
            raise command.CommandError(
                f"{path} may hold clouds of others, and {python} is gone, which would "
                f"take ours out: remove {names} there, or the file, by hand"
            )
        arguments = [str(path), original or "-", *entry["names"]]
        kept = command.run([str(python), clouds.__file__, *arguments]).strip()
        if kept != "kept":
            self._file(entry)
        elif original:
            os.unlink(original)

    def _command(self, entry: Mapping[str, Any]) -> None:
        program = entry["undo"][0]
        if shutil.which(program) is None:
            return  # what it would talk to has gone before
        command.run(entry["undo"], timeout=300)

    def _service(self, entry: Mapping[str, Any]) -> None:
        name = entry["name"]
        self._backend.stop(name, timeout=120)
        left = processes.of_service(name)
        if left:
            processes.end(left, timeout=10)
        self._backend.remove(name)

    def _supervisor(self, _entry: Mapping[str, Any]) -> None:
        shut_down = getattr(self._backend, "shut_down", None)
        if shut_down:
            shut_down()

    def _user(self, entry: Mapping[str, Any]) -> None:
        try:
            pwd.getpwnam(entry["name"])
        except KeyError:
            return
        command.run(["userdel", entry["name"]])

    def _group(self, entry: Mapping[str, Any]) -> None:
        try:
            grp.getgrnam(entry["name"])
        except KeyError:
            return
        command.run(["groupdel", entry["name"]])

    def _membership(self, entry: Mapping[str, Any]) -> None:
        try:
            members = grp.getgrnam(entry["group"]).gr_mem
        except KeyError:
            return
        if entry["user"] in members:
            command.run(["gpasswd", "--delete", entry["user"], entry["group"]])

    def _packages(self, entry: Mapping[str, Any]) -> None:
        packages.purge(entry["names"])

    def _disabled_units(self, entry: Mapping[str, Any]) -> None:
        if Path("/run/systemd/system").is_dir():
            # Packages that were there before keep their units as they were.
            subprocess.run(
                ["systemctl", "preset", *entry["names"]],
                check=False,
                capture_output=True,
            )


def _below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def _remove_tree(path: Path) -> None:
    """Remove a folder, but nothing that is mounted below it.

    What a killed build of images left mounted there holds no data: it is unmounted.

    :raises OSError: something else is mounted there, or cannot be removed.
    """
    if not path.is_dir():
        return
    mounts = [
        line.split() for line in Path("/proc/self/mounts").read_text().splitlines()
    ]
    # The last mounted first: it may be on another.
    for fields in reversed(mounts):
        target = fields[1].replace("\\040", " ")
        if not _below(target, (str(path),)):
            continue
        if fields[2] not in _WITHOUT_DATA:
            raise OSError(f"{target} is mounted; unmount it first")
        subprocess.run(["umount", "--lazy", target], check=False, capture_output=True)
    shutil.rmtree(path)
