# SPDX-License-Identifier: Apache-2.0
"""Gathers the packages of all roles of the machine and installs them at once."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """`packages:` as described in deploy/README.md."""

    _supports_check_mode = False
    _supports_async = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        names = set(self._task.args.get("names", []))
        for role in self._task.args.get("roles", []):
            names |= self._packages_of(role)
        result: dict[str, Any] = self._execute_module(
            module_name="packages",
            module_args={"names": sorted(names)},
            task_vars=task_vars,
            wrap_async=self._task.async_val,
        )
        result.pop("invocation", None)
        return result

    def _packages_of(self, role: str) -> set[str]:
        base = self._loader.get_basedir()
        path = os.path.join(base, "roles", role, "vars", "packages.yml")
        if not os.path.exists(path):
            return set()
        content = self._loader.load_from_file(path, trusted_as_template=True)
        key = f"{role.replace('-', '_')}_packages"
        packages: list[str | list[str]] = self._templar.template(content.get(key, []))
        # An entry may be a list by itself, made of a variable.
        lists = (each if isinstance(each, list) else [each] for each in packages)
        return {name for names in lists for name in names if name}
