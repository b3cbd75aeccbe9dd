# SPDX-License-Identifier: Apache-2.0
"""Files for an initial RAM file system, to be appended to the one that is there.

Linux unpacks archives that follow one another, each over those before it. The format:
https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
"""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterator, Mapping

#: An archive begins at a multiple of this.
ALIGNMENT = 512
_END = "TRAILER!!!"


def archive(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """An archive of regular files, owned by root, with the folders that they lie in.

    :param files: content and mode by path, without a leading slash.
    """
    entries = [*_folders(files), *_files(files), (_END, 0, b"")]
    return b"".join(
        _entry(number, *each) for number, each in enumerate(entries, start=1)
    )


def _folders(files: Mapping[str, object]) -> Iterator[tuple[str, int, bytes]]:
    found: set[str] = set()
    for path in files:
        while path := posixpath.dirname(path):
            found.add(path)
    for path in sorted(found):
        yield path, stat.S_IFDIR | 0o755, b""


def _files(
    files: Mapping[str, tuple[bytes, int]],
) -> Iterator[tuple[str, int, bytes]]:
    for path, (content, mode) in sorted(files.items()):
        yield path, stat.S_IFREG | mode, content


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _aligned(header + encoded) + _aligned(content)


def _aligned(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)
