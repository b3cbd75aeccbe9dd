# SPDX-License-Identifier: Apache-2.0
"""Gives a user a range of subordinate user and group ids, for guests' own users.

- subordinate_ids: {user: nova-multi-guest, first: 1500000000, count: 65536}
"""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import command, subids


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "first": {"type": "int", "required": True},
            "count": {"type": "int", "default": 65536},
        }
    )
    try:
        changed = subids.ensure(**module.params)
    except (command.CommandError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
