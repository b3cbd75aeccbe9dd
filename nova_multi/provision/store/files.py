# SPDX-License-Identifier: Apache-2.0
"""Contents of files, in a folder, called by their checksums.

The same content is kept once, whoever sent it. What a name means is a record's matter;
contents that no record names are swept away later, never at once, because somebody may
be about to name them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pathlib
import re
import secrets
import tempfile
import time
from collections.abc import Collection, Iterator
from typing import IO, Any, BinaryIO, Protocol, cast

from nova_multi.domain.errors import Invalid, NotFound, Unavailable

_CHUNK = 1024 * 1024
#: Bytes of an upload that are kept in memory.
_IN_MEMORY = 1024 * 1024
_CHECKSUM = re.compile(r"[0-9a-f]{64}", re.ASCII)
_INCOMING = "incoming"


class Readable(Protocol):
    """Where content comes from."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; none at the end."""


class FileStore:
    """Contents in a folder that may be shared by several machines.

    :param folder: made if it isn't there; for nobody else to read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = pathlib.Path(folder)

    def put(self, stream: Readable, limit: int) -> tuple[str, int]:
        """Keep content; afterwards it is there whole, or not at all.

        :param limit: bytes that it may have.
        :returns: SHA-256 in hexadecimal, and size in bytes.
        :raises Invalid: it has more.
        :raises Unavailable: the disk is full.
        """
        with self._incoming() as (path, target):
            checksum, size = _copy(stream, target, limit)
            target.flush()
            os.fsync(target.fileno())
            kept = self._path(checksum)
            kept.parent.mkdir(mode=0o700, exist_ok=True)
            # Also where it is there already: its age begins anew, see `sweep`.
            os.replace(path, kept)
            _sync_folder(kept.parent)
        return checksum, size

    def spool(self) -> IO[bytes]:
        """A nameless file for an upload on its way, on the disk that it is to be kept.

        Where the disk is full or can't be used it raises Unavailable.
        """
        # It has all methods of a file, but not the type's name.
        return cast(IO[bytes], _Spool(self._folder / _INCOMING))

    @contextlib.contextmanager
    def scratch(self) -> Iterator[str]:
        """Path of an empty file to work with, gone in the end whatever happens.

        What is wrong with the disk meanwhile is told as :class:`Unavailable`.
        """
        folder = self._folder / _INCOMING
        path = folder / secrets.token_hex(16)
        try:
            with _usable():
                _make(folder)
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                yield str(path)
        finally:
            path.unlink(missing_ok=True)

    def open(self, checksum: str) -> BinaryIO:
        """Content to read, from its begin.

        :raises NotFound: there is none of that checksum.
        """
        try:
            return self._path(checksum).open("rb")
        except FileNotFoundError as error:
            raise _missing(checksum) from error
        except OSError as error:
            raise _unusable(error) from error

    def size(self, checksum: str) -> int:
        """Bytes of a content.

        :raises NotFound: there is none of that checksum.
        """
        try:
            return self._path(checksum).stat().st_size
        except FileNotFoundError as error:
            raise _missing(checksum) from error

    def delete(self, checksum: str) -> None:
        """Remove content that nobody names, nor is about to; else see `sweep`."""
        self._path(checksum).unlink(missing_ok=True)

    def sweep(self, in_use: Collection[str], older_than: float = 3600) -> list[str]:
        """Remove what nobody names, and what was never finished.

        :param in_use: checksums that some record names.
        :param older_than: seconds; what is younger may be about to be named.
        :returns: the checksums that were removed.
        """
        before = time.time() - older_than
        removed = []
        for path in self._folder.glob("??/*"):
            if path.name not in in_use and self._swept(path, before):
                removed.append(path.name)
        for path in (self._folder / _INCOMING).glob("*"):
            if _is_older(path, before):
                path.unlink(missing_ok=True)
        return sorted(removed)

    def _swept(self, path: pathlib.Path, before: float) -> bool:
        """Remove one content, unless it is put anew while that happens."""
        if not _is_older(path, before):
            return False
        aside = self._folder / _INCOMING / secrets.token_hex(16)
        try:
            os.replace(path, aside)
        except FileNotFoundError:
            return False
        if not _is_older(aside, before):
            os.replace(aside, path)
            return False
        aside.unlink()
        return True

    def _path(self, checksum: str) -> pathlib.Path:
        if not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
            raise NotFound(f"{checksum!r:.80} is no checksum")
        return self._folder / checksum[:2] / checksum

    @contextlib.contextmanager
    def _incoming(self) -> Iterator[tuple[pathlib.Path, BinaryIO]]:
        folder = self._folder / _INCOMING
        path = folder / secrets.token_hex(16)
        try:
            with _usable():
                _make(folder)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                with os.fdopen(os.open(path, flags, 0o600), "wb") as target:
                    yield path, target
        finally:
            path.unlink(missing_ok=True)


class _Spool(tempfile.SpooledTemporaryFile[bytes]):
    """Content in memory, and in a folder once it is large."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__(max_size=_IN_MEMORY, dir=str(folder))
        self._parent = folder

    def rollover(self) -> None:
        """Go to the disk."""
        with _usable():
            _make(self._parent)
            super().rollover()

    def write(self, data: Any) -> int:
        """Add content."""
        with _usable():
            return super().write(data)

    def seek(self, *where: int) -> int:
        """Go elsewhere, with everything written before."""
        with _usable():
            return super().seek(*where)

    def close(self) -> None:
        """Forget the content; what could not be written doesn't matter any more."""
        with contextlib.suppress(OSError):
            super().close()


def _make(incoming: pathlib.Path) -> None:
    incoming.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    incoming.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def _usable() -> Iterator[None]:
    """Tell of what is wrong with the disk.

    :raises Unavailable: it is full, or can't be used.
    """
    try:
        yield
    except ConnectionError:
        # Whoever sends the content has gone.
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(
                "the service has no space left for files", retry_after=60
            ) from error
        raise _unusable(error) from error


def _copy(stream: Readable, target: BinaryIO, limit: int) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    while chunk := stream.read(min(_CHUNK, limit - size + 1)):
        size += len(chunk)
        if size > limit:
            raise Invalid(
                f"the file has more than the {limit} bytes that are allowed",
                field="file",
                code="too_large",
            )
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest(), size


def _sync_folder(folder: pathlib.Path) -> None:
    """See to it that a new name in the folder survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_older(path: pathlib.Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


def _unusable(error: OSError) -> Unavailable:
    # Neither the folder nor the system's words: users read it.
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return Unavailable(f"the service can't keep files now ({name})", retry_after=60)


def _missing(checksum: str) -> NotFound:
    return NotFound(f"there is no content {checksum}", code="content_missing")
