# SPDX-License-Identifier: Apache-2.0
"""The service on a cloud in memory, with a clock that the tests move."""

import contextlib
import dataclasses
import datetime
import functools
import itertools
import shutil
import uuid

import pytest
import sqlalchemy as sa

from nova_multi.domain.driver import Driver
from nova_multi.domain.provisioner import Ways
from nova_multi.domain.publish import Publish
from nova_multi.provision import fetch, sealing
from nova_multi.provision.audit import Audit
from nova_multi.provision.provisioning import Provisioning
from nova_multi.provision.runner import Runner
from nova_multi.provision.sealing import Seal
from nova_multi.provision.service import Accepted, Caller, Scope
from nova_multi.provision.settings import Settings
from nova_multi.provision.store import Fenced, FileStore, Store, db_sync
from nova_multi.provision.tools import Tools
from tests.fixtures.fake_cloud import FakeClouds, World
from tests.fixtures.image_files import partitioned

#: A disk that has one partition, and nothing in it.
DISK = partitioned()
START = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)
ADMIN = Caller(
    "user-a", "p-admin", frozenset({"admin"}), "req-1", "198.51.100.7", admin=True
)
NOWHERE = Scope()


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.at = START

    def __call__(self):
        return self.at

    def forward(self, seconds):
        self.at += datetime.timedelta(seconds=seconds)


class Killed(BaseException):
    """The worker's process ends here, without a word."""


class HookedStore(Store):
    """A store whose changes go through the hook of the world, too."""

    world = None


def _hooked(name):
    method = getattr(Store, name)

    @functools.wraps(method)
    def run(self, *args, **named):
        if self.world:
            self.world.called(f"store.{name}", "before")
        result = method(self, *args, **named)
        if self.world:
            self.world.called(f"store.{name}", "after")
        return result

    return run


for _name in (
    "claim",
    "advance",
    "save_progress",
    "set_object",
    "finish",
    "accept",
    "add_record",
    "update_record",
    "delete_record",
    "append_log",
    "add_request_id",
):
    setattr(HookedStore, _name, _hooked(_name))


class Stage:
    """A service with its cloud, and workers that are run by hand."""

    def __init__(self, url, folder, *, single=False, **settings):
        settings.setdefault("ways", Ways(secrets_in_user_data=True))
        self.clock = Clock()
        self.world = World(self.clock)
        self.audited = []
        numbers = itertools.count(1)
        self.tools = Tools(
            store=HookedStore(url, clock=self.clock),
            clouds=FakeClouds(self.world, single=single),
            files=FileStore(folder),
            settings=Settings(**settings),
            audit=Audit(lambda kind, event: self.audited.append((kind, event))),
            seal=Seal([sealing.new_key()]),
            clock=self.clock,
            new_uuid=lambda: str(uuid.UUID(int=next(numbers))),
        )
        self.store = self.tools.store
        self.store.world = self.world
        # No power cut is tested here, and there are thousands of transactions.
        sa.event.listen(
            self.store._database.engine,
            "connect",
            lambda connection, _: connection.execute("PRAGMA synchronous = OFF"),
        )
        self.service = Provisioning(self.tools)
        self.world.add_machine("node1")
        self.world.add_image("debian", min_memory_mb=64)
        self.world.add_image("alpine-docker", "docker")

    def fresh(self):
        """A process of its own: nothing is remembered but what the store has."""
        tools = dataclasses.replace(self.tools, memory={})
        return Runner(tools)

    def work(self, *, worker="w1", runner=None, turns=300, until=None):
        """Run tasks until all have ended, or ``until`` says so.

        Waiting takes no time: the clock is moved.
        """
        runner = runner or self.fresh()
        lease = self.tools.settings.lease
        held = {}
        for _ in range(turns):
            for claimed in self.store.claim(worker, 100, lease):
                held[claimed.task.uuid] = runner.begin(claimed)
            if until and until():
                return held
            if not held:
                if self.store.next_due() is None:
                    return held
                self.clock.forward(1)
            pauses = []
            for key, work in list(held.items()):
                try:
                    pause = runner.run(work)
                except Fenced:
                    pause = None
                if pause is None:
                    del held[key]
                else:
                    pauses.append(pause)
            if pauses:
                self.clock.forward(max(min(pauses), 0.1))
                for work in held.values():
                    work.hold()
        raise AssertionError(
            "no end: "
            + ", ".join(f"{w.task.type} {w.begun} {w.state}" for w in held.values())
        )

    def die_before(self, calls, runner=None):
        """Let a worker die before one of its calls to the cloud or the store.

        :returns: whether it came that far.
        """
        left = itertools.count(calls, -1)

        def hook(name, moment):
            if moment == "before" and next(left) == 0:
                raise Killed

        self.world.hook = hook
        try:
            self.work(worker="dying", runner=runner)
        except Killed:
            return True
        finally:
            self.world.hook = None
        return False

    def forget_leases(self):
        """So much later that everybody's lease has ended."""
        self.clock.forward(self.tools.settings.lease + 1)

    # -- what tests begin with

    def done(self, accepted):
        """Run a task to its end."""
        assert isinstance(accepted, Accepted)
        self.work()
        return self.store.task(accepted.task_uuid)

    def partition(self, name="dev_co"):
        """A partition that stands."""
        task = self.done(self.service.partitions.create(ADMIN, {"name": name}, NOWHERE))
        assert task.status == "created", task.history[-1].message
        return task

    def environment(self, name="dev", partition="dev_co", **fields):
        """An environment that stands."""
        fields = {"name": name, "partition": partition, **fields}
        task = self.done(self.service.environments.create(ADMIN, fields, NOWHERE))
        assert task.status == "created", task.history[-1].message
        return task

    def provisioner(self, name="plain", image="debian", **fields):
        """A provisioner."""
        fields = {"name": name, "image": image, **fields}
        return self.service.provisioners.create(ADMIN, fields, NOWHERE)

    def ready(self):
        """A partition, an environment and two provisioners."""
        self.partition()
        self.environment()
        self.provisioner()
        self.provisioner("site", script="echo made\n")
        return self

    def accept(self, name="web", **fields):
        """Ask for an instance."""
        fields = {
            "name": name,
            "environment": "dev",
            "provisioner": "plain",
            **fields,
        }
        if "publish" in fields:
            fields["publish"] = tuple(map(Publish.parse, fields["publish"]))
        return self.service.instances.create(ADMIN, fields, NOWHERE)

    def instance(self, name="web", **fields):
        """An instance that stands."""
        task = self.done(self.accept(name, **fields))
        assert task.status == task.goal, task.history[-1].message
        return task

    def speak(self, name, *ends, exit_code=0):
        """What the guest of that name writes on its console."""
        self.world.consoles[name] = lambda data: console_text(data, ends, exit_code)


def nonce_of(user_data):
    """The nonce in a guest's user-data."""
    line = next(x for x in user_data.splitlines() if x.startswith("nm_nonce="))
    return line.split("'")[1]


def console_text(user_data, lines=("made",), exit_code=0, reports=()):
    """A console as the wrapper would write it.

    :param reports: what the script tells, before the lines of its log.
    """
    nonce = nonce_of(user_data)
    words = ["begin", "phase run", *reports, *(f"log {each}" for each in lines)]
    if exit_code is not None:
        words += [f"exit {exit_code}", "end"]
    marked = [f"@nova-multi {nonce} {n} {each}" for n, each in enumerate(words, 1)]
    return "\n".join(["[    0.1] Linux", *marked, "login: "])


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A database with tables, to be copied."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite"
    db_sync(f"sqlite:///{path}")
    return path


@pytest.fixture
def make_stage(empty_database, tmp_path):
    """Makes stages, each with a database of its own."""
    stages = []

    def make(**options):
        number = len(stages)
        path = tmp_path / f"{number}.sqlite"
        shutil.copy(empty_database, path)
        stage = Stage(f"sqlite:///{path}", tmp_path / f"files{number}", **options)
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.store.close()


@pytest.fixture
def stage(make_stage):
    """A service with nothing in it."""
    return make_stage()


__all__ = ["ADMIN", "NOWHERE", "Driver"]


@pytest.fixture
def from_nowhere(monkeypatch):
    """Images come from nowhere, and are small ones."""

    @contextlib.contextmanager
    def opened(url, *args):
        yield iter([DISK[:100], DISK[100:]])

    monkeypatch.setattr(fetch, "opened", opened)


@pytest.fixture
def built(stage):
    """A service with a partition and images for the shop."""
    from tests.unit.provision import shop

    return shop.furnish(stage)
