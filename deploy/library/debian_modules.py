# SPDX-License-Identifier: Apache-2.0
"""Has Python modules of Debian's packages in a virtual environment.

    - debian_modules: {venv: /opt/nova-multi/venv, names: [libvirt, libvirtmod]}

As links, one for each file: all of Debian's modules in the environment would shadow
what is pinned there. Both have the same Python.
"""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import files

_DEBIAN = Path("/usr/lib/python3/dist-packages")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "venv": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
        }
    )
    venv = Path(module.params["venv"])
    packages = next(iter(venv.glob("lib/python3.*/site-packages")), None)
    if packages is None:
        module.fail_json(msg=f"{venv} is no virtual environment")
    changed = []
    for name in module.params["names"]:
        # A module is one file, of Python or for one version of it.
        found = [*_DEBIAN.glob(f"{name}.py"), *_DEBIAN.glob(f"{name}.*.so")]
        if not found:
            module.fail_json(msg=f"{_DEBIAN} has no module {name}")
        for path in found:
            if files.ensure_link(packages / path.name, path):
                changed.append(path.name)
    module.exit_json(changed=bool(changed), links=changed)


if __name__ == "__main__":
    main()
