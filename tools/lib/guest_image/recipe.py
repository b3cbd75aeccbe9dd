# SPDX-License-Identifier: Apache-2.0
"""The recipe: what tools/image/recipe.toml and the files beside it say."""

import hashlib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recipe:
    """One recipe, as read; paths are relative to `folder`."""

    folder: Path
    name: str
    epoch: int
    packages: tuple[str, ...]
    unwanted: tuple[str, ...]
    exclude: tuple[str, ...]
    remove: tuple[str, ...]
    applets: tuple[str, ...]
    disk_mb: int
    disk_uuid: str
    kernel_package: str
    kernel_architecture: str
    modules: tuple[str, ...]
    command_line: str

    @property
    def overlay(self) -> Path:
        """Files that are copied over the Debian root."""
        return self.folder / "root"

    @property
    def initramfs(self) -> Path:
        """The initial RAM disk's first program."""
        return self.folder / "initramfs" / "init"


def read(folder: Path) -> Recipe:
    """Read the recipe of a folder."""
    raw = tomllib.loads((folder / "recipe.toml").read_text())
    return Recipe(
        folder=folder,
        name=raw["name"],
        epoch=int(os.environ.get("SOURCE_DATE_EPOCH") or raw["epoch"]),
        packages=tuple(raw["packages"]),
        unwanted=tuple(raw["unwanted"]),
        exclude=tuple(raw["exclude"]),
        remove=tuple(raw["remove"]),
        applets=tuple(raw["applets"]),
        disk_mb=raw["disk"]["size_mb"],
        disk_uuid=raw["disk"]["uuid"],
        kernel_package=raw["kernel"]["package"],
        kernel_architecture=raw["kernel"]["architecture"],
        modules=tuple(raw["kernel"]["modules"]),
        command_line=raw["kernel"]["command_line"],
    )


def fingerprint(recipe: Recipe) -> str:
    """Digest of the recipe, its files and of this code."""
    digest = hashlib.sha256(str(recipe.epoch).encode())
    code = Path(__file__).parent
    files = [*code.glob("*.py"), *recipe.folder.rglob("*")]
    for path in sorted(file for file in files if file.is_file()):
        digest.update(f"\0{path.name}\0{path.stat().st_mode & 0o777:o}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
