# SPDX-License-Identifier: Apache-2.0
"""The client at the wire: what it sends, and what it makes of answers."""

from __future__ import annotations

import io
from typing import Any

import pytest
import requests
from keystoneauth1 import adapter, session, token_endpoint
from keystoneauth1.identity import v3
from requests_mock import Mocker

from nova_multi.client import errors
from nova_multi.client.client import Client

ADDRESS = "http://provisioning.example/v1"


@pytest.fixture
def client() -> Client:
    auth = token_endpoint.Token(ADDRESS, "token")
    return Client(adapter.Adapter(session.Session(auth), service_type="provisioning"))


@pytest.fixture
def wire() -> Any:
    with Mocker() as found:
        yield found


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (lambda c: c.users.show("a b/c"), "GET", "/users/a%20b%2Fc", None),
        (lambda c: c.groups.create({"name": "g"}), "POST", "/groups", {"name": "g"}),
        (lambda c: c.hosts.set("h", {"os": "x"}), "PUT", "/hosts/h", {"os": "x"}),
        (lambda c: c.images.delete("i"), "DELETE", "/images/i", None),
        (
            lambda c: c.partitions.add_host("p", "h"),
            "PUT",
            "/partitions/p/host/h",
            None,
        ),
        (
            lambda c: c.partitions.remove_host("p", "h"),
            "DELETE",
            "/partitions/p/host/h",
            None,
        ),
        (
            lambda c: c.environments.partition("e"),
            "GET",
            "/environments/e/partition",
            None,
        ),
        (
            lambda c: c.instances.start("w"),
            "POST",
            "/instances/start_instance/w",
            {},
        ),
        (
            lambda c: c.instances.clone("w", "x"),
            "POST",
            "/instances/clone_instance/w",
            {"name": "x"},
        ),
        (lambda c: c.files.content("f"), "GET", "/file/f", None),
    ],
)
def test_requests(
    client: Client, wire: Any, call: Any, method: str, path: str, body: Any
) -> None:
    wire.register_uri(method, ADDRESS + path, json={"answer": 1})
    assert call(client) == {"answer": 1}
    request = wire.last_request
    assert request.headers["X-Auth-Token"] == "token"
    assert request.headers["Accept"] == "application/json"
    assert (request.json() if request.body else None) == body


def test_a_list_follows_its_pages(client: Client, wire: Any) -> None:
    link = {"Link": '</v1/users?limit=2&marker=b>; rel="next"'}
    wire.get(
        f"{ADDRESS}/users?type=regular",
        json={"users": [{"username": "a"}, {"username": "b"}]},
        headers=link,
    )
    wire.get(f"{ADDRESS}/users?marker=b", json={"users": [{"username": "c"}]})
    found = client.users.list(type="regular", login=None)
    assert [user["username"] for user in found] == ["a", "b", "c"]
    assert "login" not in wire.request_history[0].qs
    assert wire.last_request.qs["type"] == ["regular"]


def test_a_list_stops_at_its_limit(client: Client, wire: Any) -> None:
    link = {"Link": '<?marker=b>; rel="next"'}
    users = [{"username": "a"}, {"username": "b"}]
    wire.get(f"{ADDRESS}/users", json={"users": users}, headers=link)
    assert client.users.list(limit=2) == users
    assert wire.call_count == 1


def test_uploads_are_forms(client: Client, wire: Any) -> None:
    wire.post(f"{ADDRESS}/files", json={})
    client.files.upload("a.txt", io.BytesIO(b"content"), {"folder_name": "x"})
    request = wire.last_request
    assert request.headers["Content-Type"].startswith("multipart/form-data")
    sent = b"".join(request.body)
    assert b'name="file"; filename="a.txt"' in sent
    assert len(request.body) == len(sent) and b"content" in sent
    # Asked again, after a token has gone, it is the same.
    assert b"".join(request.body) == sent
    assert b'name="folder_name"' in sent


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Invalid),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.RequestError),
        (500, errors.RequestError),
        (501, errors.Unsupported),
        (503, errors.Unavailable),
    ],
)
def test_refusals(client: Client, wire: Any, status: int, kind: Any) -> None:
    details = [{"field": "name", "message": "m"}]
    body = {"error": {"code": "c", "message": "m", "details": details}}
    headers = {"x-openstack-request-id": "req-1", "Retry-After": "7"}
    wire.get(f"{ADDRESS}/users/a", status_code=status, json=body, headers=headers)
    with pytest.raises(errors.RequestError) as raised:
        client.users.show("a")
    error = raised.value
    assert type(error) is kind
    assert (error.code, error.message, error.status) == ("c", "m", status)
    assert error.details == tuple(details) and error.request_id == "req-1"
    if isinstance(error, errors.Unavailable):
        assert error.retry_after == 7


@pytest.mark.parametrize("text", ["<html>", "[]", '{"error": "text"}', "null", ""])
def test_refusals_of_somebody_else(client: Client, wire: Any, text: str) -> None:
    wire.get(f"{ADDRESS}/users/a", status_code=503, text=text, reason="Away")
    with pytest.raises(errors.Unavailable, match="503 Away"):
        client.users.show("a")


def test_an_answer_of_somebody_else(client: Client, wire: Any) -> None:
    wire.get(f"{ADDRESS}/users/a", text="<html>")
    with pytest.raises(errors.RequestError, match="does not answer as"):
        client.users.show("a")


def test_nobody_there(client: Client, wire: Any) -> None:
    wire.get(f"{ADDRESS}/users/a", exc=requests.ConnectionError)
    with pytest.raises(errors.Unavailable) as raised:
        client.users.show("a")
    assert raised.value.status is None and raised.value.code == "no_answer"


def test_no_service_in_the_catalog(wire: Any) -> None:
    wire.get("http://k/v3", json={"version": {"id": "v3.14", "links": []}})
    wire.post(
        "http://k/v3/auth/tokens",
        headers={"X-Subject-Token": "t"},
        json={
            "token": {
                "expires_at": "2099-01-01T00:00:00Z",
                "methods": ["password"],
                "user": {"id": "u", "name": "u", "domain": {"id": "d", "name": "d"}},
                "catalog": [],
            }
        },
    )
    auth = v3.Password("http://k/v3", username="u", password="p", user_domain_id="d")
    found = adapter.Adapter(session.Session(auth), service_type="provisioning")
    with pytest.raises(errors.Unavailable) as raised:
        Client(found).users.list()
    assert raised.value.code == "no_endpoint"


class Clock:
    """Time that passes only where the client sleeps."""

    def __init__(self, monkeypatch: Any) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("time.sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def _task(status: str, ended: bool = False, message: str = "") -> dict[str, Any]:
    history = [{"status": status, "at": "2026-11-20T12:00:00Z", "message": message}]
    return {"uuid": "t", "status": status, "ended": ended, "status_history": history}


@pytest.fixture
def clock(monkeypatch: Any) -> Clock:
    return Clock(monkeypatch)


def test_waiting(client: Client, wire: Any, clock: Clock) -> None:
    tasks = [_task("pending")] * 20 + [_task("created", True)]
    wire.get(f"{ADDRESS}/tasks/t", [{"json": task} for task in tasks])
    seen: list[str] = []
    task = client.tasks.wait("t", watcher=lambda task: seen.append(task["status"]))
    assert task["status"] == "created"
    assert len(seen) == 21 and seen[-1] == "created"
    assert clock.slept[0] < 0.5 and max(clock.slept) == 2


def test_waiting_for_a_failure(client: Client, wire: Any, clock: Clock) -> None:
    wire.get(f"{ADDRESS}/tasks/t", json=_task("error", True, "no host"))
    with pytest.raises(errors.TaskFailed, match="no host") as raised:
        client.tasks.wait("t")
    assert raised.value.task["uuid"] == "t"


def test_waiting_has_an_end(client: Client, wire: Any, clock: Clock) -> None:
    wire.get(f"{ADDRESS}/tasks/t", json=_task("creating"))
    with pytest.raises(errors.TaskTimeout, match="creating after 30 s"):
        client.tasks.wait("t", timeout=30)
    assert 25 < clock.now <= 30


def test_waiting_outlasts_a_pause_of_the_service(
    client: Client, wire: Any, clock: Clock
) -> None:
    wire.get(
        f"{ADDRESS}/tasks/t",
        [
            {"json": _task("creating")},
            {"status_code": 503, "headers": {"Retry-After": "9"}, "text": ""},
            {"exc": requests.ConnectionError},
            {"json": _task("created", True)},
        ],
    )
    assert client.tasks.wait("t", timeout=60)["status"] == "created"
    assert 9 in clock.slept


def test_waiting_for_nobody(client: Client, wire: Any, clock: Clock) -> None:
    wire.get(f"{ADDRESS}/tasks/t", exc=requests.ConnectionError)
    with pytest.raises(errors.Unavailable):
        client.tasks.wait("t")
    with pytest.raises(errors.TaskTimeout):
        client.tasks.wait("t", timeout=20)
