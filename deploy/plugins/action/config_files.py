# SPDX-License-Identifier: Apache-2.0
"""Renders all templates of a role and writes their files in one call."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import Templar, trust_as_template


class ActionModule(ActionBase):
    """`config_files:` as described in deploy/README.md."""

    _supports_check_mode = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        arguments = self._task.args
        defaults = {
            "owner": arguments.get("owner", "root"),
            "group": arguments.get("group", "root"),
        }
        rendered = {
            "directories": [
                _entry(entry, "path", {"mode": "0755", **defaults})
                for entry in arguments.get("directories", [])
            ],
            "files": [
                self._render(
                    _entry(entry, "dest", {"mode": "0644", **defaults}), task_vars
                )
                for entry in arguments.get("files", [])
            ],
            "links": arguments.get("links", []),
        }
        result: dict[str, Any] = self._execute_module(
            module_name="config_files", module_args=rendered, task_vars=task_vars
        )
        result.pop("invocation", None)
        return result

    def _render(
        self, entry: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        source = entry.pop("src", None)
        if source is None:
            if "content" not in entry:
                raise AnsibleActionFail(f"{entry['dest']} has neither src nor content")
            return entry
        path = self._find_needle("templates", source)
        with open(path, encoding="utf-8") as file:
            template = trust_as_template(file.read())
        folders = [
            os.path.dirname(path),
            *task_vars.get("ansible_search_path", []),
        ]
        search = [
            folder
            for base in folders
            for folder in (os.path.join(base, "templates"), base)
        ]
        search.append(os.path.join(self._loader.get_basedir(), "templates"))
        variables = {**task_vars, "template_destination": entry["dest"]}
        variables |= entry.pop("vars", {})
        templar: Templar = self._templar.copy_with_new_env(
            searchpath=search, available_variables=variables
        )
        try:
            content = templar.template(
                template,
                escape_backslashes=False,
                overrides={"trim_blocks": True, "keep_trailing_newline": True},
            )
        except Exception as error:
            raise AnsibleActionFail(f"template {source}: {error}") from error
        # Nothing but comments renders to None.
        entry["content"] = "" if content is None else str(content)
        return entry


def _entry(
    entry: str | dict[str, Any], key: str, defaults: dict[str, Any]
) -> dict[str, Any]:
    given = {key: entry} if isinstance(entry, str) else dict(entry)
    complete = {**defaults, **given}
    complete["mode"] = str(complete["mode"])
    return complete
