# SPDX-License-Identifier: Apache-2.0
"""Docker archives made of Python values."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pathlib
import tarfile
from collections.abc import Sequence
from typing import Any

#: (name, content) for a file; content None for a folder, "-> target" for a link.
Entry = tuple[str, bytes | str | None]


def layer(*entries: Entry) -> bytes:
    """A layer's tar."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in entries:
            archive.addfile(*_member(name, content))
    return target.getvalue()


def _member(name: str, content: bytes | str | None) -> tuple[tarfile.TarInfo, Any]:
    info = tarfile.TarInfo(name)
    if content is None:
        info.type = tarfile.DIRTYPE
    elif isinstance(content, str):
        kind, _, target = content.partition(" ")
        info.type = {
            "->": tarfile.SYMTYPE,
            "=>": tarfile.LNKTYPE,
            "chr": tarfile.CHRTYPE,
            "blk": tarfile.BLKTYPE,
            "fifo": tarfile.FIFOTYPE,
        }[kind]
        info.linkname = target
    else:
        info.size = len(content)
        return info, io.BytesIO(content)
    return info, None


def digest(data: bytes) -> str:
    """Digest in Docker's words."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def image(
    path: pathlib.Path,
    layers: Sequence[bytes],
    *,
    settings: Any = None,
    config: dict[str, Any] | None = None,
    manifest: Any = None,
    compress: bool = False,
    links: dict[str, str] | None = None,
) -> pathlib.Path:
    """Write what ``docker save`` writes.

    :param settings: the configuration's ``config``.
    :param config: replaces parts of the configuration.
    :param manifest: replaces the manifest's list.
    :param compress: whether layers are gzip'ed.
    :param links: further members, symbolic links.
    """
    full = {
        "architecture": "amd64",
        "os": "linux",
        "config": settings or {},
        "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]},
        **(config or {}),
    }
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    listed = [{"Config": "config.json", "RepoTags": ["evil:latest"], "Layers": names}]
    with tarfile.open(path, "w") as archive:
        for name, target in (links or {}).items():
            archive.addfile(*_member(name, f"-> {target}"))
        for name, data in zip(names, layers, strict=True):
            if name not in (links or {}):
                content = gzip.compress(data) if compress else data
                archive.addfile(*_member(name, content))
        archive.addfile(*_member("config.json", json.dumps(full).encode()))
        text = json.dumps(listed if manifest is None else manifest)
        archive.addfile(*_member("manifest.json", text.encode()))
    return path
