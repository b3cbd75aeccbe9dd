# SPDX-License-Identifier: Apache-2.0
"""Records what a task is about to make. See deploy/README.md.

An entry of kind "leaving" is what a program makes by itself when it is started later,
in a place that is not ours: it is recorded only where there is no such thing yet.
"""

from __future__ import annotations

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import manifest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "entries": {"type": "list", "elements": "dict", "required": True}
        }
    )
    new = [
        manifest.record(**entry)
        for entry in module.params["entries"]
        if entry["kind"] != "leaving" or not os.path.lexists(entry["path"])
    ]
    module.exit_json(changed=any(new))


if __name__ == "__main__":
    main()
