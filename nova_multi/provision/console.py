# SPDX-License-Identifier: Apache-2.0
"""Reads from a guest's console what its provisioner reports.

Lines carry a nonce, so that nothing else on the console is taken for one, and a number
that counts up: a console that is read again tells nothing twice, and one that has
forgotten its begin (most keep the last 100 KiB) shows the gap. ``guest/report.sh`` has
the form of the lines.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

_MARK = "@nova-multi"
_KINDS = "begin|received|phase|progress|log|output|timeout|exit|end"
#: Characters of one line of a log; longer ones are cut.
_MAX_LINE = 4000
#: Characters of what is being done.
_MAX_MESSAGE = 200
#: Characters of one output's value; the guest has a limit below it.
_MAX_OUTPUT = 4000
#: Outputs of one instance, and the characters of all their names and values.
MAX_OUTPUTS = 64
MAX_ALL_OUTPUTS = 32 * 1024
#: Characters of a line that are looked at for what a program has drawn.
_MAX_SCREEN = 1000
#: What a terminal would obey.
_CONTROL = re.compile(
    r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*\x07|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
#: The same where Nova has left the escape out, and the line that ``screen`` draws at
#: the foot: Debian's installer runs in it.
_BARE = re.compile(r"\[(?:[0-9;]{1,12}[ABHJKm]|[HJm](?=\[|$))")
_FOOT = re.compile(
    r"\[ [^\[\]]*\d[-*]? ?\w[^\[\]]*\] ?\[ \w{3} ?\d{1,2} {1,2}\d{1,2}:\d\d \]"
)
_OUTPUT = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,63}) (.*)", re.DOTALL)
#: The phase that every script is in, of which there is nothing to tell.
_RUN = "run"


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What is new on a console.

    :ivar last: number of the last line that was read.
    :ivar begun: whether the script was begun.
    :ivar received: whether the guest has what it fetches besides its user-data.
    :ivar phase: the last one that was named, or empty.
    :ivar message: what the guest said last that it is doing, or empty.
    :ivar log: lines that the script wrote, with marks where some are missing.
    :ivar outputs: values by name; the last word counts.
    :ivar timed_out: seconds after which the guest ended the script, if it did.
    :ivar exit_code: of the script, if it has ended.
    :ivar began_at: seconds since 1970 by the guest's clock, if it told.
    :ivar ended_at: the same of the script's end.
    """

    last: int = 0
    begun: bool = False
    received: bool = False
    phase: str = ""
    message: str = ""
    log: tuple[str, ...] = ()
    outputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    timed_out: int | None = None
    exit_code: int | None = None
    began_at: int | None = None
    ended_at: int | None = None


def read(text: str, nonce: str, after: int = 0) -> Report:
    """What a console tells that is not known yet.

    A line that has no end yet is left for the next time: more of it may be to come.

    :param text: of the console, or its last part.
    :param after: number of the last line that is known.
    """
    form = re.compile(
        rf"{_MARK} {re.escape(nonce)} ([0-9]{{1,9}}) ({_KINDS})(?: (.*))?\Z", re.DOTALL
    )
    last, begun, received, phase, message = after, after > 0, False, "", ""
    exit_code: int | None = None
    timed_out: int | None = None
    began_at: int | None = None
    ended_at: int | None = None
    log: list[str] = []
    outputs: dict[str, str] = {}
    # Not splitlines(), which knows ends of lines that a script may well write.
    for line in text.split("\n")[:-1]:
        # The console may have put the kernel's words before it on the same line.
        found = form.search(line.rstrip("\r"))
        if not found or int(found[1]) <= last:
            continue
        number, kind, rest = int(found[1]), found[2], found[3] or ""
        if number > last + 1:
            log.append(_gap(number - last - 1))
        last, begun = number, True
        if kind == "begin":
            began_at = _number(rest)
        elif kind == "received":
            received = True
        elif kind == "phase":
            phase = _clean(rest)[:64]
            message = "" if phase == _RUN else phase
        elif kind == "progress":
            message = _clean(rest)[:_MAX_MESSAGE]
            log.append(f"progress: {message}")
        elif kind == "log":
            log.append(_clean(rest)[:_MAX_LINE])
        elif kind == "output":
            if given := _output(rest):
                outputs[given[0]] = given[1]
        elif kind == "timeout":
            timed_out = _number(rest)
        elif kind == "exit":
            status, _, at = rest.strip().partition(" ")
            exit_code, ended_at = _number(status, wrong=1), _number(at)
    return Report(
        last,
        begun,
        received,
        phase,
        message,
        tuple(log),
        outputs,
        timed_out,
        exit_code,
        began_at,
        ended_at,
    )


def with_outputs(
    known: Mapping[str, str], new: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Outputs with what was reported now, and the names of those there is no room for.

    A name that is known already gets its new value.
    """
    merged, left_out = dict(known), []
    for name, value in new.items():
        wanted = {**merged, name: value}
        size = sum(len(each) + len(text) for each, text in wanted.items())
        if len(wanted) > MAX_OUTPUTS or size > MAX_ALL_OUTPUTS:
            left_out.append(name)
        else:
            merged = wanted
    return merged, left_out


def last_lines(text: str, count: int, length: int) -> list[str]:
    """The last lines of a console that say something, as they would be seen.

    :param length: characters of each.
    """
    lines: list[str] = []
    for line in reversed(text.split("\n")):
        # What was written over is gone: progress comes so.
        seen = _clean(line.rstrip("\r").rpartition("\r")[2][:_MAX_SCREEN])
        seen = _FOOT.sub("", _BARE.sub("", seen)).strip()
        if seen:
            lines.append(seen[:length])
            if len(lines) == count:
                break
    return lines[::-1]


def _gap(lines: int) -> str:
    told = "1 line was" if lines == 1 else f"{lines} lines were"
    return f"[... {told} lost: the console keeps the last 100 KiB ...]"


def _clean(text: str) -> str:
    """Text without what a terminal obeys, and without what no database takes."""
    text = re.sub(r"\r+", " ", text)
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode()


def _output(rest: str) -> tuple[str, str] | None:
    """Name and value, if the line is whole."""
    found = _OUTPUT.fullmatch(rest)
    if not found:
        return None
    words = {"n": "\n", "\\": "\\"}
    value = re.sub(r"\\(.)", lambda each: words.get(each[1], each[0]), _clean(found[2]))
    return (found[1], value) if len(value) <= _MAX_OUTPUT else None


def _number(text: str, wrong: int | None = None) -> int | None:
    found = re.fullmatch(r"\s*([0-9]{1,10})\s*", text)
    return int(found[1]) if found else wrong
