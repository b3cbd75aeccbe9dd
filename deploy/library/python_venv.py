# SPDX-License-Identifier: Apache-2.0
"""Keeps a virtual environment as pinned. See deploy/README.md."""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import command, files, project, venv

# Tests are a third of what would be compiled, and are imported by nobody.
_NO_BYTECODE = r"/tests?/|/tempest/"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "constraints": {"type": "str", "required": True},
            "uv": {"type": "path", "required": True},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "cache": {"type": "path", "required": True},
            "source": {"type": "path"},
            "bytecode": {"type": "bool", "default": False},
        }
    )
    try:
        changed = _ensure(module.params)
    except (command.CommandError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changed), installed=changed)


def _ensure(wanted: dict) -> list[str]:
    environment = venv.Venv(
        Path(wanted["path"]),
        Path(wanted["uv"]),
        wanted["python"],
        Path(wanted["cache"]),
    )
    changed = [wanted["path"]] if environment.ensure_made() else []
    pins = venv.pins(wanted["constraints"])
    faulty = environment.faulty(pins)
    if faulty:
        options = [word for name in faulty for word in ("--reinstall-package", name)]
        environment.install([f"{name}=={pins[name]}" for name in faulty], *options)
        changed += faulty
    source = Path(wanted["source"]) if wanted["source"] else None
    if source and not project.is_installed(source, environment):
        project.install(source, environment)
        changed.append(source.name)
    if wanted["bytecode"] and _lacks_bytecode(environment):
        _compile(environment)
        changed.append("bytecode")
    # Services that run from here are restarted when these change.
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    files.ensure_file(environment.path / "packages.txt", lines)
    if source:
        text = project.fingerprint(environment)
        files.ensure_file(environment.path / "project.txt", text)
    return changed


def _lacks_bytecode(environment: venv.Venv) -> bool:
    skipped = re.compile(_NO_BYTECODE)
    packages = environment.site_packages
    for module in packages.glob("*/__init__.py"):
        cache = module.parent / "__pycache__"
        if not skipped.search(str(module)) and not cache.is_dir():
            return True
    return False


def _compile(environment: venv.Venv) -> None:
    """Compile once as root: services may not write here, and would each do it."""
    python = str(environment.path / "bin" / "python")
    command.run(
        [
            *("nice", python, "-m", "compileall", "-q", "-j", "0"),
            *("-x", _NO_BYTECODE, str(environment.site_packages)),
        ]
    )


if __name__ == "__main__":
    main()
