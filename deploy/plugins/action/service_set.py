# SPDX-License-Identifier: Apache-2.0
"""Renders entries of the table of services and has them running."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """`service_set:` as described in deploy/README.md."""

    _supports_check_mode = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        arguments = self._task.args
        names = list(arguments.get("names", []))
        path = os.path.join(self._loader.get_basedir(), "services.yml")
        table = self._loader.load_from_file(path, trusted_as_template=True)
        roles = arguments.get("roles", [])
        names += [name for name, entry in table.items() if entry.get("role") in roles]
        unknown = [name for name in names if name not in table]
        if unknown:
            raise AnsibleActionFail(f"not in services.yml: {', '.join(unknown)}")
        entries = {name: self._entry(name, table[name], task_vars) for name in names}
        result: dict[str, Any] = self._execute_module(
            module_name="service_set",
            module_args={
                "entries": entries,
                "restart": arguments.get("restart", []),
                "wait": arguments.get("wait", True),
            },
            task_vars=task_vars,
        )
        result.pop("invocation", None)
        return result

    def _entry(
        self, name: str, entry: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            rendered: dict[str, Any] = self._templar.template(entry)
        except Exception as error:
            raise AnsibleActionFail(f"services.yml: {name}: {error}") from error
        state, run = self._templar.template(
            [task_vars["nm_state"], task_vars["nm_run"]]
        )
        user = rendered.get("user", "root")
        group = rendered.get("group") or user
        # Each service has its state folder and its folder for sockets; the table
        # names further ones, or these two again with another owner or mode.
        directories = [
            {"path": f"{state}/{name}", "mode": "0750"},
            {"path": f"{run}/{name}", "mode": "0755"},
            *rendered.get("directories", []),
        ]
        merged: dict[str, dict[str, str]] = {}
        for directory in directories:
            folder = {"path": directory} if isinstance(directory, str) else directory
            entry_of = merged.setdefault(
                folder["path"],
                {
                    "path": folder["path"],
                    "mode": "0755",
                    "owner": user,
                    "group": group,
                },
            )
            entry_of.update({key: str(value) for key, value in folder.items()})
        rendered["directories"] = list(merged.values())
        return rendered
