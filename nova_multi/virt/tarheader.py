# SPDX-License-Identifier: Apache-2.0
"""Headers of a stranger's tar archive, which Python reads into memory whole."""

from __future__ import annotations

import tarfile

from nova_multi import exception

#: Bytes of an extended header; real ones are far less.
MAX_HEADER = 1024 * 1024

_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class CheckedInfo(tarfile.TarInfo):
    """A member whose extended headers have a sane size; for ``tarfile.open``."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> CheckedInfo:
        """A member from its header.

        :raises ImageRejected: the header announces an absurdly large one.
        """
        info = super().frombuf(buf, encoding, errors)
        if info.type in _EXTENSIONS and info.size > MAX_HEADER:
            raise exception.ImageRejected(
                f"the image has a tar header of {info.size} bytes"
            )
        return info
