# SPDX-License-Identifier: Apache-2.0
"""Kernel and initial RAM disk of an installer: out of an ISO, or a netboot archive.

A netboot archive is a tar, packed or not, as Debian's ``netboot.tar.gz``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from typing import IO

from nova_multi import exception
from nova_multi.inspection.iso import Iso
from nova_multi.inspection.tarheader import check_name
from nova_multi.inspection.tarstream import whole
from nova_multi.inspection.unpacking import damage_rejected, forget_members

_CHUNK = 1024 * 1024
#: Bytes of a kernel and of an initial RAM disk.
MAX_KERNEL = 64 * 1024**2
MAX_RAMDISK = 512 * 1024**2
#: Members of an archive that are looked at.
_MAX_MEMBERS = 10_000
#: Bytes of all of them.
_MAX_UNPACKED = 4 * 1024**3
#: Where installers have them on their media: kernel, initial RAM disk.
PLACES = (
    ("install.amd/vmlinuz", "install.amd/initrd.gz"),
    ("install.a64/vmlinuz", "install.a64/initrd.gz"),
    ("linux", "initrd.gz"),
    ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img"),
    ("casper/vmlinuz", "casper/initrd"),
)
_KERNELS = ("linux", "vmlinuz")
_RAMDISKS = ("initrd.gz", "initrd.img", "initrd")
#: A Linux kernel's mark and where it is: x86's boot protocol, arm64's header.
_MARKS = ((0x202, b"HdrS"), (56, b"ARM\x64"))


@dataclasses.dataclass(frozen=True, slots=True)
class Boot:
    """What an installer is booted from.

    :ivar kernel: in a file of its own, at its begin.
    :ivar ramdisk: the same.
    """

    kernel: IO[bytes]
    ramdisk: IO[bytes]


@contextlib.contextmanager
def opened(path: str, make_file: Callable[[], IO[bytes]]) -> Iterator[Boot]:
    """Take both out.

    :param path: of the ISO or archive.
    :param make_file: makes a file to be filled; closed with the context.
    :raises ImageRejected: it has none, is damaged or something else.
    """
    with contextlib.ExitStack() as stack:
        kernel = stack.enter_context(make_file())
        ramdisk = stack.enter_context(make_file())
        with open(path, "rb") as source:
            source.seek(0x8001)
            is_iso = source.read(5) == b"CD001"
            source.seek(0)
            (_from_iso if is_iso else _from_tar)(source, kernel, ramdisk)
        _check_kernel(kernel)
        for each in (kernel, ramdisk):
            each.seek(0)
        yield Boot(kernel, ramdisk)


def _from_iso(source: IO[bytes], kernel: IO[bytes], ramdisk: IO[bytes]) -> None:
    iso = Iso(source)
    for kernel_path, ramdisk_path in PLACES:
        found = iso.find(kernel_path), iso.find(ramdisk_path)
        if found[0] and found[1]:
            _copy_extent(source, found[0], kernel, MAX_KERNEL, "kernel")
            _copy_extent(source, found[1], ramdisk, MAX_RAMDISK, "initial RAM disk")
            return
    told = ", ".join(each for each, _ in PLACES)
    raise exception.ImageRejected(
        f"the ISO has no installer's kernel where one is looked for: {told}"
    )


def _copy_extent(
    source: IO[bytes], extent: tuple[int, int], target: IO[bytes], limit: int, what: str
) -> None:
    begin, size = extent
    _check_size(size, limit, what)
    source.seek(begin)
    while size and (piece := source.read(min(_CHUNK, size))):
        target.write(piece)
        size -= len(piece)


def _check_size(size: int, limit: int, what: str) -> None:
    if not 0 < size <= limit:
        raise exception.ImageRejected(
            f"the installer's {what} has {size} bytes; it may have {limit}"
        )


def _from_tar(source: IO[bytes], kernel: IO[bytes], ramdisk: IO[bytes]) -> None:
    """Those of the folder that has both; of several, the one nearest to the top."""
    folders: dict[str, dict[str, str]] = {}
    for _, member, name in _members(source):
        folder, base = posixpath.split(name)
        kind = _kind(base)
        if kind and member.isreg():
            folders.setdefault(folder, {}).setdefault(kind, name)
    whole = [folder for folder, found in folders.items() if len(found) == 2]
    if not whole:
        raise exception.ImageRejected(
            "the netboot archive has no folder with an installer's kernel"
            f" ({' or '.join(_KERNELS)}) and initial RAM disk"
            f" ({' or '.join(_RAMDISKS)})"
        )
    wanted = folders[min(whole, key=lambda folder: (folder.count("/"), folder))]
    source.seek(0)
    for archive, member, name in _members(source):
        if not member.isreg():
            continue
        if name == wanted["kernel"]:
            _copy_member(archive, member, kernel, MAX_KERNEL, "kernel")
        elif name == wanted["ramdisk"]:
            _copy_member(archive, member, ramdisk, MAX_RAMDISK, "initial RAM disk")


def _members(
    source: IO[bytes],
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo, str]]:
    """Members of an archive with their names, within limits."""
    count = size = 0
    with (
        damage_rejected("ISO or netboot archive"),
        whole(source, _MAX_UNPACKED + 2048 * _MAX_MEMBERS) as archive,
    ):
        for member in archive:
            forget_members(archive)
            check_name(member.name)
            count, size = count + 1, size + member.size
            if count > _MAX_MEMBERS or size > _MAX_UNPACKED:
                raise exception.ImageRejected("the netboot archive is too large")
            yield archive, member, posixpath.normpath(member.name)


def _kind(name: str) -> str:
    if name in _KERNELS:
        return "kernel"
    return "ramdisk" if name in _RAMDISKS else ""


def _copy_member(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    target: IO[bytes],
    limit: int,
    what: str,
) -> None:
    _check_size(member.size, limit, what)
    target.seek(0)
    target.truncate()
    content = archive.extractfile(member)
    assert content is not None  # it is a regular file
    while piece := content.read(_CHUNK):
        target.write(piece)


def _check_kernel(kernel: IO[bytes]) -> None:
    for at, mark in _MARKS:
        kernel.seek(at)
        if kernel.read(len(mark)) == mark:
            return
    raise exception.ImageRejected("the installer's kernel is no Linux kernel")
