# SPDX-License-Identifier: Apache-2.0
"""Fetching what users name: from outside, and from nowhere else."""

import http.server
import itertools
import threading
import types

import pytest

from nova_multi.domain.errors import Invalid, Unavailable
from nova_multi.provision import fetch

OUTSIDE = "93.184.216.34"


def to(*addresses):
    """A resolver that knows one answer."""
    return lambda host, port: list(addresses)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a",
        "file:///etc/passwd",
        "gopher://example.org",
        "http:///nothing",
        "nothing",
        "https://user:secret@example.org/a",
        "https://example.org:port/",
    ],
)
def test_urls_that_are_refused(url):
    with pytest.raises(Invalid) as caught:
        fetch.checked(url, frozenset(), to(OUTSIDE))
    assert caught.value.field == "download_url"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::808:808",
    ],
)
def test_places_inside_are_refused(address):
    for answer in (to(address), to(OUTSIDE, address)):
        with pytest.raises(Invalid) as caught:
            fetch.checked("http://example.org/", frozenset(), answer)
        assert caught.value.code == "private_host"


def test_the_operator_may_allow_a_place():
    for allowed in ("10.1.2.3", "images.lan"):
        _, address = fetch.checked(
            "http://images.lan/a", frozenset({allowed}), to("10.1.2.3")
        )
        assert address == "10.1.2.3"


def test_places_outside_behind_a_gateway():
    behind = "64:ff9b::93.184.216.34"
    _, address = fetch.checked("http://example.org/", frozenset(), to(behind))
    assert address == behind


def test_a_name_that_is_unknown_just_now():
    def resolver(host, port):
        raise OSError("no such name")

    with pytest.raises(Unavailable):
        fetch.checked("http://example.org/", frozenset(), resolver)


class Handler(http.server.BaseHTTPRequestHandler):
    """A server with a few odd places."""

    def do_GET(self):
        if self.path == "/inside":
            self.send_response(302)
            self.send_header("Location", "http://metadata.lan/latest")
            self.end_headers()
        elif self.path == "/round":
            self.send_response(302)
            self.send_header("Location", "/round")
            self.end_headers()
        elif self.path == "/moved":
            self.send_response(301)
            self.send_header("Location", "/image")
            self.end_headers()
        elif self.path == "/image":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 3_000_000)
        elif self.path == "/dripping":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"x" * 5)
            assert self.arrived.wait(60)
            self.wfile.write(b"x" * 5)
        elif self.path == "/nowhere":
            self.send_response(302)
            self.send_header("Location", "http://[::1/")
            self.end_headers()
        elif self.path in ("/endless", "/headers"):
            self.send_response(200)
            if self.path == "/endless":
                self.end_headers()
            else:
                self.flush_headers()
            # Each byte comes long before anybody gives up waiting for it.
            for _ in range(600):
                if self.arrived.wait(0.05):
                    break
                try:
                    self.wfile.write(b"x")
                except OSError:
                    break
        elif self.path == "/lying":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"x" * 5)
        else:
            self.send_response(404)
            self.end_headers()

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.arrived = threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://images.lan:{server.server_port}"
    Handler.arrived.set()
    server.shutdown()
    thread.join()
    server.server_close()


ALLOWED = frozenset({"images.lan"})
HERE = to("127.0.0.1")


def get(url, limit=10**7, seconds=60.0):
    with fetch.opened(url, ALLOWED, limit, seconds, HERE) as pieces:
        return sum(len(piece) for piece in pieces)


def test_content_in_pieces(server):
    assert get(f"{server}/image") == 3_000_000
    assert get(f"{server}/moved") == 3_000_000


def test_too_much(server):
    with pytest.raises(Invalid, match="more than 1000000 bytes"):
        get(f"{server}/image", 1_000_000)


def test_a_redirect_to_the_inside_is_refused(server):
    with pytest.raises(Invalid) as caught:
        get(f"{server}/inside")
    assert caught.value.code == "private_host"


def test_redirects_end(server):
    with pytest.raises(Invalid, match="redirects"):
        get(f"{server}/round")


def test_what_is_not_there(server):
    with pytest.raises(Invalid, match="404"):
        get(f"{server}/nothing")


def test_what_breaks_off(server):
    with pytest.raises(Unavailable):
        get(f"{server}/lying")


def test_what_is_too_slow_is_given_up(server, monkeypatch):
    clock = itertools.chain([0.0], itertools.repeat(100_000.0))
    patched = types.SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr(fetch, "time", patched)
    with pytest.raises(Unavailable, match="too slow"):
        get(f"{server}/image")


@pytest.mark.parametrize("path", ["endless", "headers"])
def test_what_drips_is_cut_off(server, path):
    with pytest.raises(Invalid, match="took more than"):
        get(f"{server}/{path}", seconds=0.5)


def test_the_rate_is_that_of_the_present(server, monkeypatch):
    # The first megabyte comes at once, the second one byte in a minute.
    class Response:
        headers = {}
        left = [b"x" * fetch._CHUNK, *[b"x"] * 100]

        def read1(self, _):
            clock[0] += 0 if len(self.left[0]) > 1 else 59
            return self.left.pop(0)

    clock = [0.0]
    patched = types.SimpleNamespace(monotonic=lambda: clock[0])
    monkeypatch.setattr(fetch, "time", patched)
    deadline = fetch._Deadline(60)
    with pytest.raises(Unavailable, match="too slow"):
        for _ in fetch._pieces(Response(), 10**9, deadline):
            pass
    deadline.close()
    assert len(Response.left) > 90


def test_who_takes_the_pieces_may_be_slow(server, monkeypatch):
    clock = [0.0]
    patched = types.SimpleNamespace(monotonic=lambda: clock[0])
    monkeypatch.setattr(fetch, "time", patched)
    with fetch.opened(f"{server}/image", ALLOWED, 10**7, 60.0, HERE) as pieces:
        for _ in pieces:
            clock[0] += 1000


def test_without_asking_only_addresses_are_known():
    for url in ("http://10.1.2.3/", "http://[::1]/", "http://[64:ff9b::10.0.0.1]/"):
        with pytest.raises(Invalid) as caught:
            fetch.screened(url, frozenset())
        assert caught.value.code == "private_host"
    fetch.screened("http://10.1.2.3/", frozenset({"10.1.2.3"}))
    fetch.screened("http://images.lan/", frozenset())


def test_a_redirect_to_no_url(server):
    with pytest.raises(Invalid, match="no URL"):
        get(f"{server}/nowhere")


def test_what_comes_is_not_waited_for_until_it_is_much(server):
    url = f"{server}/dripping"
    with fetch.opened(url, ALLOWED, 100, 60.0, HERE) as pieces:
        assert next(pieces) == b"x" * 5
        Handler.arrived.set()
        assert b"".join(pieces) == b"x" * 5


def test_nobody_there():
    with pytest.raises(Unavailable):
        get("http://images.lan:1/")
