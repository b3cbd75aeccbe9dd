# SPDX-License-Identifier: Apache-2.0
"""How workers hear that there is something to do. The database is the queue: a signal
that is lost costs time, never work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Signals(Protocol):
    """Wakes workers, wherever they run; never fails and never waits."""

    def work(self) -> None:
        """There is a new task."""

    def wake(self, task_uuid: str) -> None:
        """Something happened that the task may be waiting for."""


class Local:
    """Wakes the worker of the same process, if there is one."""

    def __init__(self) -> None:
        self.on_work: Callable[[], None] | None = None
        self.on_wake: Callable[[str], None] | None = None

    def work(self) -> None:
        if self.on_work:
            self.on_work()

    def wake(self, task_uuid: str) -> None:
        if self.on_wake:
            self.on_wake(task_uuid)
