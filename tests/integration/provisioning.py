# SPDX-License-Identifier: Apache-2.0
"""The provisioning service as its users have it: command line, curl, openstacksdk."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openstack as sdk
import requests
from keystoneauth1.adapter import Adapter

from tests.integration import cloud

SERVICE_TYPE = "provisioning"
#: Seconds until a killed worker's tasks may be another's.
LEASE = 90
#: Mark in the environment of each of the deployment's processes.
_MARK = "NOVA_MULTI_SERVICE="
#: Seconds for one request; the service answers at once, what it asks may not.
_TIMEOUT = 60


@dataclasses.dataclass
class Client:
    """Somebody with an account, in each of the ways that there are to ask.

    :ivar adapter: openstacksdk's raw one.
    :ivar environment: for commands.
    """

    connection: sdk.connection.Connection
    environment: dict[str, str]

    @property
    def adapter(self) -> Adapter:
        """A client that knows nothing of the service but its type."""
        return Adapter(
            self.connection.session,
            service_type=SERVICE_TYPE,
            interface="public",
            # Another service than the catalog's, where clouds.yaml names one.
            endpoint_override=self.connection.config.get_endpoint(SERVICE_TYPE),
            raise_exc=False,
        )

    def get(self, path: str) -> Any:
        """What is there, through the adapter."""
        answer = self.adapter.get(path)
        assert answer.status_code == 200, f"GET {path}: {answer.text}"
        return answer.json()

    def curl(self, method: str, path: str, body: Any = None) -> requests.Response:
        """A request as VirtShell's documentation shows it: no content type."""
        root = self.adapter.get_endpoint().rsplit("/v1", 1)[0]
        return requests.request(
            method,
            f"{root}{path}",
            data=None if body is None else json.dumps(body),
            headers={"X-Auth-Token": self.connection.auth_token},
            timeout=_TIMEOUT,
        )

    def multi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``openstack multi ...``."""
        return subprocess.run(
            [cloud.command(), "multi", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def run(self, *arguments: str) -> Any:
        """The same where it has to go well; what it printed, as values."""
        done = self.multi(*arguments, "-f", "json")
        assert done.returncode == 0, f"{arguments}: {done.stderr}{done.stdout}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def ended(self, task: str, seconds: float) -> dict[str, Any]:
        """A task, once it has ended."""

        def look() -> dict[str, Any] | None:
            shown: dict[str, Any] = self.get(f"/tasks/{task}")
            return shown if shown["ended"] else None

        return cloud.wait_for(f"task {task} ends", look, seconds, 0.2)

    def done(self, answer: Any, end: str, seconds: float = 120) -> dict[str, Any]:
        """The task of an answer, which has to end so."""
        assert answer.status_code == 202, answer.text
        task = self.ended(answer.json()["task"], seconds)
        assert task["status"] == end, task["status_history"]
        return task


def administrator() -> Client:
    """The cloud's."""
    connection = sdk.connect(cloud=cloud.ADMINISTRATOR)
    return Client(connection, {"OS_CLOUD": cloud.ADMINISTRATOR})


@contextlib.contextmanager
def user(admin: Client, domain: str) -> Iterator[tuple[str, str]]:
    """A user of the service's domain: login and password."""
    name, password = f"it-{secrets.token_hex(3)}", secrets.token_urlsafe(16)
    identity = admin.connection.identity
    made = identity.create_user(name=name, domain_id=domain, password=password)
    try:
        yield name, password
    finally:
        identity.delete_user(made)


def member(
    admin: Client, login: str, password: str, project: str, domain: str
) -> Client:
    """A user in a project."""
    settings = {
        "auth_url": admin.connection.config.config["auth"]["auth_url"],
        "username": login,
        "password": password,
        "user_domain_id": domain,
        "project_id": project,
    }
    region = admin.connection.config.get_region_name()
    environment = {f"OS_{key.upper()}": each for key, each in settings.items()}
    environment |= {"OS_REGION_NAME": region, "OS_IDENTITY_API_VERSION": "3"}
    connection = sdk.connect(
        load_yaml_config=False, load_envvars=False, region_name=region, **settings
    )
    return Client(connection, environment)


def http(address: str, port: int, path: str = "/hostname") -> str | None:
    """What a guest's site answers; None if it doesn't."""
    url = f"http://{address}:{port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return str(answer.read().decode()).strip()
    except (urllib.error.URLError, OSError):
        return None


def udp(address: str, port: int, text: str) -> str | None:
    """What comes back for a datagram; None if nothing does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        try:
            sock.sendto(text.encode(), (address, port))
            return sock.recv(1500).decode()
        except OSError:
            return None


def processes(service: str) -> list[int]:
    """Those of a service of the deployment, on this machine's network."""
    network = os.readlink("/proc/self/ns/net")
    found = []
    for process in pathlib.Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            here = os.readlink(process / "ns/net") == network
        except OSError:
            continue
        if here and f"{_MARK}{service}".encode() in environment:
            found.append(int(process.name))
    return found


def _parent(pid: int) -> int:
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return int(text.rpartition(")")[2].split()[1])


def kill_one(service: str) -> int:
    """Kill a process of a service: one that another one of it watches over, if any.

    :returns: its id.
    """
    found = processes(service)
    assert found, f"no process of {service}"
    children = [pid for pid in found if _parent(pid) in found]
    victim = (children or found)[0]
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while victim in processes(service) or not processes(service):
        assert time.monotonic() < deadline, f"{service} does not come back"
        time.sleep(0.2)
    return victim
