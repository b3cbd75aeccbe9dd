# SPDX-License-Identifier: Apache-2.0
"""What a folder of images holds, and what it was made from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from nova_multi.domain.recipe import Recipe
from nova_multi.exception import BuildError

MANIFEST = "manifest.json"
# Glance's view of a file, see `describe`.
Image = dict[str, Any]


def describe(
    path: Path,
    hypervisor: str,
    *,
    name: str = "",
    formats: tuple[str, str] = ("raw", "bare"),
    min_disk: int = 0,
    min_ram: int = 0,
    properties: dict[str, str] | None = None,
    references: dict[str, str] | None = None,
) -> Image:
    """A file as Glance is to be told of it.

    `references` are properties whose value is the UUID that Glance gives to the image
    of that name.
    """
    return {
        "name": name or path.name.partition(".")[0],
        "file": path.name,
        "hypervisor": hypervisor,
        "size": path.stat().st_size,
        "sha512": sha512(path),
        "disk_format": formats[0],
        "container_format": formats[1],
        "min_disk": min_disk,
        "min_ram": min_ram,
        "properties": properties or {},
        "references": references or {},
    }


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a folder.

    :raises BuildError: there is none, or it is no manifest
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        _ = [(image["file"], image["sha512"]) for image in manifest["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(
            f"{folder} holds no images that were built: {error}"
        ) from error
    return manifest


def present(folder: Path, key: str) -> dict[str, Any] | None:
    """The manifest of what was built before, where all of it is still whole."""
    try:
        manifest = read(folder)
        if manifest["key"] != key:
            return None
        for image in manifest["images"]:
            if sha512(folder / image["file"]) != image["sha512"]:
                return None
    except (OSError, KeyError, BuildError):
        return None
    return manifest


def sha512(path: Path) -> str:
    """Digest of a file's content, as Glance keeps it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha512").hexdigest()


def fingerprint(recipe: Recipe) -> str:
    """Digest of a recipe, its files, and of the code that builds it."""
    digest = hashlib.sha256(json.dumps(_told(recipe), sort_keys=True).encode())
    code = Path(__file__).parent
    ours = [path for path in code.rglob("*") if path.suffix != ".pyc"]
    for path in sorted(path for path in ours if path.is_file()):
        _add(digest, path, str(path.relative_to(code)))
    for file in recipe.files:
        if file.source is not None and file.source.is_dir():
            for path in sorted(file.source.rglob("*")):
                _add(digest, path, str(path.relative_to(file.source)))
        elif file.source is not None:
            _add(digest, file.source, file.path)
    return digest.hexdigest()


def _told(recipe: Recipe) -> dict[str, Any]:
    """A recipe without where it lies: the same one elsewhere is the same."""
    data = recipe.as_data()
    for file in data["files"]:
        file["source"] = file["source"] is not None
    return data


def _add(digest: Any, path: Path, name: str) -> None:
    digest.update(f"\0{name}\0".encode())
    if path.is_symlink():
        digest.update(f"-> {path.readlink()}".encode())
    elif path.is_file():
        # Only whether it can be run gets into an image.
        digest.update(f"{path.stat().st_mode & 0o100:o}\0".encode())
        digest.update(path.read_bytes())
