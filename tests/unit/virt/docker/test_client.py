# SPDX-License-Identifier: Apache-2.0
"""Errors of the daemon and of the way to it, as ours. The fake is at the wire."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
import time

import pytest

from nova_multi import exception
from nova_multi.virt.docker.client import Client, translated


class _Daemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: dict[str, tuple[int, object]] = {}

    def _answer(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while self.rfile.readline().strip() != b"0":
                pass
            self.rfile.readline()
        path = self.path.partition("?")[0].rpartition("/")[2]
        status, content = self.answers.get(path, (200, {}))
        if callable(content):
            content = content()
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815 (http.server's names)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def daemon(tmp_path):
    _Handler.answers = {"version": (200, {"ApiVersion": "1.41"})}
    server = _Daemon(str(tmp_path / "s"), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield _Handler.answers
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(tmp_path):
    return Client(f"unix://{tmp_path}/s", timeout=1, transfer_timeout=2)


@pytest.mark.parametrize("url", ["tcp://10.0.0.1:2375", "http://x", "ssh://x", ""])
def test_only_a_unix_socket(url):
    with pytest.raises(exception.ConfigurationError, match="unix"):
        Client(url, 1, 1)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, exception.GuestNotFound),
        (409, exception.EngineConflict),
        (400, exception.EngineError),
        (500, exception.EngineError),
    ],
)
def test_status(daemon, client, status, expected):
    daemon["info"] = (status, {"message": "the daemon's words"})
    with (
        pytest.raises(expected, match="ask it: the daemon's words") as caught,
        translated("ask it"),
    ):
        client.api().info()
    assert type(caught.value) is expected
    assert caught.value.status == status
    assert caught.value.engine == "docker"
    assert caught.value.__cause__ is not None


def test_status_means_what_the_call_says(daemon, client):
    daemon["info"] = (404, {"message": "x"})
    with (
        pytest.raises(exception.EngineImageNotFound),
        translated("x", missing=exception.EngineImageNotFound),
    ):
        client.api().info()
    daemon["info"] = (409, {"message": "x"})
    with (
        pytest.raises(exception.GuestExists),
        translated("x", conflict=exception.GuestExists),
    ):
        client.api().info()


def test_nobody_there(client):
    with pytest.raises(exception.EngineUnavailable), translated("ask it"):
        client.api()


def test_away_at_first_and_back_later(tmp_path, client):
    with pytest.raises(exception.EngineUnavailable), translated("ask it"):
        client.api()
    _Handler.answers = {"version": (200, {"ApiVersion": "1.41"})}
    server = _Daemon(str(tmp_path / "s"), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with translated("ask it"):
        client.api().info()
    server.shutdown()
    server.server_close()


def test_no_answer_in_time(daemon, client):
    daemon["info"] = (200, lambda: time.sleep(1.5))
    with pytest.raises(exception.EngineTimeout), translated("ask it"):
        client.api().info()


def test_no_answer_to_the_first_question(daemon, client):
    daemon["version"] = (200, lambda: time.sleep(1.5))
    with pytest.raises(exception.EngineTimeout), translated("ask it"):
        client.api()


def test_daemon_too_old(daemon, client):
    daemon["version"] = (200, {"ApiVersion": "1.30"})
    with (
        pytest.raises(exception.ConfigurationError, match="1.30"),
        translated("ask it"),
    ):
        client.api()


def test_loading_that_fails(daemon, client):
    daemon["load"] = (200, {"error": "no space left"})
    with (
        pytest.raises(exception.EngineError, match="no space left"),
        translated("load"),
    ):
        client.load(iter([b"x"]))


def test_loading(daemon, client):
    daemon["load"] = (200, {"stream": "Loaded image: x"})
    with translated("load"):
        client.load(iter([b"x", b"y"]))


def test_own_errors_pass():
    with pytest.raises(exception.ImageRejected), translated("x"):
        raise exception.ImageRejected("x")
