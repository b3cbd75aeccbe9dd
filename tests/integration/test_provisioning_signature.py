# SPDX-License-Identifier: Apache-2.0
"""VirtShell's signature on the deployed cloud, whose Keystone checks it.

The signature is made by an implementation that shares nothing with the service's. The
requests go to 127.0.0.1: without TLS they are taken from nowhere else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import secrets
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.fixtures.virtshell import HEADER, sign
from tests.integration import cloud, provisioning

#: VirtShell's own prefix.
PATH = "/api/virtshell/v1/provisioners"
MINUTE = datetime.timedelta(minutes=1)
_TIMEOUT = 60


@dataclasses.dataclass(frozen=True)
class Key:
    """An EC2 credential of a user in a project."""

    access: str
    user: str
    secret: str = dataclasses.field(repr=False)

    @property
    def pair(self) -> tuple[str, str]:
        """What a client signs with."""
        return self.access, self.secret


@contextlib.contextmanager
def _made(of: str) -> Iterator[Key]:
    """A credential of the user of an entry of clouds.yaml."""
    shown = cloud.openstack("ec2", "credentials", "create", cloud=of)
    try:
        yield Key(shown["access"], shown["user_id"], shown["secret"])
    finally:
        cloud.openstack_text("ec2", "credentials", "delete", shown["access"], cloud=of)


class Site:
    """The service, as clients of VirtShell know it: an address, and no token."""

    def __init__(self, endpoint: str) -> None:
        parts = urllib.parse.urlsplit(endpoint)
        self.root = f"{parts.scheme}://{parts.netloc}"
        #: What the Host header of each request says.
        self.host = parts.netloc
        self._session = requests.Session()
        # What a proxy passes on does not come from the machine itself.
        self._session.trust_env = False

    def signed(self, key: Key, verb: str, path: str, **more: Any) -> dict[str, str]:
        """Headers of a request of a key's owner."""
        return sign(*key.pair, verb, path, **{"host": self.host, **more})

    def send(
        self, verb: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> requests.Response:
        """The answer to exactly that."""
        return self._session.request(
            verb, self.root + path, data=body, headers=headers, timeout=_TIMEOUT
        )

    def get(self, key: Key, path: str, **more: Any) -> requests.Response:
        """The answer to a signed GET."""
        return self.send("GET", path, self.signed(key, "GET", path, **more))


@pytest.fixture(scope="module")
def member() -> provisioning.Client:
    """A member of a project that is in no partition, with a token, to compare with."""
    connection = provisioning.sdk.connect(cloud=cloud.MEMBER)
    return provisioning.Client(connection, {"OS_CLOUD": cloud.MEMBER})


@pytest.fixture(scope="module")
def site(member: provisioning.Client) -> Site:
    """The service, which has to listen on loopback here."""
    found = Site(member.adapter.get_endpoint())
    assert found.host.startswith("127."), (
        f"the service is at {found.root}: without TLS no signature is taken there"
    )
    return found


@pytest.fixture(scope="module")
def key(site: Site) -> Iterator[Key]:
    """The member's credential, whose signatures are taken."""
    with _made(cloud.MEMBER) as made:
        answer = site.get(made, f"{PATH}?limit=1")
        assert answer.status_code == 200, (
            "signatures are not taken: is provisioning_virtshell_signature on, and does"
            f" Keystone know the key? {answer.status_code} {answer.text}"
        )
        yield made


@pytest.fixture(scope="module")
def others(site: Site) -> Iterator[Key]:
    """The administrator's credential."""
    with _made(cloud.ADMINISTRATOR) as made:
        yield made


@pytest.fixture
def name(member: provisioning.Client) -> Iterator[str]:
    """Of a provisioner, which is taken away whoever made it."""
    name = f"it-signed-{secrets.token_hex(3)}"
    yield name
    answer = member.adapter.delete(f"/provisioners/{name}")
    assert answer.status_code in (200, 204, 404), answer.text


def _body(name: str) -> bytes:
    return json.dumps({"name": name, "image": "debian-docker"}).encode()


def _code(answer: requests.Response) -> str:
    return str(answer.json()["error"]["code"])


def test_a_signed_request_is_its_users(
    site: Site, key: Key, member: provisioning.Client, name: str
) -> None:
    body = _body(name)
    headers = site.signed(key, "POST", PATH, body=body)
    made = site.send("POST", PATH, headers, body)
    assert made.status_code == 201, made.text
    assert made.json()["created"]["by"] == key.user
    # The same is there for who comes with a token, and with a signature.
    assert member.get(f"/provisioners/{name}")["uuid"] == made.json()["uuid"]
    answer = site.get(key, f"/v1/provisioners?name={name}")
    assert answer.status_code == 200, answer.text
    assert [each["name"] for each in answer.json()["provisioners"]] == [name]


def test_a_key_has_the_roles_of_its_user(site: Site, key: Key, others: Key) -> None:
    answers = [site.get(each, "/v1/partitions") for each in (key, others)]
    assert [each.status_code for each in answers] == [403, 200], [
        each.text for each in answers
    ]


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
def test_the_resource_is_what_is_sent(site: Site, key: Key, path: str) -> None:
    answer = site.get(key, path)
    assert answer.status_code == 200, answer.text


@dataclasses.dataclass
class Sent:
    """A signed request before it is sent."""

    verb: str
    path: str
    headers: dict[str, str]
    body: bytes


Forge = Callable[[Sent, Site, Key, Key], None]


def _verb(sent: Sent, site: Site, key: Key, others: Key) -> None:
    sent.headers = site.signed(key, "PUT", sent.path, body=sent.body)


def _path(sent: Sent, site: Site, key: Key, others: Key) -> None:
    sent.path += "/"


def _query(sent: Sent, site: Site, key: Key, others: Key) -> None:
    sent.path += "?partition=other"


def _content(sent: Sent, site: Site, key: Key, others: Key) -> None:
    sent.body = sent.body.replace(b"debian", b"evil12")


def _content_and_digest(sent: Sent, site: Site, key: Key, others: Key) -> None:
    _content(sent, site, key, others)
    forged = site.signed(key, sent.verb, sent.path, body=sent.body)
    sent.headers["Content-MD5"] = forged["Content-MD5"]


def _no_digest(sent: Sent, site: Site, key: Key, others: Key) -> None:
    sent.headers = site.signed(key, sent.verb, sent.path)


def _host(sent: Sent, site: Site, key: Key, others: Key) -> None:
    sent.headers = site.signed(
        key, sent.verb, sent.path, body=sent.body, host="elsewhere"
    )


def _content_type(sent: Sent, site: Site, key: Key, others: Key) -> None:
    sent.headers["Content-Type"] = "text/plain"


def _date(sent: Sent, site: Site, key: Key, others: Key) -> None:
    later = datetime.datetime.now(datetime.UTC) + MINUTE
    forged = site.signed(key, sent.verb, sent.path, body=sent.body, date=later)
    sent.headers["Date"] = forged["Date"]


def _unknown_key(sent: Sent, site: Site, key: Key, others: Key) -> None:
    sent.headers[HEADER] = sent.headers[HEADER].replace(key.access, "0" * 32)


def _anothers_key(sent: Sent, site: Site, key: Key, others: Key) -> None:
    sent.headers[HEADER] = sent.headers[HEADER].replace(key.access, others.access)


def _flipped(sent: Sent, site: Site, key: Key, others: Key) -> None:
    _, _, text = sent.headers[HEADER].partition(":")
    first = "B" if text[0] == "A" else "A"
    sent.headers[HEADER] = f"{key.access}:{first}{text[1:]}"


def _guessed(sent: Sent, site: Site, key: Key, others: Key) -> None:
    guess = dataclasses.replace(key, secret="0" * 32)
    sent.headers = site.signed(guess, sent.verb, sent.path, body=sent.body)


def _no_secret(sent: Sent, site: Site, key: Key, others: Key) -> None:
    guess = dataclasses.replace(key, secret="")
    sent.headers = site.signed(guess, sent.verb, sent.path, body=sent.body)


def _malformed(sent: Sent, site: Site, key: Key, others: Key) -> None:
    sent.headers[HEADER] = f"{key.access}:"


FORGERIES: dict[str, Forge] = {
    "verb": _verb,
    "path": _path,
    "query": _query,
    "body": _content,
    "body and digest": _content_and_digest,
    "without digest": _no_digest,
    "host": _host,
    "content type": _content_type,
    "date": _date,
    "unknown key": _unknown_key,
    "another's key": _anothers_key,
    "flipped": _flipped,
    "guessed secret": _guessed,
    "no secret": _no_secret,
    "malformed": _malformed,
}


@pytest.mark.parametrize("what", list(FORGERIES))
def test_forgeries(
    site: Site,
    key: Key,
    others: Key,
    member: provisioning.Client,
    name: str,
    what: str,
) -> None:
    body = _body(name)
    headers = site.signed(key, "POST", PATH, body=body)
    sent = Sent("POST", PATH, headers, body)
    FORGERIES[what](sent, site, key, others)
    answer = site.send(sent.verb, sent.path, sent.headers, sent.body)
    assert answer.status_code == 401, f"{what}: {answer.status_code} {answer.text}"
    assert _code(answer) == "unauthorized", answer.text
    assert member.adapter.get(f"/provisioners/{name}").status_code == 404


def test_a_repeated_request_is_refused(site: Site, key: Key) -> None:
    # A path of its own: two signatures of one second are the same.
    path = f"{PATH}?name={secrets.token_hex(4)}"
    headers = site.signed(key, "GET", path)
    first = site.send("GET", path, headers)
    assert first.status_code == 200, first.text
    again = site.send("GET", path, headers)
    assert (again.status_code, _code(again)) == (401, "replayed"), again.text
    # The same in another spelling of the header.
    again = site.send("GET", path, {**headers, HEADER: headers[HEADER] + " "})
    assert again.status_code == 401, again.text


@pytest.mark.parametrize(
    ("off", "taken"), [(-16, False), (16, False), (-14, True), (14, True)]
)
def test_dates(site: Site, key: Key, off: int, taken: bool) -> None:
    date = datetime.datetime.now(datetime.UTC) + off * MINUTE
    answer = site.get(key, PATH, date=date)
    if taken:
        assert answer.status_code == 200, answer.text
    else:
        assert answer.status_code == 401, answer.text
        assert _code(answer) == "RequestTimeTooSkewed", answer.text


def test_a_token_goes_before_a_signature(site: Site, key: Key) -> None:
    """Who sends both is who the token says, and one that isn't valid is refused."""
    headers = site.signed(key, "GET", PATH) | {"X-Auth-Token": "forged"}
    answer = site.send("GET", PATH, headers)
    assert answer.status_code == 401, answer.text


def test_a_deleted_key_signs_nothing(site: Site, key: Key) -> None:
    with _made(cloud.MEMBER) as gone:
        answer = site.get(gone, f"{PATH}?limit=3")
        assert answer.status_code == 200, answer.text
    answer = site.get(gone, f"{PATH}?limit=4")
    assert answer.status_code == 401, answer.text
    # The user's other key is as good as before.
    answer = site.get(key, f"{PATH}?limit=5")
    assert answer.status_code == 200, answer.text
