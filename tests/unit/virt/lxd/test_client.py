# SPDX-License-Identifier: Apache-2.0
"""Requests to LXD and their errors, against a daemon that answers as it is told."""

import contextlib
import threading
import time

import pytest

from nova_multi import exception
from nova_multi.virt.lxd.client import LXDClient
from tests.fixtures.lxd_wire import Daemon, background, ended, error, sync


@pytest.fixture
def daemon(tmp_path):
    with Daemon(str(tmp_path / "s")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(daemon):
    return LXDClient(daemon.server_address, "ours", timeout=2)


def test_every_request_names_the_project(daemon, client):
    daemon.answers["GET", "/1.0/instances"] = sync([])
    assert client.get("instances", params={"recursion": "1"}) == []
    method, path, query, _, _ = daemon.seen[-1]
    assert (method, path) == ("GET", "/1.0/instances")
    assert set(query.split("&")) == {"recursion=1", "project=ours"}


def test_no_request_before_the_first_call(daemon):
    LXDClient(daemon.server_address, "ours", timeout=2)
    assert daemon.seen == []


def test_missing_object_keeps_its_status(client):
    with pytest.raises(exception.EngineError, match="not found") as caught:
        client.get("instances", "x")
    assert caught.value.status == 404
    assert caught.value.__cause__ is not None


def test_conflict(daemon, client):
    daemon.answers["POST", "/1.0/instances"] = error(409, "already there")
    with pytest.raises(exception.EngineConflict, match="already there"):
        client.change("post", "instances", json={})


def test_operation_is_waited_for(daemon, client):
    daemon.answers["POST", "/1.0/images"] = background("op")
    daemon.answers["GET", "/1.0/operations/op/wait"] = ended(
        200, metadata={"fingerprint": "f"}
    )
    assert client.change("post", "images", json={}) == {"fingerprint": "f"}
    assert "timeout=2" in daemon.seen[-1][2]


def test_operation_that_fails(daemon, client):
    daemon.answers["PUT", "/1.0/instances/x/state"] = background("op")
    daemon.answers["GET", "/1.0/operations/op/wait"] = ended(400, "no such device")
    with pytest.raises(exception.EngineError, match="no such device") as caught:
        client.change("put", "instances", "x", "state", json={})
    assert not isinstance(caught.value, exception.EngineTimeout)


def test_operation_that_does_not_end_is_cancelled(daemon, client):
    daemon.answers["PUT", "/1.0/instances/x/state"] = background("op")
    daemon.answers["GET", "/1.0/operations/op/wait"] = ended(103)
    with pytest.raises(exception.EngineTimeout):
        client.change("put", "instances", "x", "state", json={}, wait=7)
    assert [seen[:2] for seen in daemon.seen][-1] == ("DELETE", "/1.0/operations/op")
    assert "timeout=9" in daemon.seen[-2][2]


def test_daemon_that_hangs(daemon, client):
    client.get()
    daemon.answers["GET", "/1.0/instances"] = lambda: time.sleep(3) or sync([])
    begun = time.monotonic()
    with pytest.raises(exception.EngineTimeout):
        client.get("instances")
    assert time.monotonic() - begun < 2.9


def test_daemon_that_is_away_and_comes_back(tmp_path):
    path = str(tmp_path / "s")
    client = LXDClient(path, "ours", timeout=2)
    with pytest.raises(exception.EngineUnavailable):
        client.get()
    with Daemon(path) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        assert client.get()["environment"]["server_version"] == "5.0.2"
        server.shutdown()
        thread.join()


def test_change_of_something_that_has_changed(daemon, client):
    daemon.answers["GET", "/1.0/instances/x"] = sync({"name": "x"})
    daemon.answers["PUT", "/1.0/instances/x"] = error(412, "ETag doesn't match")
    record, etag = client.get_tagged("instances", "x")
    with pytest.raises(exception.EngineError) as caught:
        client.change("put", "instances", "x", json=record, etag=etag)
    assert caught.value.status == 412
    assert daemon.seen[-1][3]["If-Match"] == "tag-1"


def test_file_in_a_guest(daemon, client):
    daemon.answers["POST", "/1.0/instances/x/files"] = sync({})
    client.write_file("x", "/etc/hostname", "web\n", 0o644)
    _, _, query, headers, body = daemon.seen[-1]
    assert "path=%2Fetc%2Fhostname" in query
    assert (headers["X-LXD-mode"], headers["X-LXD-uid"]) == ("0644", "0")
    assert body == b"web\n"


def test_deleting_a_file_that_is_not_there(client):
    client.delete_file("x", "/etc/resolv.conf")


def test_download(daemon, client, tmp_path):
    daemon.answers["GET", "/1.0/images/f/export"] = 200, b"image" * 1000
    client.download_image("f", str(tmp_path / "image"))
    assert (tmp_path / "image").read_bytes() == b"image" * 1000


def test_errors_name_the_request(client):
    with pytest.raises(exception.EngineError, match="instances/web"):
        client.get("instances", "web")
    with contextlib.suppress(exception.EngineError):
        client.get()
