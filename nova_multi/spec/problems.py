# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a file: all of it, each with its place."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable
from typing import Any

from nova_multi.domain.errors import Invalid

#: So many are told one by one; a file of 100,000 wrong lines is wrong in one way.
MAX_TOLD = 1000
#: So many are in the message itself.
MAX_IN_MESSAGE = 20

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}", re.ASCII)

Path = tuple[str | int, ...]


def written(path: Path) -> str:
    """A path as in ``instances.web.publish[0]``; odd keys are in quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: object, longest: int = 60) -> str:
    """A value in a message: printable, in quotes if it is a text, and not too long."""
    if isinstance(value, str):
        text = value if len(value) <= longest else f"{value[:longest]}..."
        inside = text.encode("unicode_escape").decode() if not printable(text) else text
        return '"' + inside.replace('"', '\\"') + '"'
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case int() if abs(value) >= 10**longest:
            return "a very long number"
        case int() | float():
            return str(value)
    return f"a {type(value).__name__}"


def printable(text: str) -> bool:
    """Whether a text can stand in a message as it is."""
    return text.isprintable()


def suggestion(word: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` where a known word is close; else nothing."""
    close = difflib.get_close_matches(word[:80], list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    :ivar message: a sentence for people, without the place.
    :ivar path: such as ``instances.web.count``; empty for the file as a whole.
    :ivar line: from 1; None for data that never were a text.
    :ivar column: from 1, in characters.
    :ivar code: stable word for programs.
    """

    message: str
    path: str = ""
    line: int | None = None
    column: int | None = None
    code: str = "invalid"

    @classmethod
    def of(cls, error: Invalid) -> tuple[Problem, ...]:
        """The problems that an error of this package tells, in their order."""
        return tuple(
            cls(
                entry["message"],
                entry["field"] or "",
                entry.get("line"),
                entry.get("column"),
                entry["code"],
            )
            for entry in error.details
        )

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}, column {self.column}: "
        path = f"{self.path}: " if self.path else ""
        return f"{place}{path}{self.message}"

    def as_detail(self) -> dict[str, Any]:
        """As an entry of an error's details."""
        detail: dict[str, Any] = {
            "code": self.code,
            "field": self.path or None,
            "message": self.message,
        }
        if self.line is not None:
            detail |= {"line": self.line, "column": self.column}
        return detail


def together(problems: Iterable[Problem]) -> Invalid:
    """One error for all problems; there must be at least one."""
    told = list(dict.fromkeys(problems))
    message = "; ".join(str(problem) for problem in told[:MAX_IN_MESSAGE])
    if len(told) > MAX_IN_MESSAGE:
        message += f"; and {len(told) - MAX_IN_MESSAGE} more"
    first = told[0]
    return Invalid(
        message,
        field=first.path or None,
        code=first.code if len(told) == 1 else None,
        details=[problem.as_detail() for problem in told[:MAX_TOLD]],
    )
