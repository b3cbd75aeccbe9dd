# SPDX-License-Identifier: Apache-2.0
"""Entries of a clouds.yaml that may hold others.

As a program, takes ours out again; with a Python that has PyYAML:

    clouds.py PATH ORIGINAL NAME...

ORIGINAL is what was at PATH before us, or `-` for nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def merged(present: Any, clouds: dict[str, Any]) -> dict[str, Any]:
    """The file's content with these clouds in it.

    :raises ValueError: the file is no mapping with a mapping of clouds.
    """
    if present is None:
        present = {}
    if not isinstance(present, dict):
        raise ValueError("it holds no mapping")
    others = present.get("clouds") or {}
    if not isinstance(others, dict):
        raise ValueError("its `clouds` is no mapping")
    return {**present, "clouds": {**others, **clouds}}


def without(present: Any, names: list[str], was: Any) -> dict[str, Any] | None:
    """The file's content without these clouds, or with what they were before us.

    :param was: content before us.
    :returns: None if that is all there is: nobody has changed anything else since.
    """
    was = was if isinstance(was, dict) else {}
    present = present if isinstance(present, dict) else {}
    before = was.get("clouds") or {}
    theirs = {k: v for k, v in (present.get("clouds") or {}).items() if k not in names}
    theirs |= {name: before[name] for name in names if name in before}
    left = {**present, "clouds": theirs}
    return left if merged(was, {}) != merged(left, {}) else None


def main(path: str, original: str, *names: str) -> None:
    """Write PATH without these clouds, or leave ORIGINAL there, or nothing."""
    import yaml

    file, before = Path(path), Path(original)
    was = yaml.safe_load(before.read_text()) if original != "-" else None
    try:
        present = yaml.safe_load(file.read_text())
    except yaml.YAMLError:
        print("kept")  # somebody is at work on it: nothing of it may be lost
        return
    left = without(present, list(names), was)
    if left is None:
        return
    status = file.stat()
    new = file.with_name(f".{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as target:
        yaml.safe_dump(left, target, sort_keys=False)
    os.chown(new, status.st_uid, status.st_gid)
    new.chmod(status.st_mode & 0o7777)
    new.replace(file)
    print("kept")


if __name__ == "__main__":
    main(*sys.argv[1:])
