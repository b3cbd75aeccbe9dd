# SPDX-License-Identifier: Apache-2.0
"""How long a thread has waited for OpenStack, to be told apart from our own time."""

from __future__ import annotations

import threading
import time
from typing import Any

import requests
from keystoneauth1 import session


class _Waited(threading.local):
    seconds = 0.0


_waited = _Waited()


def seconds() -> float:
    """What the present thread has waited for answers since it began."""
    return _waited.seconds


class Adapter(session.TCPKeepAliveAdapter):
    """Transport of requests that counts the time until each answer begins."""

    def send(self, *arguments: Any, **given: Any) -> requests.Response:
        """Send a request; see requests."""
        started = time.monotonic()
        try:
            return super().send(*arguments, **given)
        finally:
            _waited.seconds += time.monotonic() - started
