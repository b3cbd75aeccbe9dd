# SPDX-License-Identifier: Apache-2.0
"""Who may do what, and how they prove who they are."""

from __future__ import annotations

import base64
import datetime
import email.utils
import hashlib
import hmac
import io
import pathlib
from typing import Any

import pytest
from keystonemiddleware import auth_token
from keystonemiddleware.auth_token import _exceptions as ksm_exceptions
from keystonemiddleware.auth_token import _identity
from oslo_policy import policy
from werkzeug.test import Client

from nova_multi.api import policies
from nova_multi.api.app import create_app
from nova_multi.api.routes import all_routes
from tests.unit.api.conftest import Api, make_conf

#: Keystone's own way of looking at a token, before a fixture replaces it.
FETCH_TOKEN = auth_token.AuthProtocol.fetch_token
ADMINS = {"users", "groups", "partitions", "hosts"}
PUBLIC = {"/healthcheck"}


def _path(route: Any) -> str:
    values = {"name": "x", "hostname": "x", "uuid": "x", "status": "pending"}
    return str(route.path.format(**values))


ROUTES = [route for route in all_routes() if route.path not in PUBLIC]
IDS = [route.endpoint for route in ROUTES]


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_every_route_asks_for_a_token(api: Api, route: Any) -> None:
    answer = api(route.method, _path(route), token=None)
    assert api.error(answer, 401)["code"] == "unauthorized"
    assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")
    api.error(api(route.method, _path(route), token="unknown"), 401)


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_every_route_asks_for_a_role(api: Api, route: Any) -> None:
    error = api.error(api(route.method, _path(route), token="stranger-token"), 403)
    assert error["message"] == f"policy does not allow {route.policy} with your roles"
    api.error(api(route.method, _path(route), token="unscoped-token"), 403)


#: All but the one that is for an account of Nova.
OF_USERS = [route for route in ROUTES if route.path != "/vendordata"]


@pytest.mark.parametrize("route", OF_USERS, ids=lambda route: route.endpoint)
def test_roles(api: Api, route: Any) -> None:
    noun = route.path.split("/")[1]
    admins = noun in ADMINS or route.policy == "multi:environment:hosts"
    reads = route.method == "GET" or route.policy == "multi:environment:plan"
    may = {"reader-token": not admins and reads, "member-token": not admins}
    for token, allowed in may.items():
        answer = api(route.method, _path(route), token=token)
        assert (answer.status_code != 403) == allowed, answer.json
    assert api(route.method, _path(route)).status_code != 403


def test_the_service_is_told_who_may_change_things(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, told = api.service.environments.plan, []

    def noted(caller: Any, *given: Any) -> Any:
        told.append((caller.member, caller.admin))
        return plan(caller, *given)

    monkeypatch.setattr(api.service.environments, "plan", noted)
    for token in ("reader-token", "member-token", "admin-token"):
        answer = api("POST", "/environments/plan", {"name": "dev"}, token=token)
        assert answer.status_code == 200
    assert told == [(False, False), (True, False), (True, True)]


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("metadata-token", 200),
        # Another service of Nova, such as nova-compute.
        ("nova-token", 403),
        # Somebody who has the name, and not the role.
        ("namesake-token", 403),
        ("admin-token", 403),
        ("member-token", 403),
        (None, 401),
    ],
)
def test_only_the_metadata_service_is_told_what_guests_are_given(
    api: Api, token: str | None, status: int
) -> None:
    body = {"instance-id": "server-1", "project-id": "project-1"}
    answer = api("POST", "/vendordata", body, token=token)
    assert answer.status_code == status
    assert ("nova_multi_payload" in answer.json) == (status == 200)


def test_a_signature_is_nothing_to_be_told_what_guests_are_given_by(api: Api) -> None:
    """A request that is signed has no name, whatever headers it has."""
    headers = {"X-User-Name": "nova-metadata", "X-Roles": "service"}
    body = {"instance-id": "server-1", "project-id": "project-1"}
    answer = api("POST", "/vendordata", body, token="member-token", headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"instance-id": "server-1"},
        {"instance-id": 1, "project-id": "project-1"},
        {"instance-id": "", "project-id": "project-1"},
        {"instance-id": "x" * 65, "project-id": "project-1"},
        {"instance-id": "a\nb", "project-id": "project-1"},
    ],
)
def test_what_is_no_request_of_nova(api: Api, body: Any) -> None:
    answer = api("POST", "/vendordata", body, token="metadata-token")
    api.error(answer, 400)


def test_the_rest_of_novas_request_is_left_alone(api: Api) -> None:
    body = {
        "instance-id": "server-2",
        "project-id": "project-1",
        "image-id": "i",
        "user-data": "IyEvYmluL3No",
        "hostname": "web",
        "metadata": {"nova_multi_task": "server-1"},
        "boot-roles": "",
    }
    answer = api("POST", "/vendordata", body, token="metadata-token")
    assert (answer.status_code, answer.json) == (200, {})


def test_only_administrators_name_the_node(api: Api) -> None:
    body = {"name": "web", "node": "node1"}
    error = api.error(api("POST", "/instances", body, token="member-token"), 403)
    assert "multi:instance:node" in error["message"]
    assert api.service.instances.items == {}
    assert api("POST", "/instances", body).status_code == 202


def test_only_operators_give_limits_to_environments(api: Api) -> None:
    api("POST", "/partitions", {"name": "co"})
    body = {"name": "dev", "partition": "co", "limits": {}}
    error = api.error(api("POST", "/environments", body, token="member-token"), 403)
    assert "multi:environment:limits" in error["message"]
    assert api.service.environments.items == {}
    assert api("POST", "/environments", body).status_code in (201, 202)
    for limits in ({}, {"cpus": 64}):
        body = {"limits": limits, "description": "mine"}
        answer = api("PUT", "/environments/dev", body, token="member-token")
        assert "multi:environment:limits" in api.error(answer, 403)["message"]
        assert api("PUT", "/environments/dev", body).status_code in (200, 202)
    body = {"description": "mine"}
    answer = api("PUT", "/environments/dev", body, token="member-token")
    assert answer.status_code in (200, 202)


def test_only_operators_name_the_users_of_environments(api: Api) -> None:
    """Whether there is a user would be told to whoever may ask."""
    api("POST", "/partitions", {"name": "co"})
    body = {"name": "dev", "partition": "co", "users": ["alice"]}
    for user in ("alice", "nobody"):
        changed = {"users": [user]}
        for method, path, asked in (
            ("POST", "/environments", body | changed),
            ("PUT", "/environments/dev", changed),
        ):
            error = api.error(api(method, path, asked, token="member-token"), 403)
            assert "multi:environment:users" in error["message"]
    assert api.service.environments.items == {}
    assert api("POST", "/environments", body).status_code in (201, 202)


def test_a_refusal_does_not_tell_what_exists(api: Api) -> None:
    api("POST", "/partitions", {"name": "co"})
    answers = [
        api("GET", f"/partitions/{name}", token="member-token").json
        for name in ("co", "nothing")
    ]
    assert answers[0] == answers[1]


def test_headers_of_the_middleware_can_not_be_forged(api: Api) -> None:
    forged = {
        "X-Identity-Status": "Confirmed",
        "X-User-Id": "root",
        "X-Project-Id": "project",
        "X-Roles": "admin",
    }
    api.error(api("GET", "/users", token=None, headers=forged), 401)
    answer = api("GET", "/users", token="reader-token", headers=forged)
    api.error(answer, 403)


def test_the_service_learns_who_asks(api: Api) -> None:
    answer = api(
        "POST",
        "/instances",
        {"name": "web"},
        token="member-token",
        environ_overrides={"REMOTE_ADDR": "192.0.2.7"},
    )
    (caller,) = api.service.callers
    assert (caller.user_id, caller.project_id) == ("user", "project")
    assert caller.roles == {"member", "reader"}
    assert caller.remote_address == "192.0.2.7"
    assert caller.request_id == answer.headers["x-openstack-request-id"]


def test_keystone_away(api: Api, monkeypatch: Any) -> None:
    def verify(*_: Any, **__: Any) -> None:
        raise ksm_exceptions.ServiceError("away")

    monkeypatch.setattr(auth_token.AuthProtocol, "fetch_token", FETCH_TOKEN)
    monkeypatch.setattr(_identity.IdentityServer, "verify_token", verify)
    answer = api("GET", "/users", token="another")
    assert api.error(answer, 503)["code"] == "unavailable"
    assert int(answer.headers["Retry-After"]) > 0
    assert api("GET", "/healthcheck").status_code == 200


def test_public_routes_are_the_ones_without_a_policy() -> None:
    from nova_multi.api import app

    public = {route.path for route in all_routes() if route.policy is None}
    assert public | {"/", "/openapi.json"} == app._PUBLIC


def test_policies_and_routes_agree() -> None:
    rules = {
        rule.name: {(op["method"], op["path"]) for op in rule.operations}
        for rule in policies.list_rules()
        if isinstance(rule, policy.DocumentedRuleDefault)
    }
    used: dict[str, set[tuple[str, str]]] = {}
    for route in ROUTES:
        for name in (route.policy, *route.field_policies.values()):
            used.setdefault(name, set()).add((route.method, route.path))
    used["multi:image:create"].discard(("PUT", "/images"))
    used["multi:instance:node"].discard(("PUT", "/images"))
    assert rules == used
    assert all(len(rule.description) > 10 for rule in policies.list_rules())


def test_an_operator_changes_a_rule(
    tokens: Any, service: Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "policy.yaml").write_text('"multi:partition:list": "rule:reader"\n')
    conf = make_conf(tmp_path, f"[oslo_policy]\npolicy_file = {tmp_path}/policy.yaml\n")
    api = Api(Client(create_app(conf, service)), service)
    assert api("GET", "/partitions", token="reader-token").status_code == 200
    assert api("GET", "/partitions/x", token="reader-token").status_code == 403


def test_who_sees_everything_is_the_policys_to_say(
    tokens: Any, service: Any, tmp_path: pathlib.Path
) -> None:
    """Not the name of a role's."""
    (tmp_path / "own.yaml").write_text('"admin": "role:janitor"\n')
    own = f"[oslo_policy]\npolicy_file = {tmp_path}/own.yaml\n"
    found = []
    for text, tokens_asking in (
        ("", ("admin-token", "member-token")),
        (own, ("admin-token", "member-token", "stranger-token")),
    ):
        api = Api(Client(create_app(make_conf(tmp_path, text), service)), service)
        for token in tokens_asking:
            body = {"name": f"web{len(found)}"}
            assert api("POST", "/instances", body, token=token).status_code == 202
            found.append((token, service.callers[-1].admin))
    assert found == [
        ("admin-token", True),
        ("member-token", False),
        ("admin-token", False),
        ("member-token", False),
        ("stranger-token", True),
    ]


def test_in_an_ordinary_users_project_members_make_partitions(
    tokens: Any, service: Any, tmp_path: pathlib.Path
) -> None:
    body = {"name": "p1"}
    for text, status in (("", 403), ("[cloud]\nsingle_cloud = mine\n", 201)):
        api = Api(Client(create_app(make_conf(tmp_path, text), service)), service)
        answer = api("POST", "/partitions", body, token="member-token")
        assert answer.status_code == status
    assert api("GET", "/partitions", token="reader-token").status_code == 403
    assert api("GET", "/users", token="member-token").status_code == 403


def test_a_caller_of_another_project_than_the_services_only_one(api: Api) -> None:
    api.service.only_project = "elsewhere"
    error = api.error(api("GET", "/tasks"), 403)
    assert error["code"] == "other_project"
    assert api("GET", "/healthcheck", token=None).status_code == 200


def test_the_enforcer_for_tools() -> None:
    assert "multi:task:list" in policies.get_enforcer().registered_rules


class Signer:
    """VirtShell's client, written from its documentation alone."""

    def __init__(self, api: Api, secret: str = "secret", key: str = "alice") -> None:
        self.api = api
        self.secret = secret
        self.key = key

    def headers(
        self,
        method: str,
        resource: str,
        body: bytes = b"",
        kind: str = "",
        shift: float = 0.0,
        host: str = "localhost",
    ) -> dict[str, str]:
        moment = datetime.datetime.now(datetime.UTC).timestamp() + shift
        date = email.utils.formatdate(moment, usegmt=True)
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode() if body else ""
        text = f"{method}\n{host}\n{md5}\n{kind}\n{date}\n{resource}\n"
        mac = hmac.new(self.secret.encode(), text.encode(), "sha1").digest()
        signature = base64.b64encode(mac).decode()
        found = {"Date": date, "X-VirtShell-Authorization": f"{self.key}:{signature}"}
        if md5:
            found["Content-MD5"] = md5
        return found

    def __call__(
        self, method: str, resource: str, body: bytes = b"", **more: Any
    ) -> Any:
        environ = more.pop("environ", {"REMOTE_ADDR": "127.0.0.1"})
        sent = more.pop("sent", body)
        extra = more.pop("extra", {})
        headers = {**self.headers(method, resource, body, **more), **extra}
        return self.api(
            method,
            more.get("sent_resource", resource),
            sent or None,
            token=None,
            headers={name: value for name, value in headers.items() if value},
            environ_overrides=environ,
            content_type=more.get("kind") or None,
        )


@pytest.fixture
def sign(tokens: Any, service: Any, tmp_path: pathlib.Path) -> Signer:
    conf = make_conf(tmp_path, "[api]\nvirtshell_signature = true\n")
    service.secrets["alice"] = "secret"
    return Signer(Api(Client(create_app(conf, service)), service))


BODY = b'{"name": "web"}'
POST = ("POST", "/api/virtshell/v1/instances")


def test_signed_requests(sign: Signer) -> None:
    assert sign(*POST, BODY, kind="text/plain").status_code == 202
    (caller,) = sign.api.service.callers
    assert (caller.user_id, caller.project_id) == ("signer", "project")
    assert caller.roles == {"member", "reader"}
    assert sign("GET", "/api/virtshell/v1/instances/").status_code == 200
    assert sign("GET", "/instances?limit=1").status_code == 200
    assert sign("GET", "/tasks/status/setting%20up").status_code == 200
    assert sign("GET", "/partitions").status_code == 403  # a member only


def test_signed_uploads(sign: Signer) -> None:
    boundary = b"--x\r\n"
    head = b'Content-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    body = boundary + head + b"y" * 3_000_000 + b"\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    answer = sign("POST", "/files", body, kind=kind)
    assert answer.json["size"] == 3_000_000


def test_signatures_are_off_unless_configured(api: Api) -> None:
    api.service.secrets["alice"] = "secret"
    error = api.error(Signer(api)("GET", "/instances"), 401)
    assert "not taken" in error["message"]


@pytest.mark.parametrize("shift", [-901, 902, -86400, 10**9])
def test_skewed_dates(sign: Signer, shift: int) -> None:
    error = sign.api.error(sign("GET", "/instances", shift=shift), 401)
    assert error["code"] == "RequestTimeTooSkewed"
    assert sign.api.service.used == {}


@pytest.mark.parametrize("shift", [-890, 890])
def test_dates_within_the_window(sign: Signer, shift: int) -> None:
    assert sign("GET", "/instances", shift=shift).status_code == 200
    (until,) = sign.api.service.used.values()
    now = datetime.datetime.now(datetime.UTC)
    expected = now + datetime.timedelta(seconds=900 + shift)
    assert abs(until - expected) < datetime.timedelta(seconds=5)


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Tue, 99 Jan 2027 10:00:00 GMT", "\xff", "1 1 1 1 1 1"]
)
def test_dates_that_are_none(sign: Signer, date: str) -> None:
    sign.api.error(sign("GET", "/instances", extra={"Date": date}), 401)


def test_replays(sign: Signer) -> None:
    headers = sign.headers("GET", "/instances")
    local = {"REMOTE_ADDR": "127.0.0.1"}

    def send(headers: dict[str, str]) -> Any:
        return sign.api(
            "GET", "/instances", token=None, headers=headers, environ_overrides=local
        )

    assert send(headers).status_code == 200
    assert sign.api.error(send(headers), 401)["code"] == "replayed"
    # The last letter before "=" carries two bits that mean nothing.
    name, value = "X-VirtShell-Authorization", headers["X-VirtShell-Authorization"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(value[-2]) ^ 1]
    twisted = {**headers, name: f"{value[:-2]}{last}="}
    assert sign.api.error(send(twisted), 401)["code"] == "replayed"


def test_a_wrong_signature_takes_no_room(sign: Signer) -> None:
    forger = Signer(sign.api, secret="guess")
    error = sign.api.error(forger("GET", "/instances"), 401)
    assert error["message"] == "the signature is not right"
    sign.api.error(Signer(sign.api, key="nobody")("GET", "/instances"), 401)
    assert sign.api.service.used == {}


@pytest.mark.parametrize(
    "change",
    [
        {"sent": b'{"name": "bad"}'},
        {"sent": b""},
        {"extra": {"Content-MD5": ""}},
        {"extra": {"Content-MD5": "junk"}},
        {"extra": {"Content-MD5": base64.b64encode(b"\0" * 16).decode()}},
        {"host": "other.example"},
        {"sent_resource": "/api/virtshell/v1/instances?partition=other"},
    ],
)
def test_what_was_signed_can_not_be_changed(sign: Signer, change: Any) -> None:
    resource = change.pop("sent_resource", POST[1])
    headers = sign.headers("POST", POST[1], BODY, host=change.get("host", "localhost"))
    headers.update(change.get("extra", {}))
    answer = sign.api(
        "POST",
        resource,
        change.get("sent", BODY),
        token=None,
        headers={name: value for name, value in headers.items() if value},
        environ_overrides={"REMOTE_ADDR": "127.0.0.1"},
    )
    sign.api.error(answer, 401)
    assert sign.api.service.callers == []


@pytest.mark.parametrize(
    "value", ["alice", "alice:", ":abc", "alice:abc", "alice:" + "=" * 28, "a:b:c"]
)
def test_headers_that_are_no_signature(sign: Signer, value: str) -> None:
    extra = {"X-VirtShell-Authorization": value}
    sign.api.error(sign("GET", "/instances", extra=extra), 401)


class Unread(io.RawIOBase):
    """A body that nobody may ask for."""

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("the body was read")


@pytest.mark.parametrize(
    "extra",
    [
        {"X-VirtShell-Authorization": "alice:abc"},
        {"X-VirtShell-Authorization": f"alice:{'A' * 27}="},
        {"Date": "yesterday"},
        {"Date": "Tue, 05 Jan 2010 10:00:00 GMT"},
    ],
)
def test_no_body_of_the_unknown_is_read(sign: Signer, extra: dict[str, str]) -> None:
    headers = {**sign.headers("POST", "/files", BODY), **extra}
    environ = {
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": "1000000",
        "wsgi.input": Unread(),
    }
    more = {"headers": headers, "environ_overrides": environ}
    sign.api.error(sign.api("POST", "/files", token=None, **more), 401)


def test_signed_bodies_have_a_limit(
    tokens: Any, service: Any, tmp_path: pathlib.Path
) -> None:
    text = "[api]\nvirtshell_signature = true\nmax_file_size = 1000\n"
    service.secrets["alice"] = "secret"
    sign = Signer(Api(Client(create_app(make_conf(tmp_path, text), service)), service))
    environ = {
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": "1001",
        "wsgi.input": Unread(),
    }
    sign.api.error(sign("POST", "/files", environ=environ), 413)


def test_signatures_need_tls(sign: Signer) -> None:
    error = sign.api.error(
        sign("GET", "/instances", environ={"REMOTE_ADDR": "192.0.2.7"}), 401
    )
    assert "TLS" in error["message"]
    for address in ("192.0.2.7", "", "junk"):
        remote = {"REMOTE_ADDR": address, "wsgi.url_scheme": "https"}
        assert sign("GET", f"/instances?limit={len(address) + 1}", environ=remote)
    remote = {"REMOTE_ADDR": "192.0.2.7", "wsgi.url_scheme": "https"}
    assert sign("GET", "/tasks", environ=remote).status_code == 200


@pytest.mark.parametrize(
    ("peer", "extra"),
    [
        ("192.0.2.7", {"Forwarded": "for=127.0.0.1"}),
        ("192.0.2.7", {"X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http"}),
    ],
)
def test_nobody_is_here_by_saying_so(
    tokens: Any, service: Any, tmp_path: pathlib.Path, peer: str, extra: dict[str, str]
) -> None:
    text = "[api]\nvirtshell_signature = true\n"
    text += "[oslo_middleware]\nenable_proxy_headers_parsing = true\n"
    service.secrets["alice"] = "secret"
    sign = Signer(Api(Client(create_app(make_conf(tmp_path, text), service)), service))
    environ = {"REMOTE_ADDR": peer}
    error = sign.api.error(sign("GET", "/tasks", environ=environ, extra=extra), 401)
    assert "TLS" in error["message"]
    extra = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    assert sign("GET", "/tasks", environ=environ, extra=extra).status_code == 200


def test_a_token_goes_before_a_signature(sign: Signer) -> None:
    headers = {"X-VirtShell-Authorization": "alice:junk"}
    assert sign.api("GET", "/users", headers=headers).status_code == 200


def test_the_body_is_there_after_the_check(sign: Signer) -> None:
    form = {"file": (io.BytesIO(b"abc"), "a.txt")}
    assert sign.api("POST", "/files", data=form).status_code == 201
    body = b'{"name": "p"}'
    assert sign("POST", "/provisioners", body).json["name"] == "p"
