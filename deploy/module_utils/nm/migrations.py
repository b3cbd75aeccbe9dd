# SPDX-License-Identifier: Apache-2.0
"""What Alembic would call the heads of a service's migrations.

The migrations are read, not imported: their imports would take longer than all the rest
of a run that finds nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_ASSIGNMENT = re.compile(
    r"^(revision|down_revision|depends_on)\s*(?::[^=\n]+)?=\s*(.+?)(?=^\S)",
    re.MULTILINE | re.DOTALL,
)
_IDENTIFIER = re.compile(r"""["']([0-9A-Za-z_]+)["']""")


def heads(sources: Iterable[str]) -> set[str]:
    """Revisions that no other revision follows or depends on.

    :param sources: of the migrations' modules.
    """
    revisions: set[str] = set()
    followed: set[str] = set()
    for source in sources:
        for variable, value in _ASSIGNMENT.findall(source + "\n#"):
            names = _IDENTIFIER.findall(value)
            (revisions if variable == "revision" else followed).update(names)
    return revisions - followed


def heads_below(folder: Path) -> set[str]:
    """The heads of all migrations below a folder.

    :raises LookupError: there are none, which can't be right.
    """
    found = heads(
        path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))
    )
    if not found:
        raise LookupError(f"no migrations below {folder}")
    return found
