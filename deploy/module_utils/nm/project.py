# SPDX-License-Identifier: Apache-2.0
"""The project's own package in a virtual environment, the same as in the checkout."""

from __future__ import annotations

import configparser
import hashlib
import shutil
import tempfile
from pathlib import Path

from .venv import Venv, whole

_SUFFIXES = (".py", ".sh", ".xml", ".typed", ".html", ".js", ".css", ".json", ".yaml")
_METADATA = ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE")


def is_installed(source: Path, venv: Venv, package: str = "nova_multi") -> bool:
    """Whether each module, data file and entry point of the checkout is installed."""
    infos = list(venv.site_packages.glob(f"{package}-*.dist-info"))
    if len(infos) != 1 or not whole(infos[0]):
        return False
    if _contents(source / package, (".py",)) != _contents(
        venv.site_packages / package, (".py",)
    ):
        return False
    installed = _contents(venv.site_packages / package, _SUFFIXES)
    checkout = _contents(source / package, _SUFFIXES)
    # Data that the package's metadata leaves out is not installed, and need not be.
    if any(checkout.get(name) != data for name, data in installed.items()):
        return False
    return _declared_entry_points(source / "setup.cfg") == _entry_points(
        infos[0] / "entry_points.txt"
    )


def install(source: Path, venv: Venv, package: str = "nova_multi") -> None:
    """Build a wheel from a copy of the checkout and install it.

    A copy, since a build writes beside its sources, which are not ours to litter.

    :raises CommandError: uv's or setuptools' last words.
    """
    with tempfile.TemporaryDirectory(prefix="nova-multi-build-") as folder:
        copy = Path(folder)
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(source / package, copy / package, ignore=ignore)
        for name in _METADATA:
            if (source / name).exists():
                shutil.copy2(source / name, copy / name)
            elif name.endswith(".md"):
                (copy / name).write_text("")
        # The environment's own setuptools, which is pinned, builds it.
        venv.install([str(copy)], "--no-build-isolation", "--reinstall", "--no-cache")


def fingerprint(venv: Venv, package: str = "nova_multi") -> str:
    """A line for each installed file, which differs where the file does."""
    found = _contents(venv.site_packages / package, _SUFFIXES)
    lines = [
        f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        for name, data in sorted(found.items())
    ]
    return "".join(lines)


def _contents(folder: Path, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in suffixes and path.is_file()
    }


def _declared_entry_points(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser()
    parser.read(path)
    groups: dict[str, dict[str, str]] = {}
    if not parser.has_section("options.entry_points"):
        return groups
    for group, lines in parser.items("options.entry_points"):
        for line in lines.strip().splitlines():
            name, _, target = line.partition("=")
            groups.setdefault(group, {})[name.strip()] = target.strip()
    return groups


def _entry_points(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return {group: dict(parser.items(group)) for group in parser.sections()}
