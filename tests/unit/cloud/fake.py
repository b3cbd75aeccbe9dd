# SPDX-License-Identifier: Apache-2.0
"""A cloud at the wire: Keystone's tokens, everybody's versions, and what a test says.

Requests for tokens and versions are kept apart from the others, which tests count.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import requests_mock
from keystoneauth1 import fixture

KEYSTONE = "http://keystone.test/v3"
URLS = {
    "identity": KEYSTONE,
    "compute": "http://nova.test/v2.1",
    "network": "http://neutron.test",
    "image": "http://glance.test",
    "placement": "http://placement.test",
}
#: What comes before the path of a resource.
ROOTS = {
    "identity": "http://keystone.test/v3",
    "compute": "http://nova.test/v2.1",
    "network": "http://neutron.test/v2.0",
    "image": "http://glance.test/v2",
    "placement": "http://placement.test",
}

Handler = Callable[..., Any]


@dataclasses.dataclass
class Call:
    """One request."""

    service: str
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: Any
    timeout: float | None

    @property
    def line(self) -> str:
        return f"{self.method} {self.service}{self.path}"


class Answer(Exception):
    """Raised in a handler: an answer that is no 200."""

    def __init__(
        self, status: int, body: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def nova_error(status: int, message: str) -> Answer:
    word = {400: "badRequest", 403: "forbidden", 404: "itemNotFound"}.get(
        status, "conflictingRequest"
    )
    return Answer(status, {word: {"code": status, "message": message}})


def neutron_error(status: int, kind: str, message: str = "no") -> Answer:
    return Answer(
        status, {"NeutronError": {"type": kind, "message": message, "detail": ""}}
    )


def keystone_error(status: int, message: str = "no") -> Answer:
    return Answer(
        status, {"error": {"code": status, "message": message, "title": "No"}}
    )


class FakeCloud:
    """Answers requests; knows nothing until a test says ``on``."""

    def __init__(self, mocker: requests_mock.Mocker) -> None:
        self.mocker = mocker
        self.calls: list[Call] = []
        self.logins: list[dict[str, Any]] = []
        self.discoveries: list[str] = []
        self.services = set(URLS)
        self.away: dict[str, Exception] = {}
        self.refuse_logins = False
        self._handlers: list[tuple[str, str, re.Pattern[str], Any]] = []
        self.token_ids: list[str] = []
        mocker.register_uri(
            requests_mock.ANY, requests_mock.ANY, content=self._dispatch
        )

    # -- for tests

    def on(self, service: str, method: str, path: str, answer: Any) -> None:
        """Answer requests whose path matches; what was said last goes first.

        :param answer: a JSON value, an Answer, or a function of the call and the path's
            groups that returns or raises one of them.
        """
        self._handlers.insert(0, (service, method, re.compile(path), answer))

    def lines(self, service: str | None = None) -> list[str]:
        return [c.line for c in self.calls if service in (None, c.service)]

    def last(self) -> Call:
        return self.calls[-1]

    # -- the wire

    def _dispatch(self, request: Any, context: Any) -> bytes:
        url = request.url
        for service, root in ROOTS.items():
            base = urlsplit(root).netloc
            if urlsplit(url).netloc == base:
                if service in self.away:
                    raise self.away[service]
                break
        else:
            raise AssertionError(f"nobody is at {url}")
        context.headers["Content-Type"] = "application/json"
        context.headers["x-openstack-request-id"] = f"req-{uuid.uuid4()}"
        try:
            body = self._answer(service, request, context)
        except Answer as answer:
            context.status_code = answer.status
            context.headers.update(answer.headers)
            body = answer.body
        if isinstance(body, bytes):
            return body
        return b"" if body is None else json.dumps(body).encode()

    def _answer(self, service: str, request: Any, context: Any) -> Any:
        url = urlsplit(request.url)
        if service == "identity" and (request.method, url.path) == (
            "POST",
            "/v3/auth/tokens",
        ):
            return self._login(request, context)
        if request.method == "GET" and self._is_root(service, url.path):
            self.discoveries.append(request.url)
            return _versions(service)
        root = urlsplit(ROOTS[service]).path
        assert url.path.startswith(root), request.url
        sent = request.body
        if isinstance(sent, str | bytes):
            with contextlib.suppress(ValueError):
                sent = json.loads(sent)
        call = Call(
            service=service,
            method=request.method,
            path=url.path.removeprefix(root),
            query=parse_qs(url.query),
            headers=request.headers,
            body=sent,
            timeout=request.timeout,
        )
        self.calls.append(call)
        for where, method, path, answer in self._handlers:
            found = path.fullmatch(call.path)
            if (where, method) == (service, call.method) and found:
                value = answer(call, *found.groups()) if callable(answer) else answer
                if isinstance(value, Answer):
                    raise value
                return value
        raise AssertionError(f"the test did not expect {call.line} {call.query}")

    @staticmethod
    def _is_root(service: str, path: str) -> bool:
        return path.rstrip("/") in ("", urlsplit(ROOTS[service]).path)

    def _login(self, request: Any, context: Any) -> Any:
        auth = request.json()["auth"]
        self.logins.append(auth)
        if self.refuse_logins:
            raise keystone_error(
                401, "The request you have made requires authentication."
            )
        scope = auth.get("scope", {})
        token = fixture.V3Token(
            user_id="service-user", user_name="nova-multi", user_domain_id="default"
        )
        if "project" in scope:
            project = scope["project"]
            token.set_project_scope(
                id=project.get("id") or f"id-of-{project['name']}",
                name=project.get("name") or "some-name",
            )
        elif "domain" in scope:
            token.set_domain_scope(name=scope["domain"].get("name", "multi"))
        token.add_role(name="member")
        for service in sorted(self.services):
            token.add_service(service).add_standard_endpoints(
                public=URLS[service], region="one"
            )
        context.status_code = 201
        token_id = f"token-{len(self.logins)}"
        self.token_ids.append(token_id)
        context.headers["X-Subject-Token"] = token_id
        return token


def _versions(service: str) -> Any:
    if service == "identity":
        found = fixture.V3Discovery(KEYSTONE)
        return {"version": found}
    if service == "compute":
        return {
            "version": {
                "id": "v2.1",
                "status": "CURRENT",
                "version": "2.100",
                "min_version": "2.1",
                "links": [{"rel": "self", "href": "http://nova.test/v2.1/"}],
            }
        }
    if service == "placement":
        return {
            "versions": [
                {
                    "id": "v1.0",
                    "status": "CURRENT",
                    "max_version": "1.39",
                    "min_version": "1.0",
                    "links": [{"rel": "self", "href": ""}],
                }
            ]
        }
    number = {"network": "v2.0", "image": "v2.17"}[service]
    return {
        "versions": [
            {
                "id": number,
                "status": "CURRENT",
                "links": [{"rel": "self", "href": f"{ROOTS[service]}/"}],
            }
        ]
    }


REFUSED = requests.exceptions.ConnectionError("[Errno 111] Connection refused")
TIMED_OUT = requests.exceptions.ReadTimeout("read timed out")
