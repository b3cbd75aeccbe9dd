# SPDX-License-Identifier: Apache-2.0
"""How far a task has come: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

_CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Tells about one task; a context, so that a live line never stays half written.

    :param label: what the task is about, such as an instance's name.
    :param stream: standard error, so that formatted output stays clean.
    """

    def __init__(
        self,
        label: str,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._stream = stream
        self._clock = clock
        self._start = clock()
        self._live = stream.isatty()
        self._told: dict[str, str] = {}

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._write(_CLEAR_LINE)

    def __call__(self, task: Mapping[str, Any]) -> None:
        """Tell what is new in a task."""
        history = task.get("status_history") or [{"status": task["status"]}]
        if self._live:
            self._line(task, history)
            return
        for change in history:
            # What was heard of late stands before what was told already.
            status, message = change["status"], change.get("message") or ""
            if self._told.get(status) == message:
                continue
            # The guest says anew what it is doing; the time is that of the status.
            at = "" if status in self._told else str(change.get("at", ""))
            self._told[status] = message
            words = [at, f"{self._label}: {status}", f"({message})" if message else ""]
            self._write(" ".join(word for word in words if word) + "\n")

    def _line(self, task: Mapping[str, Any], history: list[Any]) -> None:
        seconds = int(self._clock() - self._start)
        text = f"{self._label}: {task['status']} ({seconds} s)"
        if message := history[-1].get("message"):
            text = f"{text} {message}"
        width = shutil.get_terminal_size().columns - 1
        self._write(_CLEAR_LINE + " ".join(text.split())[:width])

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
