# SPDX-License-Identifier: Apache-2.0
"""Our clouds in a clouds.yaml that may hold others."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import clouds, files

DOCUMENTATION = r"""
module: clouds_file
short_description: Entries of a clouds.yaml
description:
  - Sets the named clouds and leaves every other entry as it is. A file that is right
    is not written, so that its comments stay.
  - Runs with a Python that has PyYAML.
options:
  path: {required: true, type: path}
  group: {description: Whose members may read it., required: true, type: str}
  clouds: {description: Entries by name., required: true, type: dict}
"""

try:
    import yaml
except ImportError:  # reported by main(): a module must be importable to be documented
    yaml = None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "group": {"type": "str", "required": True},
            "clouds": {"type": "dict", "required": True, "no_log": True},
        }
    )
    if yaml is None:
        module.fail_json(msg="clouds_file needs PyYAML in its Python")
    path = Path(module.params["path"])
    try:
        text = path.read_text() if path.exists() else ""
        present = yaml.safe_load(text)
        wanted = clouds.merged(present, module.params["clouds"])
        if wanted != present:
            text = yaml.safe_dump(wanted, sort_keys=False)
        changed = files.ensure_file(
            path,
            text,
            0o640,
            "root",
            module.params["group"],
            undo={"kind": "clouds", "names": sorted(module.params["clouds"])},
        )
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        module.fail_json(msg=f"{path}: {error}")
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
