# SPDX-License-Identifier: Apache-2.0
"""System users and groups of the services."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Sequence

from . import command, manifest


def ensure_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        manifest.record("group", name=name)
        command.run(["groupadd", "--system", name])
        return True
    return False


def ensure_user(name: str, home: str, groups: Sequence[str] = ()) -> bool:
    """A user with a group of its own name, no shell, and at least these groups."""
    changed = ensure_group(name)
    try:
        pwd.getpwnam(name)
    except KeyError:
        manifest.record("user", name=name)
        arguments = ["useradd", "--system", "--gid", name, "--home-dir", home]
        command.run([*arguments, "--no-create-home", "--shell", "/bin/false", name])
        changed = True
    for group in groups:
        changed |= ensure_membership(name, group)
    return changed


def ensure_membership(name: str, group: str) -> bool:
    """An existing user in an existing group.

    :raises KeyError: no such user or group.
    """
    user, entry = pwd.getpwnam(name), grp.getgrnam(group)
    if name in entry.gr_mem or entry.gr_gid == user.pw_gid:
        return False
    manifest.record("membership", user=name, group=group)
    command.run(["gpasswd", "--add", name, group])
    return True
