# SPDX-License-Identifier: Apache-2.0
"""What the layers of an image amount to: one tree of names, whiteouts applied.

Only names, kinds and link targets are kept; nothing is unpacked.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator

from nova_multi import exception
from nova_multi.inspection.tarheader import Names, check_name

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_DIRECTORY, _FILE = "d", "f"
#: A chain of symbolic links longer than the kernel follows leads nowhere.
_MAX_LINKS = 40


class Tree:
    """File names of an image, with each layer laid over those before it."""

    def __init__(self) -> None:
        # Path without a leading slash -> kind, or "l" and the link's target.
        # With each path its folders are there.
        self._entries: dict[str, str] = {}
        self._names = Names()

    def add_layer(self, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
        """Lay a layer over the tree; yields each member, so that callers count.

        The layer is in the tree once the iterator is exhausted.

        :raises ImageRejected: a member that has no place in an image.
        """
        added: dict[str, str] = {}
        hidden: set[str] = set()
        opaque: set[str] = set()
        for member in archive:
            path = member_path(member)
            self._names.count(path, member.linkname)
            folder, name = posixpath.split(path)
            if name == _OPAQUE:
                opaque.add(folder)
            elif name.startswith(_WHITEOUT):
                # Names with a doubled prefix are aufs' own notes.
                if not name.startswith(_WHITEOUT * 2):
                    hidden.add(posixpath.join(folder, name[len(_WHITEOUT) :]))
            elif path:
                added[path] = _kind(member)
            yield member
        if hidden or opaque:
            self._hide(hidden, opaque)
        for path, kind in added.items():
            for parent in _parents(path):
                if parent in self._entries:
                    break
                self._names.count(parent)
                self._entries[parent] = _DIRECTORY
            self._entries[path] = kind

    def _hide(self, hidden: set[str], opaque: set[str]) -> None:
        """Take away these names, what is in these folders, and all below."""
        # Folders come before what is in them.
        for path in sorted(self._entries, key=len):
            folder = posixpath.dirname(path)
            if path in hidden or folder in opaque or (folder and folder in hidden):
                hidden.add(path)
                del self._entries[path]

    def is_file(self, path: str) -> bool:
        """Whether a regular file is at this absolute path, through symbolic links."""
        return self._entries.get(self._resolve(path) or "") == _FILE

    def _resolve(self, path: str) -> str | None:
        """Path without links; None if something on the way is missing."""
        waiting = [part for part in reversed(path.split("/")) if part]
        done: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                done = done[:-1]
                continue
            if part == ".":
                continue
            kind = self._entries.get("/".join([*done, part]))
            if kind is None or (kind == _FILE and waiting):
                return None
            if not kind.startswith("l"):
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                return None
            target = kind[1:]
            if target.startswith("/"):
                done = []
            waiting += [step for step in reversed(target.split("/")) if step]
        return "/".join(done)


def member_path(member: tarfile.TarInfo) -> str:
    """Path of a member below the image's root, normalised; empty for the root.

    :raises ImageRejected: it leads out of the root, or is a device outside of ``/dev``
        (what lies in that folder no guest ever sees: it has its own mounted over it);
        it, or what it links to, is too long.
    """
    path = _inside(member.name, "member")
    if (member.ischr() or member.isblk()) and not path.startswith("dev/"):
        raise exception.ImageRejected(
            f"the image holds a device node outside of /dev: {member.name!r}"
        )
    if member.islnk():
        _inside(member.linkname, "hard link")
    elif member.issym():
        check_name(member.linkname, "link target")
    return path


def _inside(name: str, what: str) -> str:
    check_name(name, f"{what}'s name")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise exception.ImageRejected(f"{what} {name!r} leads out of the image")
    return "/".join(parts)


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym():
        return "l" + member.linkname
    # A hard link's target is a file of the same image.
    return _DIRECTORY if member.isdir() else _FILE


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
