# SPDX-License-Identifier: Apache-2.0
"""Ranges of subordinate ids: which ids of the machine guests' users are."""

from __future__ import annotations

from pathlib import Path

from . import command, manifest

# The file, and usermod's options to add to it and take from it.
_KINDS = {
    Path("/etc/subuid"): ("--add-subuids", "--del-subuids"),
    Path("/etc/subgid"): ("--add-subgids", "--del-subgids"),
}


def ensure(user: str, first: int, count: int) -> bool:
    """Give a user a range of ids of both kinds; say whether that changed.

    :raises ValueError: somebody else has a part of it.
    """
    last = first + count - 1
    changed = False
    for path, (add, remove) in _KINDS.items():
        text = path.read_text() if path.exists() else ""
        try:
            there = present(text, user, first, last)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if there:
            continue
        ids = f"{first}-{last}"
        manifest.record("command", undo=["usermod", remove, ids, user])
        command.run(["usermod", add, ids, user])
        changed = True
    return changed


def present(text: str, user: str, first: int, last: int) -> bool:
    """Whether the range is there already.

    :param text: content of /etc/subuid or /etc/subgid.
    :raises ValueError: another range overlaps: two engines must not share ids.
    """
    for line in text.splitlines():
        owner, start, count = line.split(":")
        begin, end = int(start), int(start) + int(count) - 1
        if begin > last or end < first:
            continue
        if (owner, begin, end) == (user, first, last):
            return True
        raise ValueError(
            f"{owner} has the ids {begin}-{end}, which overlap with {first}-{last} for"
            f" {user}; choose other ones"
        )
    return False
