# SPDX-License-Identifier: Apache-2.0
"""The record of everything that the deployment made on this machine.

JSON lines, one for each thing, in the order of making; `deploy/down` undoes them in
reverse. A line is written before the thing is made: killed in between, it is undone
although it never was, which every undo bears. A thing that was there before is not
recorded.

    from ansible.module_utils.nm import manifest
    manifest.record("directory", path="/etc/nova-multi")
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import paths


def record(kind: str, *, manifest: Path = paths.MANIFEST, **what: Any) -> bool:
    """Append an entry unless it is there already; say whether it was appended.

    `kind` names an undo of `nm.undo`; `what` is that undo's arguments and must be
    JSON. For anything unusual there is kind "command" with `undo`, an argument list.
    """
    entry = {"kind": kind, **what}
    manifest.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(manifest, flags, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        present = file.read()
        if any(known == entry for known in _parse(present)):
            return False
        line = json.dumps(entry, sort_keys=True).encode() + b"\n"
        if present and not present.endswith(b"\n"):
            # The writer before was killed in the middle of its line.
            line = b"\n" + line
        file.write(line)
        os.fsync(file.fileno())
    return True


def entries(manifest: Path = paths.MANIFEST) -> list[dict[str, Any]]:
    """All entries in the order of making; none where there is no manifest."""
    try:
        return list(_parse(manifest.read_bytes()))
    except FileNotFoundError:
        return []


def rewrite(remaining: list[dict[str, Any]], manifest: Path = paths.MANIFEST) -> None:
    """Replace the manifest, atomically, by what is still to be undone."""
    new = manifest.with_suffix(".new")
    lines = [json.dumps(entry, sort_keys=True) + "\n" for entry in remaining]
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, manifest)


def _parse(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # half a line: its writer was killed, and made nothing after it
        if isinstance(entry, dict) and "kind" in entry:
            yield entry
