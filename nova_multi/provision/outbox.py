# SPDX-License-Identifier: Apache-2.0
"""Sends in the background, so that nobody who asks for something waits for the bus."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
from collections.abc import Callable

LOG = logging.getLogger(__name__)

#: What may wait to be sent; more is refused.
_MOST = 1000
#: Seconds that the end of a process waits for what is not sent yet.
_LAST_WORDS = 5.0

_Letter = Callable[[], None]


class Outbox:
    """One thread that sends what it is given, in that order.

    The thread begins with the first letter, in each process that has come from a fork.

    :param name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._process = 0
        self._letters: queue.Queue[_Letter] = queue.Queue(_MOST)
        os.register_at_fork(after_in_child=self._born)
        atexit.register(self.flush, _LAST_WORDS)

    def send(self, letter: _Letter) -> bool:
        """Have it called soon; it has to mind its own errors.

        :returns: False if too much is waiting already: it won't be sent.
        """
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        try:
            self._letters.put_nowait(letter)
        except queue.Full:
            return False
        return True

    def flush(self, seconds: float) -> bool:
        """Wait until everything is sent, but no longer than that.

        :returns: whether it is.
        """
        if self._process != os.getpid():
            return True
        done = threading.Event()
        return self.send(done.set) and done.wait(seconds)

    def _born(self) -> None:
        # What waits is the parent's to send, and its thread may hold any lock.
        self._lock = threading.Lock()
        self._letters = queue.Queue(_MOST)

    def _run(self) -> None:
        letters = self._letters
        while True:
            letter = letters.get()
            try:
                letter()
            except Exception:
                LOG.exception("%s", self._name)
