# SPDX-License-Identifier: Apache-2.0
"""The service with a message bus: workers are woken, and hear what Nova says.

The bus is oslo.messaging's own in memory; time is real.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest

from nova_multi.cmd import assembly
from nova_multi.provision import bus
from tests.fixtures.deployment import Deployment
from tests.functional.api.stage import RealClock, Stage

#: Seconds that a state may take from Nova's word to the API.
PROMPT = 1.0
#: Seconds until anything at all has to have happened; the machine may be busy.
PATIENCE = 60.0


def wait_for(look: Callable[[], Any]) -> Any:
    """Look until there is something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.fixture
def told(cloud: Deployment) -> list[tuple[str, float]]:
    """Nova's notifications as they were sent, and when."""
    return []


@pytest.fixture
def stage(
    cloud: Deployment,
    empty_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: list[tuple[str, float]],
) -> Iterator[Stage]:
    """A service with a bus, a worker at work, and a Nova that goes on by itself."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    made = Stage(
        cloud, tmp_path, empty_database, transport="fake://", clock=RealClock()
    )
    notifier = oslo_messaging.Notifier(
        oslo_messaging.get_notification_transport(made.conf),
        "nova-compute:node1",
        driver="messaging",
        topics=[bus.NOTIFICATIONS],
    )

    def send(kind: str, payload: dict[str, Any]) -> None:
        told.append((kind, time.monotonic()))
        notifier.info({}, kind, payload)

    cloud.on_event = send
    tools = made.process()
    worker = assembly.worker(made.conf, tools, "one")
    ears = assembly.ears(made.conf, tools, worker)
    assert ears is not None and tools.settings.listening
    ears.start()
    for thread in ears._threads:
        thread.join(PATIENCE)
    working = threading.Thread(target=worker.run)
    working.start()
    yield made
    cloud.on_event = lambda kind, payload: None
    worker.stop()
    working.join(PATIENCE)
    assert not working.is_alive()
    ears.stop()
    made.store.close()


def _end(stage: Stage, answer: Any, end: str) -> Any:
    """A task's end; workers do it meanwhile."""
    path = f"/v1/tasks/{answer.json['task']}"
    task = wait_for(lambda: (t := stage.get(path))["status"] in (end, "error") and t)
    assert task["status"] == end, task["status_history"][-1]
    return task


def test_states_come_from_notifications(
    stage: Stage, told: list[tuple[str, float]]
) -> None:
    """Between two of its own looks the worker learns all from the bus."""
    _end(stage, stage("POST", "/v1/partitions", {"name": "co"}, 202), "created")
    body: dict[str, Any] = {"name": "dev", "partition": "co"}
    _end(stage, stage("POST", "/v1/environments", body, 202), "created")
    stage("POST", "/v1/provisioners", {"name": "plain", "image": "debian"}, 201)
    body = {"name": "web", "environment": "dev", "provisioner": "plain"}
    answer = stage("POST", "/v1/instances", body, 202)
    path = f"/v1/tasks/{answer.json['task']}"
    nova = stage.cloud.nova
    key = wait_for(lambda: next(iter(nova.state["servers"]), None))
    wait_for(lambda: stage.get(path)["object_uuid"] == key)
    for status in ("dispatched", "creating", "created"):
        begin = time.monotonic()
        with stage.cloud.lock:
            nova.step(key)
        wait_for(
            lambda status=status: (
                status in [each["status"] for each in stage.get(path)["status_history"]]
            )
        )
        assert time.monotonic() - begin < PROMPT, status
    task = _end(stage, answer, "created")
    assert [each["status"] for each in task["status_history"]] == [
        "pending",
        "dispatching",
        "dispatched",
        "setting up",
        "creating",
        "created",
    ]
    # Nova's records of a boot, where they are quicker, know no fractions of seconds.
    times = [each["at"].partition(".")[0] for each in task["status_history"]]
    assert times == sorted(times)
    assert task["request_ids"]
    assert [kind for kind, _ in told if kind.endswith(".end")] == [
        "instance.create.end"
    ]

    # A deletion is heard of, too: sooner than the next look.
    answer = stage("DELETE", "/v1/instances/web", None, 202)
    wait_for(lambda: "DELETE compute/servers/" + key in stage.cloud.lines())
    with stage.cloud.lock:
        nova.step(key)
    _end(stage, answer, "deleted")
    assert nova.names() == []


def test_a_worker_hears_of_work_at_once(stage: Stage) -> None:
    begin = time.monotonic()
    _end(stage, stage("POST", "/v1/partitions", {"name": "co"}, 202), "created")
    # Looks for work that nobody told of are further apart.
    assert time.monotonic() - begin < stage.conf.worker.look
