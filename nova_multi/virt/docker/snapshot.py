# SPDX-License-Identifier: Apache-2.0
"""A guest as an image: what the daemon saves, rewritten while it streams past.

The daemon's archive carries the guest's whole configuration: our labels, the bootstrap
as entry point, the name of the server. In the image that goes to Glance the settings
are again those of the image that the guest was made from.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, cast

from nova_multi import exception
from nova_multi.inspection.tarball import (
    TAR_END,
    tar_description,
    tar_header,
    tar_padding,
)
from nova_multi.inspection.unpacking import CHUNK, forget_members
from nova_multi.virt.docker import mapping

#: JSON members up to this size are held back until it is known which of them count.
_MAX_JSON = 4 * 1024 * 1024


class _Stream(io.RawIOBase):
    """Chunks of bytes as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def image_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of an image without the marks that our import put on it."""
    settings = {name: value for name, value in config.items() if value}
    settings["Labels"] = {
        name: value
        for name, value in (config.get("Labels") or {}).items()
        if not name.startswith(mapping.LABEL_PREFIX)
    }
    return settings


def rewrite(
    saved: Iterable[bytes], settings: Mapping[str, Any], target: IO[bytes]
) -> None:
    """Write the archive that ``docker save`` streams with other settings.

    :param saved: the daemon's archive, of one image.
    :param settings: see :func:`image_settings`.
    :raises EngineError: the stream ended early or is something else.
    """
    held: dict[str, bytes] = {}
    stream = io.BufferedReader(_Stream(saved), CHUNK)
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                forget_members(archive)
                for chunk in _pass_on(archive, member, held):
                    target.write(chunk)
        manifest = json.loads(held["manifest.json"])[0]
        config = json.loads(held[manifest["Config"]])
    except (tarfile.TarError, EOFError, KeyError, IndexError, ValueError) as error:
        raise exception.EngineError(
            f"Docker saved no whole image: {error!r}", engine="docker"
        ) from error
    config["config"] = dict(settings)
    # Both tell of the guest: its name, its mounts, the commands that made it.
    config.pop("container_config", None)
    config.pop("container", None)
    for chunk in tar_description(json.dumps(config).encode(), manifest["Layers"], ()):
        target.write(chunk)
    target.write(TAR_END)


def _pass_on(
    archive: tarfile.TarFile, member: tarfile.TarInfo, held: dict[str, bytes]
) -> Iterator[bytes]:
    """Bytes of a layer for the new archive; JSON goes to ``held`` instead."""
    if member.issym() or member.islnk():
        # A layer that occurs twice.
        yield member.tobuf(tarfile.PAX_FORMAT)
        return
    if not member.isreg():
        return
    source = cast(IO[bytes], archive.extractfile(member))
    beginning = source.read(min(member.size, _MAX_JSON))
    if member.size <= _MAX_JSON and _is_json(beginning):
        held[member.name] = beginning
        return
    yield tar_header(member.name, member.size)
    yield beginning
    while chunk := source.read(CHUNK):
        yield chunk
    yield tar_padding(member.size)


def _is_json(content: bytes) -> bool:
    if not content.startswith((b"{", b"[")):
        return False
    try:
        json.loads(content)
    except ValueError:
        return False
    return True
