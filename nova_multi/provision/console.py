# SPDX-License-Identifier: Apache-2.0
"""Reads from a guest's console what its provisioner reports.

Lines carry a nonce, so that nothing else on the console is taken for one, and a number
that counts up: a console that is read again tells nothing twice, and one that has
forgotten its begin (most keep the last 100 KiB) shows the gap.
"""

from __future__ import annotations

import dataclasses
import re

_MARK = "@nova-multi"
#: Of one line of a log; longer ones are cut.
_MAX_LINE = 4000
#: Control characters, which a terminal would obey.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What is new on a console.

    :ivar last: number of the last line that was read.
    :ivar begun: whether the script was begun.
    :ivar phase: the last one that was named, or empty.
    :ivar log: lines that the script wrote, with marks where some are missing.
    :ivar exit_code: of the script, if it has ended.
    """

    last: int = 0
    begun: bool = False
    phase: str = ""
    log: tuple[str, ...] = ()
    exit_code: int | None = None


def read(text: str, nonce: str, after: int = 0) -> Report:
    """What a console tells that is not known yet.

    :param text: of the console, or its last part.
    :param after: number of the last line that is known.
    """
    form = re.compile(
        rf"{_MARK} {re.escape(nonce)} (\d{{1,9}}) (begin|phase|log|exit|end)(?: (.*))?"
    )
    last, begun, phase = after, after > 0, ""
    exit_code: int | None = None
    log: list[str] = []
    for line in text.splitlines():
        # The console may have put the kernel's words before it on the same line.
        found = form.search(line)
        if not found or int(found[1]) <= last:
            continue
        number, kind, rest = int(found[1]), found[2], found[3] or ""
        if number > last + 1:
            log.append(
                f"[{number - last - 1} lines are missing: the console lost them]"
            )
        last, begun = number, True
        if kind == "phase":
            phase = rest[:64]
        elif kind == "log":
            log.append(_CONTROL.sub("", rest)[:_MAX_LINE])
        elif kind == "exit":
            exit_code = int(rest) if rest.strip().isdecimal() else 1
    return Report(last, begun, phase, tuple(log), exit_code)
