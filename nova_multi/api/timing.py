# SPDX-License-Identifier: Apache-2.0
"""What a request took, how much of it OpenStack, and how much the processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Of W3C's Server Timing; milliseconds.
HEADER = "Server-Timing"


class Timing:
    """WSGI middleware.

    ``Server-Timing: total;dur=31.0, openstack;dur=19.5, cpu;dur=9.8``. What is in none
    of the two parts was spent in waiting: for the database, and for requests of others
    that had the processor.

    :param waited: seconds that the present thread has waited for OpenStack so far.
    """

    def __init__(
        self, application: WSGIApplication, waited: Callable[[], float]
    ) -> None:
        self._application = application
        self._waited = waited

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        started, before = time.monotonic(), self._waited()
        worked = time.thread_time()

        def timed(
            status: str, headers: list[tuple[str, str]], *exc_info: Any
        ) -> Callable[[bytes], object]:
            total = 1000 * (time.monotonic() - started)
            openstack = 1000 * (self._waited() - before)
            cpu = 1000 * (time.thread_time() - worked)
            value = (
                f"total;dur={total:.1f}, openstack;dur={openstack:.1f},"
                f" cpu;dur={cpu:.1f}"
            )
            return start_response(status, [*headers, (HEADER, value)], *exc_info)

        return self._application(environ, timed)
