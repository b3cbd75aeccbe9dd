# SPDX-License-Identifier: Apache-2.0
"""The real openstack shell, talking to the real application in process."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cliff import commandmanager
from keystoneauth1 import adapter, session, token_endpoint
from keystonemiddleware import fixture as ksm_fixture
from oslo_config import cfg

from nova_multi.client.client import Client
from tests.fixtures.commands import entry_points
from tests.fixtures.fake_service import FakeService
from tests.fixtures.shared_application import SharedApplication
from tests.fixtures.wsgi_transport import session_with

ADDRESS = "http://provisioning.example/v1"


class Stream(io.StringIO):
    """What a command writes to."""

    terminal = False

    def isatty(self) -> bool:
        return self.terminal


@dataclasses.dataclass
class Shell:
    """Runs one command as openstack does, and keeps what it said.

    :ivar on_wait: called in place of each pause while a command waits.
    """

    service: FakeService
    client_manager: Any
    transport: Any
    stdout: Stream = dataclasses.field(default_factory=Stream)
    stderr: Stream = dataclasses.field(default_factory=Stream)
    on_wait: Callable[[], None] = lambda: None
    interactive_mode: bool = False

    def __call__(self, line: str) -> int:
        self.stdout, self.stderr = Stream(), Stream()
        self.command_manager = commandmanager.CommandManager("none")
        for name, kind in entry_points().items():
            self.command_manager.add_command(name.replace("_", " "), kind)
        kind, name, rest = self.command_manager.find_command(line.split())
        command = kind(self, None, cmd_name=name)
        parsed = command.get_parser(name).parse_args(rest)
        return int(command.run(parsed) or 0)

    @property
    def out(self) -> str:
        return self.stdout.getvalue()

    @property
    def err(self) -> str:
        return self.stderr.getvalue()

    def json(self, line: str) -> Any:
        """Run a command that must succeed, and read its JSON."""
        assert self(f"{line} -f json") == 0, self.err
        return json.loads(self.out)


@pytest.fixture(scope="session")
def shared_application(tmp_path_factory: pytest.TempPathFactory) -> SharedApplication:
    file = tmp_path_factory.mktemp("osc") / "api.conf"
    file.write_text("[keystone_authtoken]\nwww_authenticate_uri = https://k.example\n")
    conf = cfg.ConfigOpts()
    conf(["--config-file", str(file)], default_config_dirs=[])
    return SharedApplication(conf)


@pytest.fixture
def shell(shared_application: SharedApplication, monkeypatch: Any) -> Iterator[Shell]:
    service = FakeService()
    with ksm_fixture.AuthTokenFixture() as tokens:
        for role in ("admin", "reader"):
            tokens.add_token_data(
                f"{role}-token", user_id="user", project_id="p", role_list=[role]
            )
        requests, transport = session_with(shared_application.serving(service), ADDRESS)
        auth = token_endpoint.Token(ADDRESS, "admin-token")
        keystone = session.Session(auth, session=requests)
        client = Client(adapter.Adapter(keystone, service_type="provisioning"))

        @dataclasses.dataclass
        class Manager:
            multi: Client

        found = Shell(service, Manager(client), transport)
        monkeypatch.setattr("time.sleep", lambda _: found.on_wait())
        yield found
