# SPDX-License-Identifier: Apache-2.0
"""Makes system users and groups. See deploy/README.md."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import command, users


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "groups": {"type": "list", "elements": "str", "default": []},
            "users": {"type": "list", "elements": "dict", "default": []},
            # Of users that are there already: user, group.
            "memberships": {"type": "list", "elements": "dict", "default": []},
        }
    )
    changed = []
    try:
        for name in module.params["groups"]:
            if users.ensure_group(name):
                changed.append(name)
        for user in module.params["users"]:
            home = user.get("home", "/nonexistent")
            if users.ensure_user(user["name"], home, user.get("groups", [])):
                changed.append(user["name"])
        for entry in module.params["memberships"]:
            if users.ensure_membership(entry["user"], entry["group"]):
                changed.append(f"{entry['user']} in {entry['group']}")
    except (command.CommandError, KeyError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changed), names=changed)


if __name__ == "__main__":
    main()
