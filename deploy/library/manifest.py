# SPDX-License-Identifier: Apache-2.0
"""Records what a task is about to make. See deploy/README.md."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import manifest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "entries": {"type": "list", "elements": "dict", "required": True}
        }
    )
    new = [manifest.record(**entry) for entry in module.params["entries"]]
    module.exit_json(changed=any(new))


if __name__ == "__main__":
    main()
