# SPDX-License-Identifier: Apache-2.0
"""The WSGI application in process, with Keystone's middleware and known tokens."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from keystonemiddleware import fixture as ksm_fixture
from oslo_config import cfg
from werkzeug.test import Client, TestResponse

from tests.fixtures.fake_service import FakeService
from tests.fixtures.shared_application import SharedApplication

#: Tokens by the role that they carry, with the roles that Keystone implies.
ROLES = {
    "admin-token": ["admin", "manager", "member", "reader"],
    "member-token": ["member", "reader"],
    "reader-token": ["reader"],
    "stranger-token": ["janitor"],
}


CONFIGURATION = """
[keystone_authtoken]
www_authenticate_uri = https://keystone.example:5000
"""


def make_conf(folder: pathlib.Path, text: str = "") -> cfg.ConfigOpts:
    """The configuration of a service, with a few lines of a test's own."""
    file = folder / "api.conf"
    file.write_text(CONFIGURATION + text)
    conf = cfg.ConfigOpts()
    conf(["--config-file", str(file)], default_config_dirs=[])
    return conf


@dataclasses.dataclass
class Api:
    """What a client of the interface has, and the service behind it."""

    client: Client
    service: FakeService

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str | None = "admin-token",
        **more: Any,
    ) -> TestResponse:
        headers = {"X-Auth-Token": token} if token else {}
        headers.update(more.pop("headers", {}))
        if body is not None:
            more["data"] = body if isinstance(body, bytes) else json.dumps(body)
        return self.client.open(path, method=method, headers=headers, **more)

    def error(self, response: TestResponse, status: int) -> dict[str, Any]:
        """The error, if the answer is one of that status in our form."""
        assert response.status_code == status, response.get_data(as_text=True)
        assert response.mimetype == "application/json"
        error = response.json["error"]
        assert set(error) == {"code", "message", "details"}
        assert error["message"] and isinstance(error["details"], list)
        return error


@pytest.fixture
def tokens() -> Iterator[ksm_fixture.AuthTokenFixture]:
    with ksm_fixture.AuthTokenFixture() as known:
        for token, roles in ROLES.items():
            known.add_token_data(
                token_id=token, user_id="user", project_id="project", role_list=roles
            )
        for token, name, role in (
            ("metadata-token", "nova-metadata", "service"),
            ("nova-token", "nova", "service"),
            ("namesake-token", "nova-metadata", "member"),
        ):
            known.add_token_data(
                token_id=token,
                user_id=token,
                user_name=name,
                project_id="service",
                role_list=[role],
            )
        known.add_token_data(token_id="unscoped-token", user_id="user")
        yield known


@pytest.fixture(scope="session")
def shared_application(tmp_path_factory: pytest.TempPathFactory) -> SharedApplication:
    """The application with the usual configuration."""
    return SharedApplication(make_conf(tmp_path_factory.mktemp("api")))


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def api(
    tokens: Any, service: FakeService, shared_application: SharedApplication
) -> Api:
    return Api(Client(shared_application.serving(service)), service)
