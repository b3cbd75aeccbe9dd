# SPDX-License-Identifier: Apache-2.0
"""Gives a user a range of subordinate user and group ids, for guests' own users.

    - subordinate_ids: {user: nova-multi-guest, first: 1500000000, count: 65536}

:raises: another user's range overlaps; two engines must not share their guests' ids.
"""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import command, manifest

# The file, and usermod's options to add to it and take from it.
_KINDS = {
    "/etc/subuid": ("--add-subuids", "--del-subuids"),
    "/etc/subgid": ("--add-subgids", "--del-subgids"),
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "first": {"type": "int", "required": True},
            "count": {"type": "int", "default": 65536},
        }
    )
    user, first = module.params["user"], module.params["first"]
    last = first + module.params["count"] - 1
    changed = False
    try:
        for path, (add, remove) in _KINDS.items():
            if _present(Path(path), user, first, last):
                continue
            ids = f"{first}-{last}"
            manifest.record("command", undo=["usermod", remove, ids, user])
            command.run(["usermod", add, ids, user])
            changed = True
    except (command.CommandError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


def _present(path: Path, user: str, first: int, last: int) -> bool:
    """Whether the range is there already.

    :raises ValueError: somebody else has a part of it.
    """
    lines = path.read_text().splitlines() if path.exists() else []
    for line in lines:
        owner, start, count = line.split(":")
        begin, end = int(start), int(start) + int(count) - 1
        if begin > last or end < first:
            continue
        if (owner, begin, end) == (user, first, last):
            return True
        raise ValueError(
            f"{path}: {owner} has the ids {begin}-{end}, which overlap with"
            f" {first}-{last} for {user}; choose other ones"
        )
    return False


if __name__ == "__main__":
    main()
