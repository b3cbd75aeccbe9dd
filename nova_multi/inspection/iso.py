# SPDX-License-Identifier: Apache-2.0
"""Files out of an ISO 9660 image, by their paths.

Only what an installer's kernel takes: plain extents, names without case and version.
Everything that the image says of itself is checked against its size before it is
followed, so that the effort has a limit whatever it says.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from typing import IO

from nova_multi import exception

_SECTOR = 2048
_DESCRIPTORS = range(16, 48)
_PRIMARY, _END = 1, 255
#: Bytes of one folder.
_MAX_FOLDER = 4 * 1024 * 1024
_FOLDER, _MULTI_EXTENT = 0x02, 0x80


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    sector: int
    size: int
    flags: int


class Iso:
    """An ISO image.

    :param source: open, can be sought.
    :raises ImageRejected: it is none, or damaged.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._size = source.seek(0, 2)
        self._root = self._primary()

    def _primary(self) -> _Entry:
        for number in _DESCRIPTORS:
            sector = self._read(number * _SECTOR, _SECTOR)
            if sector[1:6] != b"CD001" or sector[0] == _END:
                break
            if sector[0] == _PRIMARY:
                if struct.unpack_from("<H", sector, 128)[0] != _SECTOR:
                    raise exception.ImageRejected("the ISO has odd sectors")
                root = _entry(sector[156:190])
                if root:
                    return root
        raise exception.ImageRejected("the image is no ISO 9660 image")

    def _read(self, at: int, size: int) -> bytes:
        if at + size > self._size:
            raise exception.ImageRejected("the ISO ends before what it refers to")
        self._source.seek(at)
        return self._source.read(size)

    def find(self, path: str) -> tuple[int, int] | None:
        """Where a file's content begins, and its size, both in bytes.

        :param path: from the root, without a leading slash; case does not matter.
        :returns: None if there is no such file.
        :raises ImageRejected: the ISO is damaged.
        """
        entry = self._root
        for part in path.split("/"):
            if not entry.flags & _FOLDER:
                return None
            found = [each for each in self._listed(entry) if each.name == part.upper()]
            if not found:
                return None
            entry = found[0]
        if entry.flags & (_FOLDER | _MULTI_EXTENT):
            return None
        begin = entry.sector * _SECTOR
        if begin + entry.size > self._size:
            raise exception.ImageRejected(f"the ISO ends before the end of {path}")
        return begin, entry.size

    def _listed(self, folder: _Entry) -> Iterator[_Entry]:
        if folder.size > _MAX_FOLDER:
            raise exception.ImageRejected("the ISO has an absurdly large folder")
        content = self._read(folder.sector * _SECTOR, folder.size)
        at = 0
        while at < len(content):
            length = content[at]
            if not length:
                # Entries don't cross sectors.
                at += _SECTOR - at % _SECTOR
                continue
            entry = _entry(content[at : at + length])
            if entry:
                yield entry
            at += length


def _entry(record: bytes) -> _Entry | None:
    if len(record) < 34 or len(record) < 33 + record[32]:
        return None
    sector, size = struct.unpack_from("<I4xI", record, 2)
    name = record[33 : 33 + record[32]].decode("ascii", "replace")
    rock_ridge = _rock_ridge(record[33 + record[32] + (1 - record[32] % 2) :])
    plain = (rock_ridge or name.partition(";")[0].rstrip(".")).upper()
    return _Entry(plain, sector, size, record[25])


def _rock_ridge(fields: bytes) -> str:
    """The long name of an entry, if it has one."""
    name = b""
    while len(fields) >= 5 and fields[2] >= 5:
        if fields[:2] == b"NM":
            name += fields[5 : fields[2]]
        fields = fields[fields[2] :]
    return name.decode("utf-8", "replace")
