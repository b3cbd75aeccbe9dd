# SPDX-License-Identifier: Apache-2.0
"""A stranger's tar archive read from its begin to its very end."""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Iterator
from typing import IO, Any, Self, cast

from nova_multi.inspection.tarheader import CheckedInfo
from nova_multi.inspection.unpacking import Limited, compression


class _StreamInfo(CheckedInfo):
    """A member of an archive that has to end as archives do."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if not buf:
            raise tarfile.ReadError("it ends without the mark of its end")
        return super().frombuf(buf, encoding, errors)


@contextlib.contextmanager
def whole(source: IO[bytes], limit: int) -> Iterator[tarfile.TarFile]:
    """Open an archive that is read member by member; in the end see that it is whole.

    tarfile takes what is cut off, or damaged, behind the first member for the end, and
    compares no checksum of gzip. Here both are damage: an archive ends with two blocks
    of zeros, as POSIX has it, and the compressed data is read to its end.

    :param source: the archive from its begin, plain or packed with gzip, bzip2, xz or
        lzma.
    :param limit: bytes that it may have, unpacked.
    :raises ImageRejected: it has more, or is packed with something else.
    :raises tarfile.ReadError, EOFError, OSError, zlib.error, lzma.LZMAError: it is
        damaged; see :func:`~nova_multi.inspection.unpacking.damage_rejected`.
    """
    with contextlib.ExitStack() as stack:
        data = source
        if opener := compression(source, lzma_alone=True):
            data = cast(IO[bytes], stack.enter_context(opener(source)))
        reader = Limited(data, limit, "the image")
        archive = stack.enter_context(
            # In streaming mode, so that nothing is unpacked to look ahead.
            tarfile.open(
                fileobj=cast(IO[bytes], reader), mode="r|", tarinfo=_StreamInfo
            )
        )
        yield archive
        # tarfile stopped behind the first block of zeros.
        last = cast(Any, archive).fileobj.read(tarfile.BLOCKSIZE)
        if last.count(0) != tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it ends with half the mark of its end")
        reader.drain()
