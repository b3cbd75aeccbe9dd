# SPDX-License-Identifier: Apache-2.0
"""Members of a stranger's tar archive: their headers, and how they are copied."""

from __future__ import annotations

import math
import re
import tarfile
from typing import Any, Self, cast

from nova_multi import exception

#: Bytes of an extended header; real ones are far less.
MAX_HEADER = 64 * 1024
#: Bytes of a name, or of what a link points to: what Linux takes as a path.
MAX_NAME = 4096
#: Characters of all names that are kept of an image; a million files have half of that.
MAX_NAMES = 128 * 1024**2
#: Bytes of all headers of one member, with the map of a sparse file.
MAX_HEADERS = 1024 * 1024
#: Extended headers before a member's own: each is a call within a call.
_MAX_EXTENSIONS = 50
#: Attributes that an archive may give to all its members.
MAX_GLOBAL = 100
#: Digits in a row: the standard library takes quadratic time for them.
_MAX_DIGITS = 255

_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTENSIONS = (*_PAX, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_TYPE = slice(156, 157)
_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ")


def check_name(name: str, what: str = "name") -> None:
    """Refuse a name that no kernel would take.

    Each of a name's folders is looked at, so that long ones cost time and memory.

    :raises ImageRejected: it is too long.
    """
    if len(name) * 4 <= MAX_NAME:
        return
    # What is no UTF-8 is one surrogate for each byte.
    size = len(name.encode(errors="replace"))
    if size > MAX_NAME:
        raise exception.ImageRejected(
            f"the image has a {what} of {size} bytes, at most {MAX_NAME} are possible:"
            f" {name[:40]!r}..."
        )


class Names:
    """Counts what is kept of an image's names."""

    def __init__(self) -> None:
        self._left = MAX_NAMES

    def count(self, *names: str) -> None:
        """Count names, and what links point to.

        :raises ImageRejected: there are too many.
        """
        self._left -= sum(map(len, names))
        if self._left < 0:
            raise exception.ImageRejected(
                f"the names in the image have more than {MAX_NAMES} characters"
            )


class _Headers:
    """What tarfile reads a member's headers from: limited, and looked at before.

    :param source: the archive, at a header.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._left = MAX_HEADERS
        self._extensions = 0
        #: Type of the header whose text comes next, empty if a header does; None after
        #: a member's own header, behind which there may be the map of a sparse file.
        self._type: bytes | None = b""

    def tell(self) -> int:
        return cast(int, self._source.tell())

    def read(self, size: int) -> bytes:
        """Read on.

        :raises ImageRejected: this is more than is taken.
        :raises tarfile.ReadError: it is damaged.
        """
        self._left -= size
        if self._left < 0:
            raise exception.ImageRejected(
                f"the image has more than {MAX_HEADERS} bytes of tar headers for a file"
            )
        data = cast(bytes, self._source.read(size))
        if self._type:
            if self._type in _PAX:
                _check_records(data)
            self._type = b""
        elif self._type is not None:
            self._type = data[_TYPE] if data[_TYPE] in _EXTENSIONS else None
            self._extensions += 1
            if self._extensions > _MAX_EXTENSIONS:
                raise exception.ImageRejected(
                    f"the image has more than {_MAX_EXTENSIONS} tar headers for a file"
                )
        return data


def _check_records(data: bytes) -> None:
    """Refuse an extended header whose records are not one behind the other.

    tarfile lets each begin anywhere within the one before: some kilobytes would take a
    gigabyte.
    """
    at = 0
    while at < len(data) and data[at]:
        found = _RECORD.match(data, at)
        end = at + int(found[1]) if found else 0
        if not found or end > len(data) or data[end - 1 : end] != b"\n":
            raise tarfile.ReadError("damaged extended header")
        if data.find(b"=", found.end(), end) < 0:
            raise tarfile.ReadError("damaged extended header")
        at = end
    runs = re.finditer(rb"[0-9]+", data)
    if any(run.end() - run.start() > _MAX_DIGITS for run in runs):
        raise exception.ImageRejected(
            f"the image has a tar header with more than {_MAX_DIGITS} digits in a row"
        )


class CheckedInfo(tarfile.TarInfo):
    """A member whose headers have a sane size and form; for ``tarfile.open``."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """The next member.

        :raises ImageRejected: its headers are absurd.
        :raises tarfile.ReadError: they are damaged.
        """
        holder = cast(Any, archive)
        source = holder.fileobj
        if isinstance(source, _Headers):
            return super().fromtarfile(archive)
        holder.fileobj = _Headers(source)
        try:
            info = super().fromtarfile(archive)
        except (ValueError, IndexError) as error:
            # The map of a sparse file.
            raise tarfile.ReadError(f"damaged header: {error}") from error
        finally:
            holder.fileobj = source
        if len(archive.pax_headers) > MAX_GLOBAL:
            raise exception.ImageRejected(
                f"the image has a tar header for more than {MAX_GLOBAL} attributes"
            )
        if info.size < 0 or not math.isfinite(info.mtime):
            raise tarfile.ReadError(
                f"a member has {info.size} bytes and is of time {info.mtime}"
            )
        return info

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """A member from its header.

        :raises ImageRejected: the header announces an absurdly large one.
        :raises tarfile.ReadError: it is damaged, which tarfile would take for the end
            of the archive.
        """
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) in (0, tarfile.BLOCKSIZE) and not any(buf):
                raise
            raise tarfile.ReadError(str(error)) from error
        if info.type in _EXTENSIONS and not 0 <= info.size <= MAX_HEADER:
            raise exception.ImageRejected(
                f"the image has a tar header of {info.size} bytes"
            )
        return info


#: What extended headers say of a member's place and form: it would win over what is
#: set on the member itself.
_OVERRIDING = ("path", "linkpath", "size")
_SPARSE = "GNU.sparse."


def copied(
    source: tarfile.TarFile, member: tarfile.TarInfo, target: tarfile.TarFile
) -> None:
    """Copy one member as it is set now, with its content; holes of files are filled."""
    member.pax_headers = {
        key: value
        for key, value in member.pax_headers.items()
        if key not in _OVERRIDING and not key.startswith(_SPARSE)
    }
    data = source.extractfile(member) if member.isreg() else None
    if member.issparse():
        member.type = tarfile.REGTYPE
    target.addfile(member, data)
