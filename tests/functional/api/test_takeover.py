# SPDX-License-Identifier: Apache-2.0
"""Workers die after each of their writes; another one goes on, and all is as it was
to be: nothing is lost, and nothing there twice."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from typing import Any

import pytest

from nova_multi.provision.worker import Worker
from tests.functional.api.stage import Killed, Stage

#: What a request or a change of the database begins with if it writes something.
_WRITES = ("POST", "PUT", "PATCH", "DELETE", "store")

WEB = {
    "name": "web",
    "environment": "dev",
    "provisioner": "site",
    "publish": ["8080:80", "53/udp"],
}
#: What is done, where something is there already: method, path, body.
ACTS: dict[str, tuple[str, str, Any]] = {
    "create instance": (
        "POST",
        "/v1/instances",
        {**WEB, "name": "web2", "publish": ["81"]},
    ),
    "publish": ("PUT", "/v1/instances/web", {"publish": ["8081:81", "53/udp"]}),
    "stop": ("POST", "/v1/instances/stop_instance/web", None),
    "restart": ("POST", "/v1/instances/restart_instance/web", None),
    "clone": ("POST", "/v1/instances/clone_instance/web", {"name": "web2"}),
    "delete instance": ("DELETE", "/v1/instances/web", None),
    "create environment": (
        "POST",
        "/v1/environments",
        {"name": "more", "partition": "dev_co", "users": [{"login": "alice"}]},
    ),
    "delete environment": ("DELETE", "/v1/environments/empty", None),
    "create partition": ("POST", "/v1/partitions", {"name": "other_co"}),
    "delete partition": ("DELETE", "/v1/partitions/empty_co", None),
    "apply": (
        "POST",
        "/v1/environments/dev/apply",
        {
            "definition": {
                "name": "dev",
                "instances": {"app": {"image": "debian"}},
            }
        },
    ),
    "add host": ("PUT", "/v1/partitions/empty_co/host/node2", None),
}


@dataclasses.dataclass
class Death:
    """Kills after so many writes, and lets nothing be done any more."""

    after: int | None = None
    writes: int = 0
    dead: bool = False
    last: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, what: str, moment: str) -> None:
        with self._lock:
            if self.dead:
                raise Killed
            if moment == "before" or not what.startswith(_WRITES):
                return
            if self.writes == self.after:
                self.dead, self.last = True, what
                raise Killed
            self.writes += 1


def _everything(stage: Stage) -> dict[str, Any]:
    """What must be the same whoever died: all objects, and what was done to servers."""
    state = stage.cloud.nova.state
    actions = {
        raw["name"]: sorted(each["action"] for each in state["actions"][key])
        for key, raw in state["servers"].items()
    }
    forwarded = sorted(
        (each["protocol"], each["internal_port"])
        for kept in stage.cloud.neutron.forwardings.values()
        for each in kept.values()
    )
    groups = stage.cloud.neutron.kept["security-groups"].values()
    ports = stage.cloud.neutron.kept["ports"].values()
    return {
        "counts": stage.cloud.counts(),
        "servers": {
            raw["name"]: (raw["status"], raw["OS-EXT-STS:task_state"])
            for raw in state["servers"].values()
        },
        "actions": actions,
        "forwarded": forwarded,
        "groups": sorted(raw["name"] for raw in groups),
        "ports": sorted((p["name"], len(p.get("security_groups", ()))) for p in ports),
        "tasks": sorted((t.type, t.status) for t in stage.store.tasks(None, limit=100)),
        "instances": stage.get("/v1/instances")["instances"]
        and sorted(each["name"] for each in stage.get("/v1/instances")["instances"]),
        "environments": sorted(
            (each["name"], each["state"])
            for each in stage.get("/v1/environments")["environments"]
        ),
    }


@pytest.fixture
def busy(stage: Stage) -> Stage:
    """A service with things to change and to delete."""
    stage.cloud.nova.add_machine("node2")
    stage("POST", "/v1/users", {"username": "alice"}, 201)
    stage.ready()
    stage.do("POST", "/v1/instances", WEB, "provisioned")
    stage.do("POST", "/v1/partitions", {"name": "empty_co"}, "created")
    body = {"name": "empty", "partition": "dev_co"}
    stage.do("POST", "/v1/environments", body, "created")
    return stage


def _die(stage: Stage, death: Death, threads: int) -> None:
    """Let a worker work until it dies, and its lease ends."""
    worker = stage.worker("dying", threads)
    with stage.watched(death):
        stage.work(worker, until=lambda: death.dead or stage.idle())
        if death.dead:
            _bury(worker)
    stage.clock.seconds += stage.tools.settings.lease + 1


def _bury(worker: Worker) -> None:
    """Wait until none of its threads does anything."""
    worker._pool.shutdown(wait=True)


@pytest.mark.parametrize("act", list(ACTS))
def test_after_each_write(busy: Stage, act: str) -> None:
    accepted = busy(*ACTS[act], 202).json["task"]
    saved = busy.save()
    whole = Death()
    with busy.watched(whole):
        busy.work(busy.worker("whole", threads=1))
    task = busy.store.task(accepted)
    assert task.status == task.goal, task.history[-1].message
    expected = _everything(busy)
    assert whole.writes > 3

    for number in range(whole.writes):
        busy.restore(saved)
        death = Death(after=number)
        _die(busy, death, threads=1)
        assert death.dead
        busy.work(busy.worker("heir", threads=1))
        assert _everything(busy) == expected, f"died after {death.last} ({number})"


@pytest.mark.parametrize("number", [60, 170, 350])
def test_in_the_middle_of_a_burst(busy: Stage, number: int) -> None:
    names = [f"burst{n}" for n in range(20)]
    for name in names:
        body = {"name": name, "environment": "dev", "provisioner": "plain"}
        # Small, so that there is room for all of them.
        more = {"memory": 256, "publish": ["80"]}
        busy("POST", "/v1/instances", {**body, **more}, 202)
    death = Death(after=number)
    _die(busy, death, threads=4)
    assert death.dead
    heirs = [busy.worker(f"heir{n}", threads=2) for n in range(2)]
    turns = itertools.cycle(heirs)
    while not busy.idle():
        heir = next(turns)
        busy.work(heir, until=lambda: True)
        heir.turn()
        busy.clock.seconds += 0.1

    assert busy.cloud.nova.names() == sorted([*names, "web"])
    assert busy.cloud.counts()["ports"] == len(names) + 1 + 2
    assert busy.cloud.counts()["forwardings"] == len(names) + 2
    assert busy.cloud.counts()["floatingips"] == 1
    outside = [
        each["external_port"]
        for kept in busy.cloud.neutron.forwardings.values()
        for each in kept.values()
    ]
    assert len(outside) == len(set(outside))
    for name in names:
        busy.do("DELETE", f"/v1/instances/{name}", end="deleted")
    assert busy.cloud.nova.names() == ["web"]
    assert busy.cloud.counts()["forwardings"] == 2
