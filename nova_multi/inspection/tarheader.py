# SPDX-License-Identifier: Apache-2.0
"""Members of a stranger's tar archive: their headers, and how they are copied."""

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
