# SPDX-License-Identifier: Apache-2.0
"""Notifications move tasks, whatever order they come in, and however often."""

import datetime
import itertools

import pytest

from nova_multi.cloud import marks
from nova_multi.provision.events import Listener, read
from nova_multi.provision.signals import Local
from tests.unit.provision.conftest import ADMIN, NOWHERE, START, Killed

TASK = "11111111-2222-4333-8444-555555555555"


def stamp(second):
    """As oslo.messaging writes it: UTC without saying so."""
    return str((START + datetime.timedelta(seconds=second)).replace(tzinfo=None))


def payload(server_id="s1", task=TASK, host=None, new_task_state=None, **more):
    """The part of a versioned notification that is looked at, in its own form."""
    data = {
        "uuid": server_id,
        "host": host,
        "metadata": {marks.TASK_KEY: task} if task else {},
        "task_state": new_task_state,
        "request_id": "req-boot",
        **more,
    }
    if new_task_state:
        data["state_update"] = {
            "nova_object.name": "InstanceStateUpdatePayload",
            "nova_object.data": {"new_task_state": new_task_state, "state": "building"},
        }
    return {"nova_object.name": "InstancePayload", "nova_object.data": data}


#: The compute whose notifications are heard; a server has no host when its boot begins.
PUBLISHER = "nova-compute:node1"
#: A boot, as Nova tells it: type, payload's fields, second, status that it means.
BOOT = [
    ("instance.update", {"new_task_state": "scheduling"}, 1, None),
    ("instance.create.start", {}, 2, "dispatched"),
    ("instance.update", {"new_task_state": "networking"}, 3, "setting up"),
    ("instance.update", {"new_task_state": "spawning"}, 4, "creating"),
    ("instance.create.end", {"host": "node1"}, 5, "created"),
]


class Boot:
    """A server that is booting, and what hears of it."""

    def __init__(self, stage):
        self.stage = stage
        stage.ready()
        self.woken = []
        stage.tools.signals = Local()
        stage.tools.signals.on_wake = self.woken.append
        self.listener = Listener(stage.tools)
        self.task_uuid = stage.accept(provisioner="site").task_uuid
        self._until_there_is_a_server()
        (self.server_id,) = stage.world.servers
        self.project_id = stage.world.servers[self.server_id].project_id

    def _until_there_is_a_server(self):
        """Nova has it, and the worker has not heard so yet."""

        def hook(name, when):
            if name == "servers.create" and when == "after":
                raise Killed

        self.stage.world.hook = hook
        with pytest.raises(Killed):
            self.stage.work()
        self.stage.world.hook = None

    def hear(self, type, fields, second, status=None):
        fields = {
            "server_id": self.server_id,
            "task": self.task_uuid,
            "tenant_id": self.project_id,
            **fields,
        }
        self.listener.heard(type, payload(**fields), stamp(second), PUBLISHER)

    @property
    def task(self):
        return self.stage.store.task(self.task_uuid)

    def heard(self):
        """Statuses with the second at which they were true."""
        return {
            str(change.status): (change.at - START).total_seconds()
            for change in self.task.history
            if change.status not in ("pending", "dispatching")
        }


@pytest.fixture
def boot(stage):
    return Boot(stage)


def test_each_status_has_the_time_of_its_event(boot):
    for event in BOOT:
        boot.hear(*event)
    assert boot.heard() == {
        "dispatched": 2,
        "setting up": 3,
        "creating": 4,
        "created": 5,
    }
    assert "req-boot" in boot.task.request_ids
    # Only the end is worth a look; the rest would cost a request each.
    assert boot.woken == [boot.task_uuid]


@pytest.mark.parametrize(
    ("type", "fields", "wakes"),
    [
        ("instance.create.error", {}, True),
        ("instance.delete.end", {}, True),
        ("instance.power_on.end", {}, True),
        ("instance.update", {}, True),
        ("instance.update", {"new_task_state": "spawning"}, False),
        ("instance.power_on.start", {}, False),
    ],
)
def test_what_wakes(boot, type, fields, wakes):
    boot.hear(type, fields, 5)
    assert (boot.task_uuid in boot.woken) == wakes


@pytest.mark.parametrize("order", list(itertools.permutations(range(1, 5))))
def test_out_of_order_and_twice(make_stage, order):
    boot = Boot(make_stage())
    for number in order:
        boot.hear(*BOOT[number])
        boot.hear(*BOOT[number])
    assert boot.heard() == {
        "dispatched": 2,
        "setting up": 3,
        "creating": 4,
        "created": 5,
    }
    assert boot.task.status == "created"


def test_after_the_end_nothing_moves(boot):
    boot.stage.world.broken["web"] = "bad"
    boot.stage.forget_leases()
    boot.stage.work()
    before = boot.task
    assert before.status == "error"
    for event in BOOT:
        boot.hear(*event)
    after = boot.task
    assert after.status == "error"
    assert after.history == before.history


def test_the_worker_tells_what_was_not_heard(boot):
    boot.hear(*BOOT[3])
    boot.stage.speak("web")
    boot.stage.forget_leases()
    boot.stage.work()
    assert set(boot.heard()) >= {"dispatched", "creating", "created", "provisioned"}
    assert boot.heard()["creating"] == 4


def test_another_server_can_not_move_the_task(boot):
    boot.stage.world.stuck.add(boot.server_id)
    boot.stage.forget_leases()
    boot.stage.work(until=lambda: boot.task.object_uuid == boot.server_id)
    boot.hear("instance.create.end", {"server_id": "of-somebody-else"}, 5)
    assert "created" not in boot.heard()
    boot.hear("instance.create.end", {}, 5)
    assert "created" in boot.heard()


def test_a_server_of_another_project_never_moves_the_task(boot):
    """Whoever sees the task's UUID may write it on a server of their own."""
    for project in ("p-of-somebody-else", None):
        foreign = {"server_id": "of-somebody-else", "tenant_id": project}
        boot.hear("instance.create.end", foreign, 5)
        assert boot.heard() == {}
    boot.hear("instance.create.end", {}, 5)
    assert "created" in boot.heard()


def test_foreign_servers_are_left_alone(boot):
    boot.hear("instance.create.end", {"task": None}, 5)
    assert boot.heard() == {}
    assert boot.woken == []


def test_an_unknown_task_is_no_trouble(boot):
    boot.hear("instance.create.end", {"task": TASK}, 5)
    assert boot.heard() == {}


def test_other_tasks_of_the_server_are_woken(boot):
    boot.stage.speak("web")
    boot.stage.forget_leases()
    boot.stage.work()
    boot.woken.clear()
    accepted = boot.stage.service.instances.stop(ADMIN, "web", NOWHERE)
    boot.hear("instance.power_off.end", {}, 60)
    assert accepted.task_uuid in boot.woken
    # It is not this event that ends it, but what its worker then sees.
    assert boot.stage.store.task(accepted.task_uuid).status == "pending"


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"nova_object.data": None},
        {"nova_object.data": {"uuid": 5, "metadata": {marks.TASK_KEY: TASK}}},
        {"nova_object.data": {"uuid": "s", "metadata": {marks.TASK_KEY: 7}}},
        {"nova_object.data": {"uuid": "s", "metadata": {marks.TASK_KEY: "x"}}},
        {"nova_object.data": {"uuid": "s", "metadata": None}},
    ],
)
def test_what_can_not_be_read_is_nothing(broken):
    assert read("instance.update", broken, stamp(1)) is None


def test_other_objects_are_nothing():
    assert read("server_group.create", payload(), stamp(1)) is None


def test_a_time_that_can_not_be_read_is_now():
    event = read("instance.create.end", payload(), "yesterday")
    assert event.at.tzinfo is not None


def test_novas_own_sample():
    """Nova's own notification of an update, as its documentation shows it."""
    notification = pytest.importorskip("nova.notifications.objects.instance")
    names = notification.InstancePayload.fields
    for name in (
        "uuid",
        "tenant_id",
        "host",
        "metadata",
        "task_state",
        "request_id",
    ):
        assert name in names
    update = notification.InstanceUpdatePayload.fields
    assert "state_update" in update
    assert "new_task_state" in notification.InstanceStateUpdatePayload.fields
