# SPDX-License-Identifier: Apache-2.0
"""Reading what a stranger compressed, within limits."""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import gzip
import hashlib
import lzma
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

from nova_multi import exception

CHUNK = 1024 * 1024
#: What compression may gain at most, beyond a size at which it does not matter.
_MAX_RATIO = 100
RATIO_FROM = 64 * 1024 * 1024

_COMPRESSIONS = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
#: What LXD takes and Docker does not.
_LZMA_ALONE = b"\x5d\x00\x00\x80"
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What an image may be at most.

    :ivar unpacked_bytes: size of all its files.
    :ivar members: number of its files.
    """

    unpacked_bytes: int
    members: int

    @property
    def archive_bytes(self) -> int:
        """What a tar of it may have: headers and padding come on top of the files."""
        return self.unpacked_bytes + 2048 * self.members


#: tarfile raises errors of values for fields that are no numbers, or too large ones.
_DAMAGE = (
    tarfile.TarError,
    EOFError,
    ValueError,
    OverflowError,
    zlib.error,
    lzma.LZMAError,
)


@contextlib.contextmanager
def damage_rejected(what: str = "docker save archive") -> Iterator[None]:
    """Turn what the libraries raise on damaged data into one error of ours.

    :param what: it should be.

    :raises ImageRejected: the data is damaged. Errors of the machine itself, such as a
        full disk, pass.
    """
    try:
        yield
    except OSError as error:
        # gzip, bz2 and tarfile raise it, without a number, for damaged data.
        if error.errno is not None:
            raise
        raise _rejected(what, error) from error
    except _DAMAGE as error:
        raise _rejected(what, error) from error


def _rejected(what: str, error: Exception) -> exception.ImageRejected:
    return exception.ImageRejected(f"this is no whole {what}: {error}")


class Limited:
    """Unpacked bytes, limited while they are read.

    :param source: gives them.
    :param limit: how many there may be.
    :param what: they are.
    """

    def __init__(self, source: IO[bytes], limit: int, what: str) -> None:
        self._source = source
        self._limit = limit
        self._what = what
        self._count = 0

    def read(self, size: int) -> bytes:
        """Read on.

        :raises ImageRejected: there are too many.
        """
        data = self._source.read(size)
        self._count += len(data)
        if self._count > self._limit:
            raise exception.ImageRejected(
                f"{self._what} unpacks to more than {self._limit} bytes"
            )
        return data

    def drain(self) -> None:
        """Read what is left, so that checksums are compared."""
        while self.read(CHUNK):
            pass


class Unpacked(Limited):
    """A layer's uncompressed bytes, hashed and limited while they are read."""

    def __init__(self, packed: IO[bytes], packed_size: int, limits: Limits) -> None:
        self._hash = hashlib.sha256()
        super().__init__(packed, limits.archive_bytes, "a layer")
        opener = compression(packed)
        if opener:
            self._source = cast(IO[bytes], opener(packed))
            self._limit = min(self._limit, max(RATIO_FROM, packed_size * _MAX_RATIO))

    def read(self, size: int) -> bytes:
        data = super().read(size)
        self._hash.update(data)
        return data

    def finish(self) -> str:
        """Read what is left, and return the digest of all."""
        self.drain()
        return "sha256:" + self._hash.hexdigest()


def compression(source: IO[bytes], lzma_alone: bool = False) -> Any:
    """What opens this compression; None if there is none.

    :param lzma_alone: whether what came before xz is taken.
    :raises ImageRejected: one that Docker and LXD know and we do not.
    """
    beginning = source.read(8)
    source.seek(0)
    if beginning.startswith(_ZSTD):
        raise exception.ImageRejected(
            "the archive is compressed with zstd; use gzip, xz, bzip2, or none"
        )
    if lzma_alone and beginning.startswith(_LZMA_ALONE):
        return lzma.open
    for magic, opener in _COMPRESSIONS.items():
        if beginning.startswith(magic):
            return opener
    return None


def decompressed(
    opener: Any, source: IO[bytes], path: str, limits: Limits
) -> IO[bytes]:
    """The whole archive uncompressed, in a nameless file beside it."""
    packed_size = source.seek(0, 2)
    source.seek(0)
    limit = min(limits.unpacked_bytes, max(RATIO_FROM, packed_size * _MAX_RATIO))
    target = tempfile.TemporaryFile(  # noqa: SIM115 (the caller closes it)
        dir=os.path.dirname(path) or "."
    )
    try:
        with opener(source) as unpacked:
            while chunk := unpacked.read(CHUNK):
                if target.tell() + len(chunk) > limit:
                    raise exception.ImageRejected(
                        f"the archive unpacks to more than {limit} bytes"
                    )
                target.write(chunk)
    except BaseException:
        target.close()
        raise
    target.seek(0)
    return cast(IO[bytes], target)


def forget_members(archive: tarfile.TarFile) -> None:
    """Free what tarfile remembers of a stream; it would be hundreds of megabytes."""
    cast(Any, archive).members.clear()
