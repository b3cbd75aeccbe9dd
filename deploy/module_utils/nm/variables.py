# SPDX-License-Identifier: Apache-2.0
"""The inventory's plain values, for what looks at them before there is an Ansible.

Without a YAML parser, which a bare Debian does not have: a plain value in a line of its
own is all that is looked for.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

# Neither a template, nor a list, a dictionary or a text of several lines.
_PLAIN = re.compile(
    r"""^([a-z][a-z0-9_]*):[ ]+ ["']? ([^\s"'{\[|>\#][^"'{\#]*?) ["']? \s*(?:\#.*)?$""",
    re.MULTILINE | re.VERBOSE,
)

# The same in a mapping that stands in one line.
_FLOW = re.compile(r"""([a-z][a-z0-9_]*):\ +["']?([^"',{}\[\]]+?)["']?\s*[,}]""")


def read(deploy: Path, inventory: Path, extra_vars: Iterable[str]) -> dict[str, str]:
    """The roles' defaults, the inventory's variables and those of the command line."""
    values: dict[str, str] = {}
    for path in [
        *sorted((deploy / "roles").glob("*/defaults/main.yml")),
        *sorted((inventory / "group_vars" / "all").glob("*.yml")),
    ]:
        values |= plain(path.read_text())
    for argument in extra_vars:
        values |= _given(argument, deploy)
    # What a template makes of it is not known here.
    return {name: value for name, value in values.items() if "{{" not in value}


def _given(argument: str, deploy: Path) -> dict[str, str]:
    """Of an -e as Ansible takes it: assignments, a mapping, or @ and a file's name."""
    if argument.startswith("@"):
        try:
            # Ansible runs in this folder.
            argument = (deploy / argument[1:]).read_text()
        except OSError:
            return {}  # Ansible will say so
        return _mapping(argument) or plain(argument)
    if argument.lstrip().startswith("{"):
        return _mapping(argument) or dict(_FLOW.findall(argument))
    try:
        words = shlex.split(argument)
    except ValueError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def _mapping(text: str) -> dict[str, str]:
    """The plain values of a JSON object; nothing if it is none."""
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        name: str(value)
        for name, value in content.items()
        if isinstance(value, (str, int, float))
    }


def plain(text: str) -> dict[str, str]:
    """The plain values of a YAML document's first level."""
    return dict(_PLAIN.findall(text))


def numbers(values: Mapping[str, str]) -> dict[str, int]:
    """Those of the values that are whole numbers."""
    return {name: int(value) for name, value in values.items() if value.isdigit()}
