# SPDX-License-Identifier: Apache-2.0
"""The "newc" cpio archives that Linux reads as initial RAM file systems.

The format: https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
"""

from __future__ import annotations

import io
import posixpath
import stat
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import BinaryIO, Self

#: Linux unpacks archives that follow one another, each over those before it; one begins
#: at a multiple of this.
ALIGNMENT = 512


class Writer:
    """Writes entries in the order given; owned by root, all of one age."""

    def __init__(self, stream: BinaryIO, epoch: int) -> None:
        self._stream = stream
        self._epoch = epoch
        self._inode = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._entry("TRAILER!!!", 0, b"")

    def folder(self, name: str) -> None:
        """Add a folder."""
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self._entry(name, stat.S_IFREG | mode, content)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def node(self, name: str, major: int, minor: int) -> None:
        """Add a character device."""
        self._entry(name, stat.S_IFCHR | 0o600, b"", device=(major, minor))

    def _entry(
        self, name: str, mode: int, content: bytes, device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (
            self._inode,
            mode,
            0,
            0,
            1,
            self._epoch,
            len(content),
            0,
            0,
            *device,
            len(encoded),
            0,
        )
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._write(header + encoded)
        self._write(content)

    def _write(self, content: bytes) -> None:
        self._stream.write(content + b"\0" * (-len(content) % 4))


def archive(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """An archive of regular files with the folders that they lie in.

    :param files: content and mode by path, without a leading slash.
    """
    stream = io.BytesIO()
    with Writer(stream, 0) as writer:
        for path in sorted(_folders(files)):
            writer.folder(path)
        for path, (content, mode) in sorted(files.items()):
            writer.file(path, content, mode)
    return stream.getvalue()


def _folders(paths: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        while path := posixpath.dirname(path):
            found.add(path)
    return found
