# SPDX-License-Identifier: Apache-2.0
"""A service with its API and workers, its clock, and clients of it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from werkzeug.test import Client, TestResponse

from nova_multi.api.app import create_app
from nova_multi.cmd import assembly
from nova_multi.provision import bus
from nova_multi.provision.provisioning import Provisioning
from nova_multi.provision.runner import Runner
from nova_multi.provision.signals import Local
from nova_multi.provision.store import Store
from nova_multi.provision.tools import Tools
from nova_multi.provision.worker import Worker
from tests.fixtures.deployment import DOMAIN, Deployment

_ACCOUNT = """
  {name}:
    region_name: one
    auth:
      auth_url: http://keystone.test/v3
      username: {name}
      password: password of {name}
      user_domain_id: default
      {scope}
"""
_CONFIGURATION = """
[DEFAULT]
transport_url = {transport}
[api]
virtshell_signature = true
[cloud]
clouds_file = {folder}/clouds.yaml
domain_id = {domain}
[database]
connection = sqlite:///{folder}/state.sqlite
[provision]
files_folder = {folder}/files
[secrets]
fernet_keys = {key}
[keystone_authtoken]
auth_type = password
auth_url = http://keystone.test/v3
www_authenticate_uri = http://keystone.test/v3
username = nova-multi
password = password of nova-multi
project_name = service
user_domain_id = default
project_domain_id = default
"""
#: Of all stages of a run: one may go on with another's database.
_KEY = Fernet.generate_key().decode()
#: Real seconds after which a story that does not end has failed.
_PATIENCE = 60.0


class Killed(BaseException):
    """The worker's process ends here, without a word."""


class Clock:
    """Goes on only when it is told to."""

    def __init__(self) -> None:
        self.begin = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        self.seconds = 0.0

    def __call__(self) -> datetime.datetime:
        return self.begin + datetime.timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """The same in seconds."""
        return 1000.0 + self.seconds


class RealClock(Clock):
    """Goes on by itself."""

    def __call__(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class HookedStore(Store):
    """A store whose changes can be watched, as requests can at the wire."""

    hook: Callable[[str, str], None] | None = None


def _hooked(name: str) -> Any:
    method = getattr(Store, name)

    @functools.wraps(method)
    def run(self: HookedStore, *args: Any, **named: Any) -> Any:
        if self.hook:
            self.hook(f"store {name}", "before")
        result = method(self, *args, **named)
        if self.hook:
            self.hook(f"store {name}", "after")
        return result

    return run


for _name in (
    "advance",
    "save_progress",
    "set_object",
    "finish",
    "add_record",
    "update_record",
    "delete_record",
):
    setattr(HookedStore, _name, _hooked(_name))


@dataclasses.dataclass(frozen=True)
class Saved:
    """A state of everything, to go back to."""

    cloud: list[Any]
    database: Path
    seconds: float


def _copy(source: Path, target: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(source)) as begin,
        contextlib.closing(sqlite3.connect(target)) as end,
    ):
        begin.backup(end)


class Stage:
    """The service; its workers are run by the tests.

    :param folder: for its files; ``OS_CLIENT_CONFIG_FILE`` names the clouds.yaml there.
    :param database: to begin with a copy of.
    :ivar tools: of the API's process.
    """

    def __init__(
        self,
        cloud: Deployment,
        folder: Path,
        database: Path,
        *,
        transport: str = "rabbit://",
        clock: Clock | None = None,
    ) -> None:
        self.cloud, self.folder = cloud, folder
        _copy(database, folder / "state.sqlite")
        self.clock = cloud.clock = clock or Clock()
        scopes = {
            "nova-multi-admin": "project_id: p-service",
            "nova-multi-manager": f"domain_id: {DOMAIN}",
        }
        accounts = [_ACCOUNT.format(name=n, scope=s) for n, s in scopes.items()]
        (folder / "clouds.yaml").write_text("clouds:" + "".join(accounts))
        file = folder / "nova-multi.conf"
        file.write_text(
            _CONFIGURATION.format(
                folder=folder,
                domain=DOMAIN,
                transport=transport,
                key=_KEY,
            )
        )
        self.conf = assembly.configuration([], "test", files=[str(file)])
        self.has_bus = bus.is_configured(self.conf)
        self.tools = self.process()
        self.store = self.tools.store
        self.application = create_app(self.conf, Provisioning(self.tools))
        self.client = Client(self.application)
        self.operator = cloud.keystone.issue("user-operator", "p-lab")
        self._workers: list[Worker] = []
        self._worker: Worker | None = None

    def process(self) -> Tools:
        """What one process of the service has; workers of others hear of it."""
        made = assembly.tools(self.conf, None if self.has_bus else Local())
        made.store.close()
        store = HookedStore(self.conf.database.connection, clock=self.clock)
        return dataclasses.replace(made, store=store, clock=self.clock)

    def sibling(self) -> Tools:
        """Of another process on the same machine: sockets are all that they share."""
        store = HookedStore(self.conf.database.connection, clock=self.clock)
        return dataclasses.replace(self.tools, store=store, signals=Local(), memory={})

    def another_api(self) -> Client:
        """A client of another process with the API."""
        return Client(create_app(self.conf, Provisioning(self.sibling())))

    def close(self) -> None:
        """End everything."""
        for worker in self._workers:
            worker.stop()
            worker._pool.shutdown(wait=True)
            worker._tools.store.close()
        self.store.close()

    # -- clients

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        status: int | tuple[int, ...] | None = None,
        token: str | None = "operator",
        **more: Any,
    ) -> TestResponse:
        """A request as curl sends it: without a content type."""
        headers = dict(more.pop("headers", {}))
        if token:
            headers["X-Auth-Token"] = self.operator if token == "operator" else token
        if body is not None:
            more["data"] = body if isinstance(body, bytes) else json.dumps(body)
        answer = self.client.open(path, method=method, headers=headers, **more)
        if status is not None:
            wanted = status if isinstance(status, tuple) else (status,)
            told = f"{method} {path}: {answer.status} {answer.get_data(as_text=True)}"
            assert answer.status_code in wanted, told
        return answer

    def get(self, path: str) -> Any:
        """What there is, as JSON."""
        return self("GET", path, status=200).json

    def error(self, method: str, path: str, body: Any, status: int, **more: Any) -> Any:
        """The error of a request that is refused."""
        return self(method, path, body, status, **more).json["error"]

    # -- workers

    def worker(self, name: str = "one", threads: int = 4) -> Worker:
        """A worker of a process of its own."""
        tools = self.sibling()
        made = Worker(
            tools,
            Runner(tools),
            name,
            threads=threads,
            monotonic=self.clock.monotonic,
        )
        self._workers.append(made)
        return made

    def work(
        self,
        worker: Worker | None = None,
        until: Callable[[], bool] | None = None,
    ) -> None:
        """Let a worker work until no task is left, or ``until`` says so.

        Waiting takes no time: the clock is moved when nothing is going on.
        """
        if worker is None:
            worker = self._worker = self._worker or self.worker()
        done = until or self.idle
        deadline = time.monotonic() + _PATIENCE
        while not done():
            worker.turn()
            if worker._running:
                with worker._changed:
                    if worker._running:
                        worker._changed.wait(0.02)
            else:
                self.clock.seconds += 0.2
            if time.monotonic() > deadline:
                left = [t for t in self.store.tasks(None) if not t.is_final]
                raise AssertionError(f"these don't end: {left}")

    def idle(self) -> bool:
        """Whether every task has ended."""
        return self.store.next_due() is None and not any(
            not task.is_final for task in self.store.tasks(None, limit=1000)
        )

    def task(self, accepted: Any) -> Any:
        """The task of an answer, as users see it."""
        return self.get(f"/v1/tasks/{accepted.json['task']}")

    def do(self, method: str, path: str, body: Any = None, end: str = "") -> Any:
        """Ask for what takes time, have it done, and see how it ended."""
        accepted = self(method, path, body, 202)
        self.work()
        task = self.task(accepted)
        if end:
            assert task["status"] == end, task
        return task

    @contextlib.contextmanager
    def watched(self, hook: Callable[[str, str], None]) -> Iterator[None]:
        """Have everything told that workers do."""
        self.cloud.hook = HookedStore.hook = hook
        try:
            yield
        finally:
            self.cloud.hook = HookedStore.hook = None

    # -- the same again

    def save(self) -> Saved:
        """Everything as it is, in the cloud and in the database."""
        path = self.folder / f"saved-{len(list(self.folder.glob('saved-*')))}"
        _copy(self.folder / "state.sqlite", path)
        return Saved(self.cloud.save(), path, self.clock.seconds)

    def restore(self, saved: Saved) -> None:
        """Make everything as it was; workers must have ended."""
        self.cloud.restore(saved.cloud)
        _copy(saved.database, self.folder / "state.sqlite")
        self.clock.seconds = saved.seconds
        self._worker = None
        self.operator = self.cloud.keystone.issue("user-operator", "p-lab")

    # -- what tests begin with

    def ready(self) -> Stage:
        """A partition, an environment, and provisioners."""
        self.do("POST", "/v1/partitions", {"name": "dev_co"}, "created")
        body = {"name": "dev", "partition": "dev_co"}
        self.do("POST", "/v1/environments", body, "created")
        for body in (
            {"name": "plain", "image": "debian", "memory": 1, "cpus": 1},
            {"name": "site", "image": "debian", "script": "echo made\n"},
        ):
            self("POST", "/v1/provisioners", body, 201)
        return self
