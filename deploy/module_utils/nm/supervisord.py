# SPDX-License-Identifier: Apache-2.0
"""supervisord with a poller that forgets closed files; runs where supervisor is.

supervisor 4.3.0 goes on polling a file that was closed when its number has been
given away again before the next poll: here the connection of an XML-RPC call, and
the standard input of the program that this call started. Where that program closes
its input the poll then returns at once for ever, and supervisord takes a whole core
(https://github.com/Supervisor/supervisor/issues/807).
"""

from __future__ import annotations

import select
import sys

_READ = select.POLLIN | select.POLLPRI | select.POLLHUP
#: Told by the kernel unasked, and to be handled as what was asked for.
_TROUBLE = select.POLLERR | select.POLLHUP


class Poller:
    """Polls what was registered since the last poll, and nothing older.

    supervisord's main loop registers every file of interest in each of its rounds, so
    nothing has to be kept, and nothing can go stale.
    """

    def __init__(self, options: object) -> None:
        self._wanted: dict[int, int] = {}

    def register_readable(self, fd: int) -> None:
        """Ask for the next poll to tell when this file can be read."""
        self._wanted[fd] = self._wanted.get(fd, 0) | _READ

    def register_writable(self, fd: int) -> None:
        """Ask for the next poll to tell when this file can be written."""
        self._wanted[fd] = self._wanted.get(fd, 0) | select.POLLOUT

    def unregister_readable(self, fd: int) -> None:
        """Nothing: what was registered is forgotten by then."""

    def unregister_writable(self, fd: int) -> None:
        """Nothing: what was registered is forgotten by then."""

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        """Wait until something can be done.

        :param timeout: seconds.
        :returns: files that can be read, and those that can be written.
        """
        wanted, self._wanted = self._wanted, {}
        poller = select.poll()
        for fd, events in wanted.items():
            poller.register(fd, events)
        readable, writable = [], []
        for fd, event in poller.poll(timeout * 1000):
            if wanted[fd] & _READ and event & (_READ | _TROUBLE):
                readable.append(fd)
            if wanted[fd] & select.POLLOUT and event & (select.POLLOUT | _TROUBLE):
                writable.append(fd)
        return readable, writable

    def before_daemonize(self) -> None:
        """Nothing: no file of its own is open between polls."""

    def after_daemonize(self) -> None:
        """Nothing: no file of its own is open between polls."""

    def close(self) -> None:
        """Nothing: no file of its own is open between polls."""


def main() -> None:
    """Become supervisord, with its command line."""
    from supervisor import poller, supervisord

    poller.Poller = Poller
    supervisord.main()


if __name__ == "__main__":
    sys.exit(main())
