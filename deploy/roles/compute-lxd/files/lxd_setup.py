#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nova's own project and storage pool in the machine's LXD.

    lxd_setup.py apply CONFIG      make what is missing, set what differs
    lxd_setup.py check CONFIG      exit status 0 if all is as it should be
    lxd_setup.py undo CONFIG       delete guests, images, project and pool
    lxd_setup.py unmount CONFIG    unmount what an LXD that has ended left behind

Other projects and pools of the same LXD are not looked at, and ones of these names that
do not carry our mark are neither used nor deleted. The pool's driver is decided once,
by trying; with ``dir`` guests have no disk limits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any, NoReturn

_TIMEOUT = 120
_IDS_OF_A_GUEST = 65536
# On the project and on the pool.
_MARK = {"user.nova-multi": "true"}


class SetupError(Exception):
    """LXD refused, or the machine is not as it must be."""


class Setup:
    """What Nova has of LXD."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._project: str = config["project"]
        self._pool: str = config["pool"]
        self._root = Path(config["root"])
        self._drivers: list[str] = config["drivers"]
        self._size_gb = int(config["size_gb"])
        self._isolated: bool = config["isolated"]

    # -- LXD ------------------------------------------------------------------

    def _lxc(self, *arguments: str) -> str:
        # The client's own files are not to lie about in root's home.
        own = {"LXD_DIR": str(self._root), "LXD_CONF": "/run/nova-multi/lxd-setup"}
        done = subprocess.run(
            ["lxc", *arguments],
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise SetupError(f"lxc {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def _query(self, path: str) -> Any:
        return json.loads(self._lxc("query", path))

    def _names(self, kind: str) -> set[str]:
        return {path.rpartition("/")[2] for path in self._query(f"/1.0/{kind}")}

    # -- verbs ----------------------------------------------------------------

    def _project_settings(self) -> dict[str, str]:
        """Guests that are confined, and of the low-level options what Nova needs.

        Networks are the machine's, and come as physical interfaces that Nova makes.
        """
        return {
            "features.images": "true",
            "features.networks": "false",
            "features.profiles": "true",
            "features.storage.volumes": "true",
            "restricted": "true",
            "restricted.containers.lowlevel": "allow",
            "restricted.containers.nesting": "block",
            "restricted.containers.privilege": (
                "isolated" if self._isolated else "unprivileged"
            ),
            "restricted.devices.disk": "allow",
            "restricted.devices.nic": "allow",
            "restricted.snapshots": "allow",
            "restricted.virtual-machines.lowlevel": "block",
        }

    def _wrong_settings(self, wanted: dict[str, str]) -> dict[str, str]:
        present = self._query(f"/1.0/projects/{self._project}")["config"]
        return {key: v for key, v in wanted.items() if present.get(key) != v}

    def _has_project(self) -> bool:
        return self._project in self._names("projects")

    def _has_pool(self) -> bool:
        return self._pool in self._names("storage-pools")

    def _is_pool_marked(self) -> bool:
        config = self._query(f"/1.0/storage-pools/{self._pool}")["config"]
        return all(config.get(key) == value for key, value in _MARK.items())

    def _is_project_ours(self) -> bool:
        """Whether it is marked, or has all settings that we gave one without a mark."""
        return not self._wrong_settings(_MARK) or not self._wrong_settings(
            self._project_settings()
        )

    def _is_pool_ours(self, with_project: bool) -> bool:
        """Whether it is marked, or our project alone uses one without a mark."""
        if self._is_pool_marked():
            return True
        used_by = self._query(f"/1.0/storage-pools/{self._pool}")["used_by"]
        return with_project and all(
            f"project={self._project}" in urllib.parse.urlsplit(path).query.split("&")
            # Of images LXD does not always say whose they are.
            or path.startswith("/1.0/images/")
            for path in used_by
        )

    def _present(self) -> tuple[bool, bool]:
        """Whether there is our project, and our pool.

        :raises SetupError: one of them is somebody else's.
        """
        project, pool = self._has_project(), self._has_pool()
        if project and not self._is_project_ours():
            raise SetupError(_foreign("project", self._project, "project"))
        if pool and not self._is_pool_ours(project):
            raise SetupError(_foreign("storage pool", self._pool, "storage"))
        return project, pool

    def apply(self) -> None:
        self._check_ids()
        project, pool = self._present()
        settings = {**self._project_settings(), **_MARK}
        if not pool:
            self._make_pool()
        elif not self._is_pool_marked():
            self._lxc("storage", "set", self._pool, *_words(_MARK))
        if not project:
            options = [f"--config={word}" for word in _words(settings)]
            self._lxc("project", "create", self._project, *options)
            return
        for word in _words(self._wrong_settings(settings)):
            self._lxc("project", "set", self._project, word)

    def _check_ids(self) -> None:
        needed = _IDS_OF_A_GUEST * (2 if self._isolated else 1)
        for path in (Path("/etc/subuid"), Path("/etc/subgid")):
            lines = path.read_text().splitlines() if path.exists() else []
            ranges = [line.split(":") for line in lines if line.startswith("root:")]
            if not any(int(count) >= needed for _, _, count in ranges):
                raise SetupError(
                    f"{path} gives root no range of at least {needed} ids for guests;"
                    " add one with usermod --add-subuids and --add-subgids"
                )

    def _make_pool(self) -> None:
        faults = []
        for driver in self._drivers:
            options = [] if driver == "dir" else [f"size={self._size_gb}GiB"]
            try:
                self._lxc(
                    "storage", "create", self._pool, driver, *options, *_words(_MARK)
                )
            except SetupError as error:
                faults.append(str(error))
                continue
            limits = "without" if driver == "dir" else "with"
            print(f"{driver} for guests' disks, {limits} limits", flush=True)
            return
        raise SetupError("; ".join(faults))

    def check(self) -> bool:
        settings = {**self._project_settings(), **_MARK}
        return (
            self._has_pool()
            and self._has_project()
            and not self._wrong_settings(settings)
            and self._is_pool_marked()
        )

    def undo(self) -> None:
        project = self._has_project() and self._is_project_ours()
        pool = self._has_pool() and self._is_pool_ours(project)
        if project:
            own = ("--project", self._project)
            for name in self._lxc("list", *own, "-f", "csv", "-c", "n").split():
                self._lxc("delete", *own, "--force", name)
            listed = self._lxc("image", "list", *own, "-f", "csv", "-c", "F").split()
            for fingerprint in listed:
                self._lxc("image", "delete", *own, fingerprint)
            self._lxc("project", "delete", self._project)
        if pool:
            self._lxc("storage", "delete", self._pool)

    def unmount(self) -> None:
        try:
            self._query("/1.0")
            return  # the machine's own, which goes on
        except SetupError:
            pass
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            target = Path(line.split()[1])
            if target.is_relative_to(self._root):
                subprocess.run(["umount", "-l", str(target)], check=True)


def _words(settings: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]


def _foreign(kind: str, name: str, word: str) -> str:
    return (
        f"LXD's {kind} {name} is not this deployment's: rename or delete it, or, if it "
        f"is all the same, mark it: lxc {word} set {name} {_words(_MARK)[0]}"
    )


def main() -> int:
    try:
        verb, path = sys.argv[1:]
        setup = Setup(json.loads(Path(path).read_text()))
        if verb not in ("apply", "check", "undo", "unmount"):
            raise ValueError(verb)
    except (ValueError, KeyError):
        _usage()
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        result = getattr(setup, verb)()
    except (SetupError, OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if result is False else 0


def _usage() -> NoReturn:
    print(__doc__, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    sys.exit(main())
