# SPDX-License-Identifier: Apache-2.0
"""The inventory's plain values, for what looks at them before there is an Ansible.

Without a YAML parser, which a bare Debian does not have: a plain value in a line of its
own is all that is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

# Neither a template, nor a list, a dictionary or a text of several lines.
_PLAIN = re.compile(
    r"""^([a-z][a-z0-9_]*):[ ]+ ["']? ([^\s"'{\[|>\#][^"'{\#]*?) ["']? \s*(?:\#.*)?$""",
    re.MULTILINE | re.VERBOSE,
)


def read(deploy: Path, inventory: Path, extra_vars: Iterable[str]) -> dict[str, str]:
    """The roles' defaults, the inventory's variables and those of the command line."""
    values: dict[str, str] = {}
    for path in [
        *sorted((deploy / "roles").glob("*/defaults/main.yml")),
        *sorted((inventory / "group_vars" / "all").glob("*.yml")),
    ]:
        values |= plain(path.read_text())
    for assignment in extra_vars:
        name, _, value = assignment.partition("=")
        values[name] = value
    return values


def plain(text: str) -> dict[str, str]:
    """The plain values of a YAML document's first level."""
    return dict(_PLAIN.findall(text))


def numbers(values: Mapping[str, str]) -> dict[str, int]:
    """Those of the values that are whole numbers."""
    return {name: int(value) for name, value in values.items() if value.isdigit()}
