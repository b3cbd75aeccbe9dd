# SPDX-License-Identifier: Apache-2.0
"""The time that goes into waiting for answers."""

import threading

import pytest
import requests
from keystoneauth1 import session

from nova_multi.cloud import waiting


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by three seconds with each answer."""
    now = [100.0]

    def send(self, *arguments, **given):
        now[0] += 3
        if given.get("fails"):
            raise requests.ConnectionError("nobody there")
        return requests.Response()

    monkeypatch.setattr(session.TCPKeepAliveAdapter, "send", send)
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])


def test_each_thread_has_its_own_waiting(clock):
    adapter, before = waiting.Adapter(), waiting.seconds()
    adapter.send(None)
    with pytest.raises(requests.ConnectionError):
        adapter.send(None, fails=True)
    assert waiting.seconds() - before == 6
    others = []
    thread = threading.Thread(target=lambda: others.append(waiting.seconds()))
    thread.start()
    thread.join()
    assert others == [0]
