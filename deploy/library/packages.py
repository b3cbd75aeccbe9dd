# SPDX-License-Identifier: Apache-2.0
"""Installs all packages of the machine's roles at once. See deploy/README.md."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import command, packages


def main() -> None:
    module = AnsibleModule(
        argument_spec={"names": {"type": "list", "elements": "str", "required": True}}
    )
    try:
        new = packages.ensure(module.params["names"])
    except (command.CommandError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(new), installed=new)


if __name__ == "__main__":
    main()
