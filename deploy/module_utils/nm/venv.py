# SPDX-License-Identifier: Apache-2.0
"""A virtual environment that holds exactly the pinned packages, and holds them whole.

What is installed is read from the environment itself: each package's version, and
whether each file that its RECORD lists is there with its size.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from . import command, manifest

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)")


def canonical(name: str) -> str:
    """A project's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(constraints: str) -> dict[str, str]:
    """Name and version of each line of a pinned requirements file."""
    found = {}
    for line in constraints.splitlines():
        match = _PIN.match(line)
        if match:
            found[canonical(match[1])] = match[2]
    return found


class Venv:
    """One virtual environment, looked at and completed with uv."""

    def __init__(self, path: Path, uv: Path, python: str, cache: Path) -> None:
        self.path = path
        self._uv = uv
        self._python = python
        self._cache = cache

    @property
    def site_packages(self) -> Path:
        return next(iter(self.path.glob("lib/python3.*/site-packages")), self.path)

    def ensure_made(self) -> bool:
        """Have the bare environment; one whose interpreter is gone is made anew."""
        if os.access(self.path / "bin" / "python", os.X_OK):
            return False
        manifest.record("tree", path=str(self.path))
        shutil.rmtree(self.path, ignore_errors=True)
        command.run(
            [str(self._uv), "venv", "--quiet", "--python", self._python, self.path],
        )
        return True

    def faulty(self, wanted: dict[str, str]) -> list[str]:
        """Those of the pinned packages that are missing, others, or not whole."""
        infos = {}
        for info in self.site_packages.glob("*.dist-info"):
            name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
            infos[canonical(name)] = (version, info)
        faulty = []
        for name, version in wanted.items():
            present, info = infos.get(name, ("", self.path))
            if not _same_version(present, version) or not whole(info):
                faulty.append(name)
        return faulty

    def install(self, requirements: Iterable[str], *options: str) -> None:
        """Install these pins as they are, without resolving anything.

        :raises CommandError: uv's last words.
        """
        manifest.record("tree", path=str(self._cache))
        command.run(
            [
                *(str(self._uv), "pip", "install", "--quiet", "--no-deps"),
                *("--python", str(self.path / "bin" / "python")),
                *options,
                *requirements,
            ],
            environment={"UV_CACHE_DIR": str(self._cache), "UV_NO_PROGRESS": "1"},
            timeout=1800,
        )


def whole(info: Path) -> bool:
    """Whether all files of an installed package are there with their sizes."""
    base = str(info.parent)
    try:
        with (info / "RECORD").open(newline="") as file:
            for name, _, size in csv.reader(file):
                if name.endswith(".pyc"):
                    continue
                found = os.stat(os.path.join(base, name)).st_size
                if size and found != int(size):
                    return False
    except (OSError, ValueError):
        return False
    return True


def _same_version(one: str, other: str) -> bool:
    # A directory's name has _ for - in local versions; 1.0 and 1.0.0 do not meet
    # here, since the pins come from the same resolver as the names.
    return one.replace("_", "-") == other.replace("_", "-")
