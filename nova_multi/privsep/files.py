# SPDX-License-Identifier: Apache-2.0
"""Files that change hands between the compute service and a guest's root user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from nova_multi.privsep import files_context


def _inside(path: str, base: str) -> str:
    """``path`` without links, which must lie below ``base``.

    :raises PermissionError: it does not; whoever speaks to the privileged process gets
        no rights over the rest of the machine.
    """
    real, root = os.path.realpath(path), os.path.realpath(base)
    if real == root or os.path.commonpath([real, root]) != root:
        raise PermissionError(f"{path} is not below {base}")
    return real


def _base() -> str:
    # Asked where the privileged process reads its own configuration, not of the caller.
    import nova.conf

    return str(nova.conf.CONF.instances_path)


@files_context.entrypoint
def chown_tree(path: str, uid: int, gid: int) -> None:
    """Give a folder below the instances path to another user; follows no links."""
    top = _inside(path, _base())
    os.chown(top, uid, gid, follow_symlinks=False)
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            os.chown(os.path.join(folder, name), uid, gid, follow_symlinks=False)


@files_context.entrypoint
def remove_tree(path: str) -> None:
    """Delete a folder below the instances path, whoever owns what is in it."""
    top = _inside(path, _base())
    if os.path.lexists(top):
        shutil.rmtree(top)


@files_context.entrypoint
def read_end(paths: Sequence[str], limit: int) -> bytes:
    """The last ``limit`` bytes of files below the instances path, read as if they were
    one; a file that is not there counts as empty."""
    missing = limit
    parts: list[bytes] = []
    for path in reversed(paths):
        try:
            with open(_inside(path, _base()), "rb") as source:
                size = source.seek(0, os.SEEK_END)
                source.seek(max(0, size - missing))
                parts.append(source.read(missing))
        except FileNotFoundError:
            continue
        missing -= len(parts[-1])
    return b"".join(reversed(parts))
