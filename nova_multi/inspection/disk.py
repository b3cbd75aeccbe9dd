# SPDX-License-Identifier: Apache-2.0
"""Disks and ISO images: what they are, and that they lead nowhere else.

A disk image may name other files, as its backing file or for its data, which whoever
opens it would read from the host. ``oslo_utils``' inspectors, which Glance and Nova use
as well, see the header only: nothing of an image is ever interpreted by QEMU here.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from typing import IO

from oslo_utils.imageutils import format_inspector

from nova_multi import exception

_CHUNK = 64 * 1024
#: Glance's names of formats with those of the inspectors.
_DISKS = {
    "qcow2": "qcow2",
    "raw": "raw",
    "gpt": "raw",
    "vmdk": "vmdk",
    "vhd": "vhd",
    "vhdx": "vhdx",
    "vdi": "vdi",
}
#: File systems that may fill a disk without partitions: offset and mark.
_FILE_SYSTEMS = (
    (1080, b"\x53\xef"),  # ext2, ext3, ext4
    (0, b"XFSB"),
    (0x10040, b"_BHRfS_M"),  # btrfs
    (510, b"\x55\xaa"),  # FAT, or a boot loader
)
#: What is often taken for a disk: offset, mark, and what it is.
_OTHERS = (
    (257, b"ustar", "a tar archive"),
    (0, b"\x1f\x8b", "packed with gzip"),
    (0, b"\xfd7zXZ", "packed with xz"),
    (0, b"BZh", "packed with bzip2"),
    (0, b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"hsqs", "a squashfs"),
    (0, b"<", "a web page"),
    (0, b"{", "JSON"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """What a disk image is.

    :ivar format: Glance's name of it.
    :ivar virtual_bytes: size of the disk that a guest sees.
    """

    format: str
    virtual_bytes: int


def disk(path: str) -> Disk:
    """Look at a disk.

    :raises ImageRejected: it is none, or refers to other files.
    """
    found = _found(path)
    names = [str(each) for each in found]
    if len(found) > 1:
        raise exception.ImageRejected(
            f"the image is {' and '.join(sorted(names))} at the same time"
        )
    (inspector,) = found
    (name,) = names
    if name == "iso":
        raise exception.ImageRejected("the image is an ISO, not a disk")
    if name not in _DISKS:
        raise exception.ImageRejected(f"the image is a disk of the format {name}")
    if name == "raw":
        _check_raw(path)
    _check_safe(inspector, name)
    raw = _DISKS[name] == "raw"
    return Disk(
        _DISKS[name], os.path.getsize(path) if raw else int(inspector.virtual_size)
    )


def iso(path: str) -> Disk:
    """Look at an ISO image, which may be made for USB sticks, too.

    :raises ImageRejected: it is none.
    """
    found = {str(each) for each in _found(path)}
    if "iso" not in found or found - {"iso", "gpt"}:
        what = " and ".join(sorted(found - {"raw"})) or "nothing that is known"
        raise exception.ImageRejected(f"the image is no ISO 9660 image: it is {what}")
    return Disk("iso", os.path.getsize(path))


def _found(path: str) -> Collection[format_inspector.FileInspector]:
    with open(path, "rb") as source:
        watched = format_inspector.InspectWrapper(source)
        try:
            while watched.formats is None and watched.read(_CHUNK):
                pass
        finally:
            watched.close()
        return watched.formats or []


def _check_safe(inspector: format_inspector.FileInspector, name: str) -> None:
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        # In words of ours: they name what a user can change.
        causes = {
            "backing_file": "it has a backing file: write one whole image (qemu-img"
            " convert)",
            "data_file": "its data is in another file: write one whole image (qemu-img"
            " convert)",
        }
        told = [causes.get(key, str(why)) for key, why in error.failures.items()]
        raise exception.ImageRejected(
            f"the {name} image can't be used: {'; '.join(sorted(told))}"
        ) from error
    except format_inspector.ImageFormatError as error:
        raise exception.ImageRejected(
            f"the {name} image is damaged: {error}"
        ) from error


def _check_raw(path: str) -> None:
    """See that bytes without a format are a disk's all the same.

    :raises ImageRejected: they are something else.
    """
    with open(path, "rb") as source:
        if any(_has(source, *each) for each in _FILE_SYSTEMS):
            return
        what = [told for at, mark, told in _OTHERS if _has(source, at, mark)]
    told = what[0] if what else "without partitions and without a file system"
    raise exception.ImageRejected(f"the image is no disk: it is {told}")


def _has(source: IO[bytes], at: int, mark: bytes) -> bool:
    source.seek(at)
    return source.read(len(mark)) == mark
