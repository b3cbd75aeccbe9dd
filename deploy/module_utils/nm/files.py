# SPDX-License-Identifier: Apache-2.0
"""Files and directories that are exactly as described, written atomically."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

from . import manifest, paths

_ROOT = 0


def ensure_directory(
    path: Path | str, mode: int = 0o755, owner: str = "root", group: str = "root"
) -> bool:
    """Make a directory, its parents, its owner and mode; say whether that changed.

    :raises NotADirectoryError: something else has the name.
    :raises KeyError: no such user or group.
    """
    path = Path(path)
    changed = False
    for missing in reversed([p for p in (path, *path.parents) if not p.exists()]):
        manifest.record("directory", path=str(missing))
        missing.mkdir(exist_ok=True)
        missing.chmod(0o755)
        changed = True
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is there and is no directory")
    return _ensure_attributes(path, mode, owner, group) or changed


def hand_over(folder: Path, owner: str, group: str) -> None:
    """Give root's files in a folder of root's to another user, not those further below.

    Of a service that gets a user of its own: what it made as root is still its own.
    """
    if not folder.is_dir() or folder.stat().st_uid != _ROOT:
        return
    for path in folder.iterdir():
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_uid == _ROOT:
            os.chown(path, _uid(owner), _gid(group), follow_symlinks=False)


def ensure_file(
    path: Path | str,
    content: str | bytes,
    mode: int = 0o644,
    owner: str = "root",
    group: str = "root",
    *,
    undo: dict[str, Any] | None = None,
) -> bool:
    """Make a file with this content, owner and mode; say whether that changed.

    :param undo: kind of the manifest's entry and its further arguments, in place of
        kind `file`.

    A file that was there before the deployment is kept below `paths.ORIGINALS` and
    put back by `deploy/down`. Readers see the old content or the new, never a part.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    ensure_parents(path)
    try:
        same = not path.is_symlink() and path.read_bytes() == data
        present = True
    except FileNotFoundError:
        same, present = False, path.is_symlink()
    if same:
        return _ensure_attributes(path, mode, owner, group)
    _record_file(path, present, undo or {"kind": "file"})
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chown(name, _uid(owner), _gid(group))
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return True


def ensure_link(path: Path | str, target: Path | str) -> bool:
    """Make a symbolic link; a file or link that was there before is kept."""
    path = Path(path)
    if path.is_symlink() and os.readlink(path) == str(target):
        return False
    ensure_parents(path)
    _record_file(path, path.exists() or path.is_symlink(), {"kind": "file"})
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    os.replace(new, path)
    return True


def ensure_parents(path: Path) -> None:
    if not path.parent.is_dir():
        ensure_directory(path.parent)


def _record_file(path: Path, present: bool, undo: dict[str, Any]) -> None:
    ours = any(
        entry["kind"] in ("file", undo["kind"]) and entry.get("path") == str(path)
        for entry in manifest.entries()
    )
    if ours:
        return
    if not present:
        manifest.record(**undo, path=str(path))
        return
    original = paths.ORIGINALS / str(path).lstrip("/")
    original.parent.mkdir(parents=True, exist_ok=True)
    paths.ORIGINALS.chmod(0o700)
    shutil.copy2(path, original, follow_symlinks=False)
    if not original.is_symlink():
        status = path.stat()
        os.chown(original, status.st_uid, status.st_gid)
    manifest.record(**undo, path=str(path), original=str(original))


def _ensure_attributes(path: Path, mode: int, owner: str, group: str) -> bool:
    status = path.stat()
    changed = False
    wanted = (_uid(owner), _gid(group))
    if (status.st_uid, status.st_gid) != wanted:
        os.chown(path, *wanted)
        changed = True
    if stat.S_IMODE(status.st_mode) != mode:
        path.chmod(mode)
        changed = True
    return changed


def _uid(owner: str) -> int:
    return int(owner) if owner.isdigit() else pwd.getpwnam(owner).pw_uid


def _gid(group: str) -> int:
    return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
