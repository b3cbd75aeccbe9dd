# SPDX-License-Identifier: Apache-2.0
"""How an apply goes on: a live tree of steps on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

_UP = "\x1b[{}A"
_CLEAR_BELOW = "\r\x1b[J"
_WAITS, _GOES_ON, _DONE, _FAILED = ".", ">", "+", "!"

#: Gives the sub-tasks of a task.
Children = Callable[[], Sequence[Mapping[str, Any]]]


class Tree:
    """Tells about one apply or destroy; a context, as :class:`progress.Progress`.

    :param label: the environment's name.
    :param steps: of the plan: names of what is made, changed or deleted, in order.
    :param children: asks for the sub-tasks.
    :param stream: standard error, so that formatted output stays clean.
    """

    def __init__(
        self,
        label: str,
        steps: Sequence[str],
        children: Children,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._steps = list(dict.fromkeys(steps))
        self._children = children
        self._stream = stream
        self._clock = clock
        self._start = clock()
        self._live = stream.isatty()
        self._drawn = 0
        self._told: set[tuple[str, str]] = set()

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._drawn = 0

    def __call__(self, task: Mapping[str, Any]) -> None:
        """Tell what is new."""
        children = list(self._children())
        if self._live:
            self._draw(task, children)
            return
        for child in sorted(children, key=lambda each: each["created"]):
            for change in child["status_history"]:
                self._tell(child, change)

    # -- plain lines

    def _tell(self, child: Mapping[str, Any], change: Mapping[str, Any]) -> None:
        key = child["uuid"], change["status"]
        if key in self._told:
            return
        self._told.add(key)
        line = f"{change['at']} {child['description']}: {change['status']}"
        message = change.get("message")
        self._write(f"{line} ({message})\n" if message else f"{line}\n")

    # -- a tree

    def _draw(
        self, task: Mapping[str, Any], children: Sequence[Mapping[str, Any]]
    ) -> None:
        columns, rows = shutil.get_terminal_size()
        seconds = int(self._clock() - self._start)
        lines = [f"{self._label}: {task['status']} ({seconds} s)"]
        # The cursor can't go up beyond the screen's first line.
        lines += self._branches(children, max(3, rows - 3))
        up = _UP.format(self._drawn) if self._drawn else ""
        text = "".join(f"{line[: columns - 1]}\n" for line in lines)
        self._write(f"{up}{_CLEAR_BELOW}{text}")
        self._drawn = len(lines)

    def _branches(
        self, children: Sequence[Mapping[str, Any]], room: int
    ) -> Iterator[str]:
        """A line for each step; where there are too many, of those that matter now."""
        # A replacement is two tasks: the later one counts.
        now = {
            each["description"].rpartition(" ")[2]: each
            for each in sorted(children, key=lambda each: str(each["created"]))
        }
        names = [*self._steps, *(name for name in now if name not in self._steps)]
        shown = names
        if len(names) > room:
            matter = {name: _sign(now.get(name)) for name in names}
            order = {_FAILED: 0, _GOES_ON: 1, _WAITS: 2, _DONE: 3}
            ranked = sorted(names, key=lambda name: order[matter[name]])
            kept = set(ranked[: room - 1])
            shown = [name for name in names if name in kept]
        width = max((len(name) for name in shown), default=0)
        for number, name in enumerate(shown):
            last = number == len(shown) - 1 and len(shown) == len(names)
            child = now.get(name)
            branch = "`-" if last else "|-"
            yield f"{branch} {_sign(child)} {name:{width}}  {_state(child)}"
        if len(shown) < len(names):
            counts = Counter(_sign(now.get(name)) for name in names)
            yield (
                f"`- of {len(names)}: {counts[_DONE]} done, {counts[_GOES_ON]} going"
                f" on, {counts[_FAILED]} failed, {counts[_WAITS]} waiting"
            )

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _sign(child: Mapping[str, Any] | None) -> str:
    if child is None:
        return _WAITS
    if child["status"] == "error":
        return _FAILED
    return _DONE if child["ended"] else _GOES_ON


def _state(child: Mapping[str, Any] | None) -> str:
    if child is None:
        return "waits"
    history = child["status_history"]
    message = history[-1].get("message") if history else ""
    verb = child["description"].partition(" ")[0]
    text = f"{verb}: {child['status']}"
    return f"{text} {' '.join(message.split())}" if message else text
