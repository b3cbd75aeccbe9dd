# SPDX-License-Identifier: Apache-2.0
"""Keystone's content, through openstacksdk, against a Keystone at the wire."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import requests_mock

from tests.unit.deploy.conftest import DEPLOY

URL = "http://keystone.test/v3"
DOMAIN = "0123456789abcdef0123456789abcdef"
ADMIN = {
    "auth_url": URL,
    "username": "admin",
    "password": "right",
    "project_name": "admin",
}
WANTED: dict[str, Any] = {
    "auth": ADMIN,
    "region": "RegionOne",
    "domains": [{"id": DOMAIN, "name": "ours", "description": "What is made"}],
    "projects": ["service"],
    "services": [
        {"name": "nova-multi", "type": "provisioning", "description": "", "url": "http"}
    ],
    "users": [
        {
            "name": "asker",
            "password": "a",
            "project": "service",
            "domain": None,
            "roles": ["service"],
        },
        {
            "name": "manager",
            "password": "m",
            "project": None,
            "domain": DOMAIN,
            "roles": ["manager"],
        },
        {
            "name": "alice",
            "password": "x",
            "project": None,
            "domain": DOMAIN,
            "roles": [],
        },
    ],
}
EVERYTHING = [
    "region RegionOne",
    "service nova-multi",
    "endpoint public of nova-multi",
    "endpoint internal of nova-multi",
    "endpoint admin of nova-multi",
    "domain ours",
    "project service",
    "user asker",
    "role service of asker",
    "user manager",
    "role manager of manager",
    "user alice",
]


class Keystone:
    """Collections with what was posted to them, and who has which role where."""

    def __init__(self, mock: requests_mock.Mocker) -> None:
        self.numbers = itertools.count(1)
        self.content: dict[str, list[dict[str, Any]]] = {
            name: []
            for name in ("services", "endpoints", "regions", "projects", "users")
        }
        self.content["domains"] = [
            {"id": "default", "name": "Default", "enabled": True}
        ]
        self.content["roles"] = [
            {"id": f"r-{name}", "name": name} for name in ("service", "manager")
        ]
        self.grants: list[tuple[str, str, str, str]] = []
        self.posted: list[Any] = []
        mock.get(
            URL, json={"version": {"id": "v3.14", "status": "stable", "links": []}}
        )
        mock.post(f"{URL}/auth/tokens", json=self.log_in)
        mock.get(re.compile(rf"{URL}/\w+(\?.*)?$"), json=self.list)
        mock.get(re.compile(rf"{URL}/regions/\w+$"), json=self.region)
        mock.post(re.compile(rf"{URL}/\w+$"), json=self.make, status_code=201)
        mock.put(re.compile(rf"{URL}/(project|domain)s/.*/roles/"), text=self.grant)
        mock.patch(re.compile(rf"{URL}/users/"), json=self.change)

    def log_in(self, request: Any, context: Any) -> Any:
        user = request.json()["auth"]["identity"]["password"]["user"]
        known = [
            each.get("password")
            for each in self.content["users"]
            if (each["name"], each["domain_id"]) == (user["name"], user["domain"]["id"])
        ]
        if user["password"] not in [*known, ADMIN["password"]]:
            context.status_code = 401
            return {"error": {"code": 401, "message": "no"}}
        context.headers["X-Subject-Token"] = "t"
        return {"token": {"user": user, "expires_at": "2999-01-01T00:00:00Z"}}

    def list(self, request: Any, context: Any) -> Any:
        name = request.path.rpartition("/")[2]
        if name == "role_assignments":
            rows = [
                {
                    "role": {"id": role},
                    "user": {"id": user},
                    "scope": {kind: {"id": to}},
                }
                for kind, to, user, role in self.grants
            ]
            return {name: rows}
        found = self.content[name]
        for key, (value, *_) in request.qs.items():
            found = [each for each in found if each.get(key) == value]
        return {name: found}

    def region(self, request: Any, context: Any) -> Any:
        name = request.url.rpartition("/")[2]
        for each in self.content["regions"]:
            if each["id"] == name:
                return {"region": each}
        context.status_code = 404
        return {"error": {"code": 404, "message": "no"}}

    def make(self, request: Any, context: Any) -> Any:
        ((kind, body),) = request.json().items()
        self.posted.append(request.json())
        body = {"enabled": True, **body}
        body.setdefault("id", body.pop("explicit_domain_id", f"i{next(self.numbers)}"))
        self.content[f"{kind}s"].append(body)
        return {kind: body}

    def grant(self, request: Any, context: Any) -> str:
        kind, to, _, user, _, role = request.path.removeprefix("/v3/").split("/")
        self.grants.append((kind[:-1], to, user, role))
        context.status_code = 204
        return ""

    def change(self, request: Any, context: Any) -> Any:
        user_id = request.path.rpartition("/")[2]
        (user,) = (each for each in self.content["users"] if each["id"] == user_id)
        user |= request.json()["user"]
        return {"user": user}


@pytest.fixture(scope="module")
def module() -> ModuleType:
    path = DEPLOY / "library" / "identity_content.py"
    spec = importlib.util.spec_from_file_location("identity_content", path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def keystone() -> Iterator[Keystone]:
    with requests_mock.Mocker(case_sensitive=True) as mock:
        yield Keystone(mock)


def apply(module: ModuleType) -> list[str]:
    connection = module.openstack.connection.Connection(
        session=module.session_of(ADMIN),
        region_name="RegionOne",
        identity_api_version="3",
        identity_endpoint_override=URL,
    )
    return list(module.Content(connection, json.loads(json.dumps(WANTED))).apply())


def test_all_is_made_once(module: ModuleType, keystone: Keystone) -> None:
    assert apply(module) == EVERYTHING
    assert apply(module) == []


def test_a_domain_gets_the_id_that_was_chosen(
    module: ModuleType, keystone: Keystone
) -> None:
    apply(module)
    assert {
        "domain": {
            "name": "ours",
            "description": "What is made",
            "explicit_domain_id": DOMAIN,
        }
    } in keystone.posted


def test_roles_are_where_they_were_wanted(
    module: ModuleType, keystone: Keystone
) -> None:
    apply(module)
    ids = {user["name"]: user["id"] for user in keystone.content["users"]}
    (project,) = (p["id"] for p in keystone.content["projects"])
    assert keystone.grants == [
        ("project", project, ids["asker"], "r-service"),
        ("domain", DOMAIN, ids["manager"], "r-manager"),
    ]
    domains = {user["name"]: user["domain_id"] for user in keystone.content["users"]}
    assert domains == {"asker": "default", "manager": DOMAIN, "alice": DOMAIN}


@pytest.mark.parametrize("name", ["asker", "manager", "alice"])
def test_a_password_that_was_changed_is_put_back(
    module: ModuleType, keystone: Keystone, name: str
) -> None:
    apply(module)
    (user,) = (u for u in keystone.content["users"] if u["name"] == name)
    right, user["password"] = user["password"], "wrong"
    assert apply(module) == [f"password of {name}"]
    assert user["password"] == right
