# SPDX-License-Identifier: Apache-2.0
"""Each call of each type of task fails once, and dies once.

What fails is taken back whole, and the task says step, resource and cause. What dies is
taken over by another worker: nothing is lost, nothing is doubled.
"""

import contextlib
import itertools

import pytest

from nova_multi.domain.errors import Conflict, NameTaken
from nova_multi.domain.image import ImageType
from nova_multi.domain.publish import Publish
from nova_multi.domain.task import TaskType
from nova_multi.provision import fetch
from nova_multi.provision.steps import PROCEDURES
from tests.unit.provision.conftest import ADMIN, DISK, NOWHERE, Killed

CAUSE = "it just does not work"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Images come from nowhere."""

    @contextlib.contextmanager
    def opened(url, *args):
        yield iter([DISK])

    monkeypatch.setattr(fetch, "opened", opened)


class Case:
    """A type of task: what it needs, how it is asked for, and what makes it undone.

    :ivar prepare: what stands before each attempt.
    :ivar accept: asks for it, under a number of its own.
    :ivar clean: takes away what a success has made, so that the next attempt begins
        with the same.
    """

    def __init__(self, type, prepare, accept, clean=None):
        self.type = type
        self.prepare = prepare
        self.accept = accept
        self.clean = clean

    def __repr__(self):
        return str(self.type)


def _ready(stage):
    stage.ready()


def _with_instance(stage):
    stage.ready()
    stage.instance("old", publish=["1000:80"])


def _create_instance(stage, number):
    stage.speak(f"web{number}", "made")
    return stage.accept(f"web{number}", provisioner="site", publish=["8080:80", "81"])


def _ready_with_a_full_host(stage):
    stage.ready()
    stage.world.add_machine("node2")
    # The administrator's role in the project comes with the first and stays.
    stage.instance()
    stage.done(stage.service.instances.delete(ADMIN, "web", NOWHERE))
    stage.world.refusing["node1"] = "unplaced"


def _create_refused(stage, number):
    return stage.accept(f"web{number}", publish=["8080:80"])


def _delete_instance(stage, number):
    stage.done(stage.service.instances.delete(ADMIN, f"web{number}", NOWHERE))
    if not stage.world.forwardings:
        # The address belongs to the environment and stays; the next attempt is to
        # make it again.
        stage.world.addresses.clear()
        for record in stage.store.list_records("address"):
            stage.store.delete_record("address", record.uuid)


def _clone(stage, number):
    fields = {"name": f"web{number}"}
    return stage.service.instances.clone(ADMIN, "old", fields, NOWHERE)


def _republish(stage, number):
    fields = {"publish": (Publish(1000, 80), Publish(2000, 90))}
    return stage.service.instances.change(ADMIN, "old", fields, NOWHERE)


def _republish_back(stage, number):
    fields = {"publish": (Publish(1000, 80),)}
    stage.done(stage.service.instances.change(ADMIN, "old", fields, NOWHERE))


def _create_environment(stage, number):
    fields = {"name": f"env{number}", "partition": "dev_co", "users": ("alice",)}
    return stage.service.environments.create(ADMIN, fields, NOWHERE)


def _delete_environment(stage, number):
    stage.done(stage.service.environments.delete(ADMIN, f"env{number}", NOWHERE))


def _partition_with_host(stage):
    stage.world.users["alice"] = type(
        "User", (), {"id": "user-alice", "name": "alice"}
    )()
    stage.partition()
    stage.done(stage.service.partitions.add_host(ADMIN, "dev_co", "node1"))


def _create_partition(stage, number):
    return stage.service.partitions.create(ADMIN, {"name": f"part{number}"}, NOWHERE)


def _delete_partition(stage, number):
    stage.done(stage.service.partitions.delete(ADMIN, f"part{number}", NOWHERE))


def _add_host(stage, number):
    return stage.service.partitions.add_host(ADMIN, "dev_co", "node1")


def _remove_host(stage, number):
    stage.done(stage.service.partitions.remove_host(ADMIN, "dev_co", "node1"))


def _create_image(stage, number):
    fields = {
        "name": f"img{number}",
        "type": ImageType.DISK,
        "download_url": "https://images.example.org/a",
    }
    return stage.service.images.create(ADMIN, fields, NOWHERE)


def _delete_image(stage, number):
    stage.done(stage.service.images.delete(ADMIN, f"img{number}", NOWHERE))


MAKING = [
    Case(TaskType.CREATE_INSTANCE, _ready, _create_instance, _delete_instance),
    Case(
        TaskType.CREATE_INSTANCE,
        _ready_with_a_full_host,
        _create_refused,
        _delete_instance,
    ),
    Case(TaskType.CLONE_INSTANCE, _with_instance, _clone, _delete_instance),
    Case(TaskType.UPDATE_INSTANCE, _with_instance, _republish, _republish_back),
    Case(
        TaskType.CREATE_ENVIRONMENT,
        _partition_with_host,
        _create_environment,
        _delete_environment,
    ),
    Case(
        TaskType.CREATE_PARTITION, lambda s: None, _create_partition, _delete_partition
    ),
    Case(TaskType.ADD_HOST, lambda s: s.partition(), _add_host, _remove_host),
    Case(TaskType.CREATE_IMAGE, lambda s: None, _create_image, _delete_image),
]


def picture(stage):
    """All that stands, in the cloud and in the records."""
    kinds = ("partition", "environment", "instance", "image", "address", "entering")
    records = {
        kind: sorted(record.name for record in stage.store.list_records(kind))
        for kind in kinds
    }
    grants = sorted(stage.world.grants)
    hosts = {each.name: each.hosts for each in stage.world.aggregates.values()}
    keys = {
        each.name: sorted(k for k in each.metadata if k.startswith("filter"))
        for each in stage.world.aggregates.values()
    }
    ports = {k: p.security_groups for k, p in stage.world.ports.items()}
    return stage.world.left(), records, grants, hosts, keys, ports


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("case", MAKING, ids=repr)
def test_what_fails_is_taken_back(stage, case, when):
    case.prepare(stage)
    for number in itertools.count():
        before = picture(stage)
        accepted = case.accept(stage, number)
        # An answer that came from before the failure is not kept.
        left = itertools.count(number, -1)
        failed = []

        def hook(name, moment, left=left, failed=failed):
            if name.startswith("store.") or moment != when:
                return
            if next(left) == 0:
                failed.append(name)
                raise Conflict(f"{name}: {CAUSE}")

        stage.world.hook = hook
        stage.work()
        stage.world.hook = None
        task = stage.store.task(accepted.task_uuid)
        if not failed:
            assert task.status == task.goal, task.history[-1].message
            break
        told = task.history[-1].message
        if task.status != "error":
            # It stood already when it failed.
            assert task.status == task.goal, failed
            read_only = ("servers.action", "servers.actions", "servers.console_log")
            assert failed[0] in (*read_only, "servers.server"), failed
            case.clean(stage, number)
            assert picture(stage) == before or case.type.verb == "update", failed
            continue
        assert told.startswith("step "), told
        assert f"{failed[0]}: {CAUSE}" in told, told
        assert "could not be taken back" not in told, told
        if "kept" not in told:
            assert picture(stage) == before, (failed, told)
        else:
            case.clean(stage, number)
    assert number > 1


# Death after a call is death before the next one: nothing in between lives on. After
# the last call, which ends the task, there is nothing to take over.


@pytest.mark.parametrize("case", MAKING, ids=repr)
def test_what_dies_is_taken_over(stage, case):
    case.prepare(stage)
    expected = None
    for number in itertools.count():
        before = picture(stage)
        accepted = case.accept(stage, number)
        died = stage.die_before(number)
        stage.forget_leases()
        stage.work()
        task = stage.store.task(accepted.task_uuid)
        assert task.status == task.goal, (number, task.history[-1].message)
        assert len({change.status for change in task.history}) == len(task.history)
        # What the guest wrote is there once.
        told = 1 if task.goal == "provisioned" else 0
        assert task.log.splitlines().count("made") == told, number
        now = {kind: len(each) for kind, each in picture(stage)[0].items()}
        expected = expected or now
        assert now == expected, number
        case.clean(stage, number)
        assert picture(stage)[0] == before[0], number
        if not died:
            break
    assert number > 5


REMOVING = [
    ("instance", _with_instance, "instances", "old"),
    ("environment", _ready, "environments", "dev"),
    ("partition", lambda s: s.partition(), "partitions", "dev_co"),
]


@pytest.mark.parametrize(
    ("kind", "prepare", "noun", "name"), REMOVING, ids=[r[0] for r in REMOVING]
)
def test_a_delete_that_dies_is_taken_over(make_stage, kind, prepare, noun, name):
    for number in itertools.count():
        stage = make_stage()
        prepare(stage)
        accepted = getattr(stage.service, noun).delete(ADMIN, name, NOWHERE)
        died = stage.die_before(number)
        stage.forget_leases()
        stage.work()
        task = stage.store.task(accepted.task_uuid)
        assert task.status == "deleted", (number, task.history[-1].message)
        assert stage.store.list_records(kind) == []
        if not died:
            break
        number += 1
    assert number > 3


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("kind", "prepare", "noun", "name"), REMOVING, ids=[r[0] for r in REMOVING]
)
def test_a_delete_that_fails_can_be_repeated(
    make_stage, kind, prepare, noun, name, when
):
    for number in itertools.count():
        stage = make_stage()
        prepare(stage)
        accepted = getattr(stage.service, noun).delete(ADMIN, name, NOWHERE)
        left = itertools.count(number, -1)
        failed = []

        def hook(called, moment, left=left, failed=failed):
            if not called.startswith("store.") and moment == when and next(left) == 0:
                failed.append(called)
                raise Conflict(f"{called}: {CAUSE}")

        stage.world.hook = hook
        stage.work()
        stage.world.hook = None
        task = stage.store.task(accepted.task_uuid)
        if not failed:
            assert task.status == "deleted"
            break
        assert task.status == "error", failed
        assert f"{failed[0]}: {CAUSE}" in task.history[-1].message
        again = getattr(stage.service, noun).delete(ADMIN, name, NOWHERE)
        assert stage.done(again).status == "deleted", failed
        assert stage.store.list_records(kind) == []
    assert number > 1


def _power(verb):
    def accept(stage, number):
        return getattr(stage.service.instances, verb)(ADMIN, "old", NOWHERE)

    return accept


@pytest.mark.parametrize("verb", ["stop", "start", "restart"])
def test_power_is_switched_once(stage, verb):
    _with_instance(stage)
    (server_id,) = stage.world.servers
    for number in itertools.count():
        if verb == "start":
            stage.done(_power("stop")(stage, number))
        elif verb == "stop":
            stage.done(_power("start")(stage, number))
        stage.world.actions[server_id].clear()
        accepted = _power(verb)(stage, number)
        died = stage.die_before(number)
        stage.forget_leases()
        stage.work()
        assert stage.store.task(accepted.task_uuid).status == "done", number
        names = [action.name for action in stage.world.actions[server_id]]
        assert names == ["reboot" if verb == "restart" else verb], number
        if not died:
            break
    assert number > 2


@pytest.mark.parametrize("verb", ["stop", "start", "restart"])
def test_power_that_fails_says_why(stage, verb):
    _with_instance(stage)
    (server_id,) = stage.world.servers
    if verb == "start":
        stage.done(_power("stop")(stage, 0))
    call = "reboot" if verb == "restart" else verb

    def hook(name, when):
        if name == f"servers.{call}" and when == "before":
            raise Conflict(CAUSE)

    stage.world.hook = hook
    task = stage.done(_power(verb)(stage, 0))
    assert task.status == "error"
    assert task.history[-1].message.startswith(f"step {verb}, server old: {CAUSE}")


def test_every_type_of_task_is_tested():
    tested = {case.type for case in MAKING} | {
        TaskType.DELETE_INSTANCE,
        TaskType.DELETE_ENVIRONMENT,
        TaskType.DELETE_PARTITION,
        TaskType.START_INSTANCE,
        TaskType.STOP_INSTANCE,
        TaskType.RESTART_INSTANCE,
        TaskType.DELETE_IMAGE,
        TaskType.REMOVE_HOST,
        TaskType.UPDATE_ENVIRONMENT,
        # In test_apply_faults.
        TaskType.APPLY_ENVIRONMENT,
        TaskType.DESTROY_ENVIRONMENT,
        # In test_hours.
        TaskType.CLOSE_ENVIRONMENT,
        # In test_networks.
        TaskType.CREATE_NETWORK,
        TaskType.UPDATE_NETWORK,
        TaskType.DELETE_NETWORK,
        # In test_images_of_files.
        TaskType.UPDATE_IMAGE,
    }
    assert tested == set(PROCEDURES)


def test_what_can_not_be_taken_back_is_named(stage):
    stage.ready()
    stage.world.broken["web"] = "bad"
    accepted = stage.accept()

    def hook(name, when):
        if name == "networks.delete_port" and when == "before":
            raise Conflict("the port is stuck")

    stage.world.hook = hook
    stage.work()
    told = stage.store.task(accepted.task_uuid).history[-1].message
    assert "step active, server web: Nova: it was bad" in told
    assert "taken back: server" in told
    assert "could not be taken back: port web (the port is stuck)" in told
    # The others went all the same, and the name is free.
    assert stage.store.list_records("instance") == []


def test_a_server_that_never_goes_away_is_given_up(make_stage):
    stage = make_stage(build_timeout=20.0)
    stage.ready()
    stage.world.broken["web"] = "bad"
    accepted = stage.accept()

    def hook(name, when):
        if name == "servers.delete":
            stage.world.stuck.update(stage.world.servers)

    stage.world.hook = hook
    stage.work()
    task = stage.store.task(accepted.task_uuid)
    assert task.status == "error"
    assert "could not be taken back: server web" in task.history[-1].message
    assert "Nova does not delete it" in task.history[-1].message


def test_a_revert_that_dies_is_gone_on_with(stage):
    stage.ready()
    before = picture(stage)
    for number in itertools.count():
        stage.world.broken[f"web{number}"] = "bad"
        accepted = stage.accept(f"web{number}", publish=["8080:80"])
        left = itertools.count(number, -1)
        reverting = []

        def hook(name, moment, left=left, reverting=reverting):
            if name == "servers.delete":
                reverting.append(name)
            if reverting and moment == "before" and next(left) == 0:
                raise Killed

        stage.world.hook = hook
        died = False
        try:
            stage.work(worker="dying")
        except Killed:
            died = True
        stage.world.hook = None
        stage.forget_leases()
        stage.work()
        assert stage.store.task(accepted.task_uuid).status == "error"
        assert picture(stage) == before, number
        if not died:
            break
    assert number > 5


def test_a_worker_that_was_only_slow_doubles_nothing(stage):
    stage.ready()
    accepted = stage.accept()
    slow = []

    def hook(name, when):
        # It has asked for the server, and hears nothing for ages.
        if name == "servers.create" and when == "before" and not slow:
            slow.append(name)
            stage.forget_leases()
            stage.work(worker="other")

    stage.world.hook = hook
    stage.work(worker="slow")
    stage.world.hook = None
    assert stage.store.task(accepted.task_uuid).status == "created"
    record = stage.store.list_records("instance")[0]
    standing = set(stage.world.servers) - stage.world.deleting
    assert standing == {record.openstack_id}


def test_two_workers_share_a_burst(stage):
    stage.ready()
    accepted = stage.accept("grid", count=6)
    runners = {"a": stage.fresh(), "b": stage.fresh()}
    held = {}
    for _ in range(300):
        for worker, runner in runners.items():
            for claimed in stage.store.claim(worker, 1, 90):
                held[claimed.task.uuid] = (runner, runner.begin(claimed))
        for key, (runner, work) in list(held.items()):
            if runner.run(work) is None:
                del held[key]
        if not held and stage.store.next_due() is None:
            break
    assert stage.store.task(accepted.task_uuid).status == "created"
    assert len(stage.world.servers) == 6
    assert len(stage.world.ports) == 6


def test_two_first_ports_make_one_address(stage):
    stage.ready()
    first = stage.accept("web1", publish=["8080:80"])
    second = stage.accept("web2", publish=["8081:80"])
    stage.work()
    assert stage.store.task(first.task_uuid).status == "created"
    assert stage.store.task(second.task_uuid).status == "created"
    assert len(stage.world.addresses) == 1


def test_an_address_is_made_by_the_next_if_its_maker_failed(stage):
    stage.ready()
    refused = []

    def hook(name, when):
        if name == "publishing.create_address" and when == "before" and not refused:
            refused.append(name)
            raise Conflict("no address is left")

    stage.world.hook = hook
    first = stage.accept("web1", publish=["8080:80"])
    second = stage.accept("web2", publish=["8081:80"])
    stage.work()
    ends = {stage.store.task(each.task_uuid).status for each in (first, second)}
    assert ends == {"error", "created"}
    assert len(stage.world.addresses) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_request_that_dies_is_accepted_whole_or_not_at_all(stage, when):
    stage.ready()

    def hook(name, moment):
        if name.startswith("store.") and moment == when:
            raise Killed

    stage.world.hook = hook
    with pytest.raises(Killed):
        stage.accept("grid", count=3)
    stage.world.hook = None
    stage.work()
    expected = 3 if when == "after" else 0
    assert len(stage.store.list_records("instance")) == expected
    assert len(stage.world.servers) == expected
    # With the task that stands for all of them.
    tasks = stage.store.tasks(None, type=TaskType.CREATE_INSTANCE)
    assert len(tasks) == (4 if when == "after" else 0)
    assert {task.status for task in tasks} <= {"created"}


def test_a_taken_name_leaves_nothing_of_the_others(stage):
    stage.ready()
    stage.instance("grid-3")
    before = picture(stage)
    with pytest.raises(NameTaken, match="grid-3"):
        stage.accept("grid", count=4)
    assert picture(stage) == before
    assert stage.store.next_due() is None
