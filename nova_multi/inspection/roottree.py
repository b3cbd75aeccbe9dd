# SPDX-License-Identifier: Apache-2.0
"""What is inside an image's archive: looked at before root unpacks it.

LXD unpacks images as root of the host. So nothing of a tenant reaches it that leaves
the archive's own tree, brings device nodes, or is absurdly large; and tar archives
reach it only as we write them ourselves, member by member.
"""

from __future__ import annotations

import posixpath
import struct
import subprocess
import tarfile
import time
from collections.abc import Iterator
from typing import BinaryIO

from nova_multi import exception
from nova_multi.inspection.tarheader import Names, check_name, copied
from nova_multi.inspection.tarstream import whole
from nova_multi.inspection.unpacking import Limits as Limits
from nova_multi.inspection.unpacking import damage_rejected, forget_members

SQUASHFS_MAGIC = b"hsqs"
#: How much larger than the file its content may be, once it is larger than RATIO_FLOOR.
MAX_RATIO = 200
RATIO_FLOOR = 1024**3
#: Seconds, and bytes of memory, for listing a squashfs.
LISTING_TIME = 120
LISTING_MEMORY = 4 * 1024**3
MAX_LINKS = 40
#: What prlimit ends with if it can't find what it is to run.
_NOT_INSTALLED = 127


class Tree:
    """Names in an image, with what they are; enough to look for programs."""

    FOLDER, FILE, LINK = "folder", "file", "link"

    def __init__(self, limits: Limits, packed_bytes: int) -> None:
        self._limits = limits
        self._packed = packed_bytes
        self._entries: dict[str, tuple[str, str]] = {}
        #: Folders, with those that only names below them tell of.
        self._folders: set[str] = set()
        self._names = Names()
        self._members = 0
        self.size_bytes = 0
        #: Device nodes that no container would see.
        self.devices: list[str] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, path: str, kind: str, target: str = "", size: int = 0) -> None:
        """Note one name, relative to the root and without ``.``.

        :raises ImageRejected: it is one too many, below a link, or a link to a name
            that is too long.
        """
        check_name(target, "link target")
        self._members += 1
        self.size_bytes += size
        if self._members > self._limits.members:
            raise exception.ImageRejected(
                f"the image has more than {self._limits.members} files"
            )
        if self.size_bytes > self._limits.unpacked_bytes:
            raise exception.ImageRejected(
                f"the image is larger than {self._limits.unpacked_bytes} bytes unpacked"
            )
        if self.size_bytes > max(RATIO_FLOOR, self._packed * MAX_RATIO):
            raise exception.ImageRejected(
                f"the image unpacks to more than {MAX_RATIO} times its own size"
            )
        self._names.count(path, target)
        parent = posixpath.dirname(path)
        while parent and parent not in self._folders:
            if parent in self._entries:
                raise exception.ImageRejected(
                    f"{path!r} in the image lies below {parent!r}, which is no folder"
                )
            self._names.count(parent)
            self._folders.add(parent)
            parent = posixpath.dirname(parent)
        if kind == self.FOLDER:
            self._folders.add(path)
        elif path in self._folders:
            raise exception.ImageRejected(
                f"{path!r} is in the image both as a folder and as something else"
            )
        self._entries[path] = (kind, target)

    def is_file(self, path: str) -> bool:
        """Whether there is a file of that name that is no link."""
        return self._entries.get(path, ("",))[0] == self.FILE

    def resolve(self, path: str) -> str | None:
        """Name behind all links, which stay inside the image; None if there is none."""
        todo = [part for part in path.split("/") if part]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done = done[:-1]
                continue
            name = "/".join([*done, part])
            kind, target = self._entries.get(name, ("", ""))
            if kind == self.LINK:
                links += 1
                if links > MAX_LINKS:
                    return None
                if target.startswith("/"):
                    done = []
                todo = target.split("/") + todo
            elif kind or name in self._folders:
                done.append(part)
            else:
                return None
        return "/".join(done)

    def has(self, path: str) -> bool:
        """Whether the name exists, links followed."""
        return self.resolve(path) is not None

    def names_below(self, folder: str) -> Iterator[str]:
        """Names in a folder and its folders; links are not followed."""
        return (name for name in self._entries if name.startswith(f"{folder}/"))


def relative(name: str) -> str:
    """A member's name relative to the root; empty for the root itself.

    :raises ImageRejected: it leads out of the archive, or is too long.
    """
    check_name(name)
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise exception.ImageRejected(f"{name!r} leads out of the image")
    clean = posixpath.normpath(name)
    return "" if clean == "." else clean


def check_device(path: str) -> None:
    """Accept device nodes only where a container never sees them.

    Images made by debootstrap carry a ``/dev``; LXD mounts its own there.

    :raises ImageRejected: the node is elsewhere.
    """
    if not path.startswith("dev/"):
        raise exception.ImageRejected(f"{path!r} in the image is a device node")


class RootTar:
    """Copies the root file system out of an image's tar archive.

    :param source: open archive, plain or packed with gzip, xz, lzma or bzip2.
    :param limits: see Limits.
    :param packed_bytes: size of ``source``.
    """

    METADATA = "metadata.yaml"
    ROOT = "rootfs"
    TEMPLATES = "templates"

    def __init__(self, source: BinaryIO, limits: Limits, packed_bytes: int) -> None:
        self._source = source
        self._limit = min(
            limits.archive_bytes, max(RATIO_FLOOR, packed_bytes * MAX_RATIO)
        )
        self.tree = Tree(limits, packed_bytes)
        self._unified: bool | None = None

    def copy(self, target: BinaryIO) -> Tree:
        """Write the root file system as an uncompressed tar and tell what is in it.

        The metadata and templates of a unified image are left out: a tenant's templates
        would be filled in by root of the host.

        :raises ImageRejected: not a tar, not a whole one, or dangerous.
        """
        with (
            damage_rejected("tar archive, plain or packed with gzip, xz or bzip2"),
            whole(self._source, self._limit) as archive,
            tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as copy,
        ):
            for member in archive:
                self._copy_member(archive, member, copy)
                forget_members(archive)
                forget_members(copy)
        if not len(self.tree):
            raise exception.ImageRejected("the image has no files")
        return self.tree

    def _copy_member(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, copy: tarfile.TarFile
    ) -> None:
        path = self._place(relative(member.name))
        if not path:
            return
        if member.isdev() and not member.isfifo():
            check_device(path)
            return
        member.name = path
        if member.isdir():
            self.tree.add(path, Tree.FOLDER)
        elif member.issym():
            self.tree.add(path, Tree.LINK, member.linkname)
        elif member.islnk():
            member.linkname = self._place(relative(member.linkname)) or ""
            if not self.tree.is_file(member.linkname):
                raise exception.ImageRejected(
                    f"{path!r} in the image is a hard link to no file of it"
                )
            self.tree.add(path, Tree.FILE)
        elif member.isreg():
            self.tree.add(path, Tree.FILE, size=member.size)
        elif not member.isfifo():
            raise exception.ImageRejected(
                f"{path!r} in the image is of the unknown type {member.type!r}"
            )
        copied(archive, member, copy)

    def _place(self, path: str) -> str:
        """Where a member belongs in the root file system; empty for nowhere."""
        if not path:
            return ""
        top, _, below = path.partition("/")
        if self._unified is None:
            self._unified = top in (self.METADATA, self.ROOT, self.TEMPLATES)
        if not self._unified:
            if path in ("manifest.json", "oci-layout"):
                raise exception.ImageRejected(
                    "the image is an archive of a Docker or OCI image"
                )
            return path
        return below if top == self.ROOT else ""


def squashfs_tree(path: str, limits: Limits, packed_bytes: int) -> Tree:
    """List a squashfs file and check what is in it.

    :raises ImageRejected: damaged or dangerous.
    """
    with open(path, "rb") as source:
        header = source.read(96)
    if len(header) < 96 or struct.unpack_from("<H", header, 28)[0] != 4:
        raise exception.ImageRejected("the image is a squashfs of an unknown version")
    tree = Tree(limits, packed_bytes)
    if struct.unpack_from("<I", header, 4)[0] > limits.members:
        raise exception.ImageRejected(f"the image has more than {limits.members} files")
    for line in _listing(path):
        _add_listed(tree, line)
    if not len(tree):
        raise exception.ImageRejected("the image has no files")
    return tree


def _listing(path: str) -> Iterator[str]:
    """Lines of ``unsquashfs -lln``, from a process that can't eat the machine."""
    limited = ["prlimit", f"--as={LISTING_MEMORY}", f"--cpu={LISTING_TIME}"]
    command = [*limited, "unsquashfs", "-processors", "1", "-lln", path]
    deadline = time.monotonic() + LISTING_TIME
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="surrogateescape",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if time.monotonic() > deadline:
                    raise exception.ImageRejected("listing the image takes too long")
                yield line.rstrip("\n")
        except BaseException:
            process.kill()
            raise
    if process.returncode == _NOT_INSTALLED:
        raise exception.ConfigurationError(
            "a squashfs can't be looked at: unsquashfs is not installed"
        )
    if process.returncode:
        raise exception.ImageRejected(
            f"the image is a damaged squashfs (unsquashfs: {process.returncode})"
        )


def _add_listed(tree: Tree, line: str) -> None:
    """Note one line: ``mode uid/gid size date time squashfs-root/path [-> target]``.

    Devices have ``major, minor`` for a size. Every real entry has a line that begins
    with its kind, whatever line breaks its name contains.
    """
    before, found, name = line.partition("squashfs-root")
    fields = before.split()
    if not found or len(fields) < 4 or name[:1] not in ("", "/"):
        return
    kind, name = fields[0][0], name.removeprefix("/")
    if kind == "l":
        name, _, target = name.partition(" -> ")
        tree.add(relative(name), Tree.LINK, target)
    elif kind == "d":
        if path := relative(name):
            tree.add(path, Tree.FOLDER)
    elif kind in "bc":
        check_device(relative(name))
        tree.devices.append(relative(name))
    elif kind == "-":
        tree.add(relative(name), Tree.FILE, size=int(fields[2]))
