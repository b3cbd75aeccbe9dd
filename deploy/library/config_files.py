# SPDX-License-Identifier: Apache-2.0
"""Writes files and directories that have been rendered. See deploy/README.md.

Called by the action plugin of the same name, which renders the templates.
"""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import files


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "dict", "default": []},
            # Configurations hold passwords.
            "files": {"type": "list", "elements": "dict", "no_log": True},
            "links": {"type": "list", "elements": "dict", "default": []},
        }
    )
    changed: list[str] = []
    path = ""
    try:
        for entry in module.params["directories"]:
            path = entry["path"]
            attributes = (int(entry["mode"], 8), entry["owner"], entry["group"])
            if files.ensure_directory(path, *attributes):
                changed.append(path)
        for entry in module.params["files"] or []:
            path = entry["dest"]
            attributes = (int(entry["mode"], 8), entry["owner"], entry["group"])
            if files.ensure_file(path, entry["content"], *attributes):
                changed.append(path)
        for entry in module.params["links"]:
            path = entry["path"]
            if files.ensure_link(path, entry["target"]):
                changed.append(path)
    except (OSError, KeyError) as error:
        module.fail_json(msg=f"{path}: {error}")
    module.exit_json(changed=bool(changed), paths=changed)


if __name__ == "__main__":
    main()
