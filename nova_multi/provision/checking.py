# SPDX-License-Identifier: Apache-2.0
"""An image's content made ready for Glance: compared, inspected, written anew.

Nothing gets into Glance before it was looked at whole. Images for containers are
written anew: without an LXD image's own metadata and templates, which a host's root
would fill in, without volumes, health checks and further names of a Docker image, and
without device nodes, which no container is to bring. Drivers look at what they use
again, for it may have come into Glance by other ways.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, BinaryIO, cast

from nova_multi.domain.errors import Invalid
from nova_multi.domain.image import (
    ImageType,
    canonical_architecture,
    found_missing,
)
from nova_multi.exception import ImageRejected
from nova_multi.inspection import disk, dockerarchive, roottree
from nova_multi.inspection.unpacking import Limits

_CHUNK = 1024 * 1024
_GIB = 1024**3
#: Algorithms by the number of hexadecimal digits.
_ALGORITHMS = {64: "sha256", 128: "sha512"}
_CHECKSUM = re.compile(r"(?:(sha256|sha512):)?([0-9a-f]{64}|[0-9a-f]{128})", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Checksum:
    """What content has to come to.

    :ivar algorithm: as :mod:`hashlib` calls it.
    """

    algorithm: str
    digest: str

    @classmethod
    def parse(cls, text: str, field: str = "checksum") -> Checksum:
        """Read one, with its algorithm before it or not.

        :raises Invalid: it is none.
        """
        found = _CHECKSUM.fullmatch(text.lower()) if isinstance(text, str) else None
        algorithm = _ALGORITHMS[len(found[2])] if found else ""
        if not found or (found[1] or algorithm) != algorithm:
            raise Invalid(
                f"checksum {text!r:.160} is not sha256:... or sha512:..., in"
                " hexadecimal digits",
                field=field,
            )
        return cls(algorithm, found[2])

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"


def fill(
    path: str,
    pieces: Iterator[bytes],
    limit: int,
    expected: Checksum | None = None,
    came: Callable[[int], None] = lambda size: None,
) -> None:
    """Write content to a file, and compare its checksum.

    :param limit: bytes that it may have.
    :param came: told now and then how many bytes there are.
    :raises Invalid: it is too large, empty, or has another checksum.
    """
    digest = hashlib.new(expected.algorithm if expected else "sha256")
    size = 0
    with open(path, "wb") as target:
        for piece in pieces:
            size += len(piece)
            if size > limit:
                raise Invalid(f"the image has more than {limit} bytes")
            digest.update(piece)
            target.write(piece)
            came(size)
    if not size:
        raise Invalid("the image is empty")
    if expected and digest.hexdigest() != expected.digest:
        raise Invalid(
            f"the image's {expected.algorithm} is {digest.hexdigest()}, not"
            f" {expected.digest}",
            field="checksum",
            code="wrong_checksum",
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """What was found good.

    :ivar content: in pieces, to be read once.
    :ivar fields: for Glance: format, size of the disk, what was found inside.
    """

    content: Iterator[bytes]
    fields: Mapping[str, Any]


@contextlib.contextmanager
def checked(
    kind: ImageType, path: str, limits: Limits, architecture: str = ""
) -> Iterator[Checked]:
    """Inspect an image, and write it anew where it is one for containers.

    :param path: its content; what is written lies beside it as long as the context.
    :param architecture: in Glance's words, that it has to be for; empty for any.
    :raises ImageRejected: damaged, dangerous, or not of that kind.
    """
    with contextlib.ExitStack() as stack:
        if kind is ImageType.DOCKER_CONTAINER:
            yield _docker(stack, path, limits, architecture)
        elif kind in (ImageType.LXD, ImageType.LXC_CONTAINER):
            yield _root_tree(stack, path, limits)
        else:
            found = disk.iso(path) if kind is ImageType.ISO else disk.disk(path)
            source = stack.enter_context(open(path, "rb"))
            fields: dict[str, Any] = {"disk_format": found.format}
            if kind is ImageType.DISK:
                fields["min_disk"] = -(-found.virtual_bytes // _GIB)
            yield Checked(_pieces(source), fields)


def _docker(
    stack: contextlib.ExitStack, path: str, limits: Limits, architecture: str
) -> Checked:
    archive = stack.enter_context(dockerarchive.opened(path, limits))
    try:
        found = canonical_architecture(archive.architecture)
    except Invalid as error:
        raise ImageRejected(f"the image is for {archive.architecture!r:.40}") from error
    if architecture and found != architecture:
        raise ImageRejected(f"the image is for {found}, not for {architecture}")
    archive.drop_devices(lambda: stack.enter_context(_beside(path)))
    missing = found_missing(archive.tree.is_file)
    return Checked(archive.rebuilt(), {"architecture": found, **missing})


def _root_tree(stack: contextlib.ExitStack, path: str, limits: Limits) -> Checked:
    packed = os.path.getsize(path)
    source: BinaryIO = stack.enter_context(open(path, "rb"))  # noqa: SIM115
    if source.read(len(roottree.SQUASHFS_MAGIC)) == roottree.SQUASHFS_MAGIC:
        tree = roottree.squashfs_tree(path, limits, packed)
        if tree.devices:
            raise ImageRejected(
                f"the squashfs holds device nodes, such as {tree.devices[0]!r}, and"
                " can't be written anew: make it without them (mksquashfs ... -e dev),"
                " or a tar archive of it"
            )
        source.seek(0)
        return Checked(_pieces(source), found_missing(tree.has))
    source.seek(0)
    target = stack.enter_context(_beside(path))
    # Without a time: the same tree gives the same bytes.
    with gzip.GzipFile(
        filename="", fileobj=target, mode="wb", compresslevel=1, mtime=0
    ) as zipped:
        tree = roottree.RootTar(source, limits, packed).copy(cast(Any, zipped))
    target.seek(0)
    return Checked(_pieces(target), found_missing(tree.has))


def _beside(path: str) -> IO[bytes]:
    """A nameless file in the same folder."""
    return tempfile.TemporaryFile(dir=os.path.dirname(path))


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    source.seek(0)
    return iter(lambda: source.read(_CHUNK), b"")
