# SPDX-License-Identifier: Apache-2.0
"""VirtShell's signature: right ones are taken once, and nothing else is."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.virtshell import HEADER, sign
from tests.functional.api.stage import Stage

PATH = "/api/virtshell/v1/provisioners"
BODY = json.dumps({"name": "site", "image": "debian"}).encode()
MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture
def key(stage: Stage) -> tuple[str, str]:
    """An EC2 credential of a member of a project."""
    keystone = stage.cloud.keystone
    alice = keystone.add_user("alice", **{"p-lab": "member"})
    return keystone.add_credential(alice, "p-lab")


def send(
    stage: Stage,
    verb: str,
    path: str,
    headers: dict[str, str],
    body: bytes | None = None,
) -> Any:
    near = {"REMOTE_ADDR": "127.0.0.1"}
    return stage(verb, path, body, token=None, headers=headers, environ_overrides=near)


def test_a_signed_request_is_its_users(stage: Stage, key: tuple[str, str]) -> None:
    made = send(stage, "POST", PATH, sign(*key, "POST", PATH, body=BODY), BODY)
    assert made.status_code == 201, made.text
    assert stage.get(f"{PATH}/site")["created"]["by"]
    listed = send(stage, "GET", PATH, sign(*key, "GET", PATH))
    assert [each["name"] for each in listed.json["provisioners"]] == ["site"]
    # A member's roles, no more.
    answer = send(stage, "GET", "/v1/partitions", sign(*key, "GET", "/v1/partitions"))
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/v1/tasks?limit=5&status=pending",
        "/provisioners/",
        "/virtshell/api/v1/enviroments",
        "/api/virtsh/v1/tasks/status/setting%20up",
        "/v1/instances?name=w%2Bx",
    ],
)
def test_the_resource_is_what_is_sent(
    stage: Stage, key: tuple[str, str], path: str
) -> None:
    environ = {"REQUEST_URI": path, "REMOTE_ADDR": "127.0.0.1"}
    answer = stage(
        "GET",
        path,
        token=None,
        headers=sign(*key, "GET", path),
        environ_overrides=environ,
    )
    assert answer.status_code == 200, answer.text


Forge = Callable[[dict[str, Any], str, str], None]


def _forgeries() -> dict[str, Forge]:
    """What may differ between what was signed and what is sent."""

    def other(**changes: Any) -> Forge:
        return lambda sent, access, secret: sent.update(changes)

    def verb(sent: dict[str, Any], access: str, secret: str) -> None:
        sent["headers"] = sign(access, secret, "GET", PATH, body=BODY)

    def header(name: str, value: str) -> Forge:
        return lambda sent, access, secret: sent["headers"].update({name: value})

    def unknown(sent: dict[str, Any], access: str, secret: str) -> None:
        sent["headers"][HEADER] = sent["headers"][HEADER].replace(access, "0" * 32)

    def flipped(sent: dict[str, Any], access: str, secret: str) -> None:
        _, _, text = sent["headers"][HEADER].partition(":")
        first = "B" if text[0] == "A" else "A"
        sent["headers"][HEADER] = f"{access}:{first}{text[1:]}"

    def guessed(sent: dict[str, Any], access: str, secret: str) -> None:
        sent["headers"] = sign(access, "guessed", "POST", PATH, body=BODY)

    def empty_secret(sent: dict[str, Any], access: str, secret: str) -> None:
        sent["headers"] = sign("0" * 32, "", "POST", PATH, body=BODY)

    def body_and_digest(sent: dict[str, Any], access: str, secret: str) -> None:
        forged = b'{"name": "evil"}'
        digest = sign(access, "x", "POST", PATH, body=forged)["Content-MD5"]
        sent["body"] = forged
        sent["headers"]["Content-MD5"] = digest

    def without_digest(sent: dict[str, Any], access: str, secret: str) -> None:
        # Signed as if there was no body.
        sent["headers"] = sign(access, secret, "POST", PATH)

    return {
        "verb": verb,
        "path": other(path=f"{PATH}/"),
        "query": other(path=f"{PATH}?partition=x"),
        "body": other(body=b'{"name": "evil"}'),
        "body and digest": body_and_digest,
        "without digest": without_digest,
        "host": header("Host", "elsewhere"),
        "content type": header("Content-Type", "text/plain"),
        "date": header("Date", "Fri, 20 Nov 2026 14:00:00 +0000"),
        "unknown key": unknown,
        "flipped": flipped,
        "guessed secret": guessed,
        "empty secret": empty_secret,
        "no signature": header(HEADER, "x:"),
        "not base64": header(HEADER, "x:" + "!" * 28),
        "no colon": header(HEADER, "x"),
    }


@pytest.mark.parametrize("what", list(_forgeries()))
def test_forgeries(stage: Stage, key: tuple[str, str], what: str) -> None:
    sent: dict[str, Any] = {
        "verb": "POST",
        "path": PATH,
        "headers": sign(*key, "POST", PATH, body=BODY),
        "body": BODY,
    }
    _forgeries()[what](sent, *key)
    answer = send(stage, **sent)
    assert answer.status_code == 401, answer.text
    assert answer.json["error"]["code"] in ("unauthorized", "RequestTimeTooSkewed")
    assert stage.get("/v1/provisioners") == {"provisioners": []}


def test_once(stage: Stage, key: tuple[str, str]) -> None:
    headers = sign(*key, "GET", PATH)
    assert send(stage, "GET", PATH, headers).status_code == 200
    for _ in range(2):
        again = send(stage, "GET", PATH, headers)
        assert again.status_code == 401
        assert again.json["error"]["code"] == "replayed"
    # The same right in another spelling of the header is the same signature.
    headers[HEADER] = headers[HEADER] + " "
    assert send(stage, "GET", PATH, headers).status_code == 401
    # Another process of the API knows of it, too.
    headers = sign(*key, "GET", f"{PATH}?limit=2")
    assert send(stage, "GET", f"{PATH}?limit=2", headers).status_code == 200
    stage.client = stage.another_api()
    again = send(stage, "GET", f"{PATH}?limit=2", headers)
    assert (again.status_code, again.json["error"]["code"]) == (401, "replayed")


@pytest.mark.parametrize(
    ("off", "taken"),
    [(-16, False), (16, False), (-14, True), (14, True), (0, True)],
)
def test_dates(stage: Stage, key: tuple[str, str], off: int, taken: bool) -> None:
    date = datetime.datetime.now(datetime.UTC) + off * MINUTE
    answer = send(stage, "GET", PATH, sign(*key, "GET", PATH, date=date))
    if taken:
        assert answer.status_code == 200, answer.text
    else:
        assert answer.status_code == 401
        assert answer.json["error"]["code"] == "RequestTimeTooSkewed"


def test_a_user_without_the_project(stage: Stage, key: tuple[str, str]) -> None:
    stage.cloud.keystone.state["grants"].discard(
        ("p-lab", "users", "user-alice", "member")
    )
    answer = send(stage, "GET", PATH, sign(*key, "GET", PATH))
    assert answer.status_code in (401, 403), answer.text


def test_only_from_the_machine_itself_without_tls(
    stage: Stage, key: tuple[str, str]
) -> None:
    answer = stage(
        "GET",
        PATH,
        token=None,
        headers=sign(*key, "GET", PATH),
        environ_overrides={"REMOTE_ADDR": "198.51.100.7"},
    )
    assert answer.status_code in (401, 403), answer.text
