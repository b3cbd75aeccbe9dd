# SPDX-License-Identifier: Apache-2.0
"""Permissions such as ``rwxr-x---``: what they leave of what a role allows.

r: see. w: change and delete. x: start, stop, execute; make instances of it.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

from nova_multi.domain.errors import Invalid

Action = Literal["r", "w", "x"]
#: The creator; the groups of the environment; the partition.
Relation = Literal["owner", "group", "other"]

_FORM = re.compile(r"(?:[r-][w-][x-]){3}", re.ASCII)
_OFFSETS: dict[Relation, int] = {"owner": 0, "group": 3, "other": 6}
PUBLIC = "rwxrwxrwx"


@dataclasses.dataclass(frozen=True, slots=True)
class Permissions:
    """Nine letters: owner, group and others."""

    text: str = PUBLIC

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not _FORM.fullmatch(self.text):
            raise Invalid(
                f"permissions {self.text!r:.40} are not nine letters such as rwxr-x---",
                field="permissions",
            )

    @classmethod
    def parse(cls, text: str | None) -> Permissions:
        """Read permissions; omitted ones are public.

        :raises Invalid: malformed, an empty text too.
        """
        return cls(PUBLIC if text is None else text)

    def allows(self, action: Action, relation: Relation) -> bool:
        """Whether someone in that relation may do that."""
        start = _OFFSETS[relation]
        return action in self.text[start : start + 3]

    def __str__(self) -> str:
        return self.text
