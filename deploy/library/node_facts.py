# SPDX-License-Identifier: Apache-2.0
"""Looks at the machine and gives the variable `nm`. See deploy/README.md."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import detect


def main() -> None:
    module = AnsibleModule(
        argument_spec={"overrides": {"type": "dict", "default": {}}},
        supports_check_mode=True,
    )
    facts = {**detect.facts(), **module.params["overrides"]}
    module.exit_json(changed=False, ansible_facts={"nm": facts})


if __name__ == "__main__":
    main()
