# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from nm import mirrors


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HTTPServer]:
    """An index of packages that answers what its `status` says."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(server.status)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/simple"
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("status", "fit"), [(200, True), (404, True), (503, False)])
def test_the_index_is_asked(index: HTTPServer, status: int, fit: bool) -> None:
    index.status = status  # type: ignore[attr-defined]
    assert (mirrors._check_python() == []) is fit


def test_an_index_that_is_away(index: HTTPServer) -> None:
    index.shutdown()
    index.server_close()
    (fault,) = mirrors._check_python()
    assert "cannot be reached" in fault
    assert str(index.server_port) in fault
