# SPDX-License-Identifier: Apache-2.0
"""A boot, step by step: each failure leaves nothing and tells step and host."""

import contextlib
import dataclasses
import json
import os
import shutil
import time
from concurrent import futures
from types import SimpleNamespace
from unittest import mock

import pytest
from nova import exception as nova_exception

from nova_multi import exception
from nova_multi.virt import spawn
from nova_multi.virt.engine import (
    ContainerState,
    GuestState,
    ImageFacts,
    ImageKey,
)
from tests.unit.virt.test_vif import PORT_A, PORT_B, nova_vif, subnet

HOST = "node-docker"
KEY = ImageKey("image-1", "abc")
FACTS = ImageFacts(shell=True, cloud_init=False)
SCRIPT = "IyEvYmluL3NoCg=="  # "#!/bin/sh\n"


class Host:
    """A machine on which everything leaves a trace, and anything can fail once."""

    def __init__(self, root):
        self.root = root
        self.guests = {}
        self.ports = set()
        self.alive = {}
        self.calls = []
        self.fail_at = {}
        self.state = GuestState.RUNNING
        self.flows = True
        self.engine = self
        self.images = SimpleNamespace(ensure=self._ensure)

    def trace(self):
        return (dict(self.guests), set(self.ports), sorted(os.listdir(self.root)))

    def _at(self, name):
        self.calls.append(name)
        error = self.fail_at.pop(name, None)
        if error is not None:
            raise error

    def _ensure(self, context, image_id):
        self._at("image")
        return KEY, FACTS

    # the engine
    def create(self, container):
        if container.uuid in self.guests:
            raise exception.GuestExists(container.uuid)
        self.guests[container.uuid] = container
        self._at("create")

    def prepare(self, uuid):
        self._at("prepare")

    def connect(self, uuid, interfaces):
        self._at("connect")

    def start(self, uuid):
        self._at("start")

    def stop(self, uuid, timeout):
        self._at("stop")

    def remove(self, uuid):
        self._at("remove")
        self.guests.pop(uuid, None)

    def attach(self, uuid, interface):
        self._at("attach")

    def detach(self, uuid, interface):
        self._at("detach")

    def guest(self, uuid):
        self._at("guest")
        return ContainerState(uuid, "n", self.state)

    def pause(self, uuid):
        self._at("pause")

    def unpause(self, uuid):
        self._at("unpause")

    # the node
    def plug(self, instance, vif, interface, *, alive=False):
        self.ports.add(vif["id"])
        self.alive[vif["id"]] = alive
        self._at(f"plug {interface.name}")

    def unplug(self, instance, vif):
        self._at("unplug")
        self.ports.discard(vif["id"])

    def flows_installed(self, ports, timeout):
        self._at(f"flows of {len(ports)}")
        return self.flows

    def folder_of(self, instance):
        return os.path.join(self.root, instance.uuid)

    def remove_folder(self, instance):
        self._at("remove folder")
        shutil.rmtree(self.folder_of(instance), ignore_errors=True)

    @contextlib.contextmanager
    def wait_for_ports(self, instance, network_info):
        yield
        self._at("wait")


@pytest.fixture
def host(tmp_path, monkeypatch):
    made = Host(str(tmp_path))
    monkeypatch.setattr(spawn.vif, "plug", made.plug)
    monkeypatch.setattr(spawn.vif, "unplug", made.unplug)
    monkeypatch.setattr(spawn.vif, "is_outside", lambda interface: False)
    monkeypatch.setattr(spawn.vif, "flows_installed", made.flows_installed)
    monkeypatch.setattr(spawn.configdrive, "required", lambda instance: True)
    monkeypatch.setattr(spawn.configdrive, "write", lambda *a: made._at("config drive"))
    return made


@pytest.fixture
def guests(host):
    return spawn.Guests(
        engine=host,
        images=host.images,
        host=HOST,
        pids_limit=100,
        folder_of=host.folder_of,
        remove_folder=host.remove_folder,
        wait_for_ports=host.wait_for_ports,
    )


@pytest.fixture
def instance():
    return SimpleNamespace(
        uuid="0b5fbd67-7a4b-4d31-9e54-b52e3ccd4d4d",
        name="instance-00000001",
        hostname="web",
        image_ref="image-1",
        user_data=SCRIPT,
        key_data=None,
        flavor=SimpleNamespace(vcpus=1, memory_mb=64, root_gb=1, extra_specs={}),
    )


@pytest.fixture
def network_info():
    return [
        nova_vif(PORT_A, subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.7")),
        nova_vif(PORT_B, subnet("10.1.0.0/24", "10.1.0.1", "10.1.0.7")),
    ]


@pytest.fixture
def request_(instance, network_info):
    meta = SimpleNamespace(properties={})
    return spawn.Request(None, instance, meta, [], None, network_info, True)


def test_the_order_of_a_boot(guests, host, request_):
    guests.boot(request_)
    assert host.calls == [
        "image",
        "config drive",
        "create",
        "prepare",
        "plug eth0",
        "plug eth1",
        "connect",
        "wait",
        "start",
    ]
    (container,) = host.guests.values()
    assert container.bootstrap == "/var/lib/nova-multi/bootstrap.sh"
    assert [m.target for m in container.mounts] == [
        "/var/lib/nova-multi",
        "/var/lib/cloud/seed/config_drive",
    ]


class Allocation:
    """Nova's network information, which waits for the ports when it is looked into."""

    def __init__(self, host, ports):
        self.host = host
        self.ports = ports

    def __iter__(self):
        self.host._at("ports")
        return iter(self.ports)


def with_allocation(request, host):
    ports = Allocation(host, request.network_info)
    return dataclasses.replace(request, network_info=ports)


def test_the_guest_is_made_while_nova_allocates_its_ports(
    guests, host, request_, monkeypatch
):
    monkeypatch.setattr(spawn.configdrive, "required", lambda instance: False)
    guests.boot(with_allocation(request_, host))
    assert host.calls[:5] == ["image", "create", "prepare", "ports", "plug eth0"]


def test_a_config_drive_waits_for_the_ports(guests, host, request_):
    guests.boot(with_allocation(request_, host))
    assert host.calls[:4] == ["image", "ports", "config drive", "create"]


def test_ports_that_nova_could_not_have_are_its_own_error(
    guests, host, request_, monkeypatch
):
    monkeypatch.setattr(spawn.configdrive, "required", lambda instance: False)
    host.fail_at["ports"] = nova_exception.NoMoreFixedIps(net="private")
    with pytest.raises(nova_exception.NoMoreFixedIps):
        guests.boot(with_allocation(request_, host))
    assert host.trace() == ({}, set(), [])


@pytest.fixture
def early(guests, host, request_, monkeypatch):
    """A boot that is told of its ports before Nova knows all about them."""
    monkeypatch.setattr(spawn.configdrive, "required", lambda instance: False)
    ports = request_.network_info
    told = dataclasses.replace(guests, bound_ports=lambda instance: ports)
    return told, with_allocation(request_, host)


def test_a_guest_starts_while_nova_goes_on_asking_for_its_ports(early, host):
    guests, request = early
    guests.boot(request)
    assert host.calls == [
        "image",
        "create",
        "prepare",
        "plug eth0",
        "plug eth1",
        "connect",
        "wait",
        "start",
        "ports",
    ]


@pytest.mark.parametrize("point", ["plug eth1", "connect", "wait", "start", "ports"])
def test_early_ports_are_unplugged_again(early, host, point):
    guests, request = early
    host.fail_at[point] = exception.EngineError("the engine's own words")
    with pytest.raises(nova_exception.InstanceDeployFailure):
        guests.boot(request)
    assert host.trace() == ({}, set(), [])


def test_a_guest_ends_before_its_wires_are_taken_away(early, host):
    guests, request = early
    host.fail_at["ports"] = exception.EngineError("Neutron is away")
    with pytest.raises(nova_exception.InstanceDeployFailure):
        guests.boot(request)
    undone = host.calls[host.calls.index("ports") + 1 :]
    assert undone == ["stop", "unplug", "unplug", "remove", "remove folder"]


def test_ports_that_nova_has_made_anew_are_an_error(early, host, network_info):
    guests, request = early
    anew = Allocation(host, network_info[:1])
    with pytest.raises(nova_exception.InstanceDeployFailure, match="a second time"):
        guests.boot(dataclasses.replace(request, network_info=anew))
    assert host.trace() == ({}, set(), [])


def test_what_nova_can_not_find_out_is_its_own_error(early, host):
    guests, request = early
    host.fail_at["ports"] = nova_exception.PortNotFound(port_id=PORT_A)
    with pytest.raises(nova_exception.PortNotFound):
        guests.boot(request)
    assert host.trace() == ({}, set(), [])


STEPS = {
    "image": "image",
    "config drive": "folder",
    "create": "create",
    "prepare": "prepare",
    "plug eth0": "plug",
    "plug eth1": "plug",
    "connect": "connect",
    "wait": "network",
    "start": "start",
}


@pytest.mark.parametrize("point", STEPS)
def test_a_failing_step_leaves_nothing_and_tells(guests, host, request_, point):
    host.fail_at[point] = exception.EngineError("the engine's own words")
    with pytest.raises(nova_exception.InstanceDeployFailure) as caught:
        guests.boot(request_)
    assert host.trace() == ({}, set(), [])
    for words in (f"'{STEPS[point]}'", HOST, "the engine's own words"):
        assert words in str(caught.value)


@pytest.mark.parametrize("undo", ["remove", "unplug", "remove folder"])
def test_an_undo_that_fails_does_not_stop_the_others(guests, host, request_, undo):
    host.fail_at.update(
        {
            "start": exception.EngineError("the first error"),
            undo: exception.EngineError("the second error"),
        }
    )
    with pytest.raises(nova_exception.InstanceDeployFailure, match="the first error"):
        guests.boot(request_)
    assert {"remove", "unplug", "remove folder"} <= set(host.calls)


def test_a_port_that_fails_to_unplug_does_not_keep_the_others(
    guests, host, instance, network_info
):
    host.ports = {PORT_A, PORT_B}
    host.fail_at["unplug"] = exception.NetworkSetupError("busy")
    with pytest.raises(exception.NetworkSetupError, match="busy"):
        guests.unplug(instance, network_info)
    assert host.ports == {PORT_A}


@pytest.mark.parametrize(
    "error",
    [
        exception.ImageRejected("x"),
        exception.UserDataRejected("x"),
        nova_exception.ImageNotAuthorized(image_id="i"),
    ],
)
def test_hopeless_errors_are_not_tried_elsewhere(guests, host, request_, error):
    host.fail_at["image"] = error
    with pytest.raises(nova_exception.BuildAbortException, match=HOST):
        guests.boot(request_)


def test_a_bad_user_data_is_refused_before_anything_is_made(guests, host, request_):
    request_.instance.user_data = "I2Nsb3VkLWNvbmZpZwo="
    with pytest.raises(nova_exception.BuildAbortException, match="cloud-init"):
        guests.boot(request_)
    assert host.trace() == ({}, set(), [])
    assert "create" not in host.calls


@pytest.mark.parametrize(
    "error",
    [
        nova_exception.InstanceNotFound(instance_id="x"),
        nova_exception.UnexpectedDeletingTaskStateError(
            instance_uuid="x", expected={}, actual={}
        ),
    ],
)
def test_a_server_deleted_meanwhile_is_novas_business(guests, host, request_, error):
    host.fail_at["wait"] = error
    with pytest.raises(type(error)):
        guests.boot(request_)
    assert host.trace() == ({}, set(), [])


def test_an_existing_guest_of_that_uuid_is_not_undone(guests, host, request_):
    host.guests[request_.instance.uuid] = "the first one"
    with pytest.raises(nova_exception.InstanceDeployFailure):
        guests.boot(request_)
    assert host.guests == {request_.instance.uuid: "the first one"}
    assert "remove" not in host.calls


def test_neutrons_errors_while_allocating_stay_novas_own(guests, host, request_):
    class Failing:
        def __iter__(self):
            raise nova_exception.NoMoreFixedIps(net="n")

    bad = spawn.Request(
        None, request_.instance, request_.image_meta, [], None, Failing(), True
    )
    with pytest.raises(nova_exception.NoMoreFixedIps):
        guests.boot(bad)


def test_a_shut_off_boot_has_no_network_that_answers(guests, host, request_):
    off = spawn.Request(
        None,
        request_.instance,
        request_.image_meta,
        [],
        None,
        request_.network_info,
        False,
    )
    guests.boot(off)
    assert not {"prepare", "connect", "start"} & set(host.calls)


def test_a_failed_start_keeps_the_guest(guests, host, request_, network_info):
    guests.boot(request_)
    host.state = GuestState.STOPPED
    host.fail_at["start"] = exception.EngineError("no")
    with pytest.raises(exception.EngineError):
        guests.start(request_.instance, network_info)
    assert request_.instance.uuid in host.guests
    assert "remove" not in host.calls


def names(host, instance):
    path = os.path.join(host.folder_of(instance), spawn.NAMES_FILE)
    with open(path, encoding="utf-8") as source:
        return json.load(source)


def test_attach_and_detach_keep_names(guests, host, request_, network_info):
    instance = request_.instance
    guests.boot(request_)
    guests.detach(instance, network_info[0])
    assert names(host, instance) == {PORT_B: "eth1"}
    third = nova_vif("cccc", subnet("10.2.0.0/24", "10.2.0.1", "10.2.0.7"))
    guests.attach(instance, third)
    assert names(host, instance) == {PORT_B: "eth1", "cccc": "eth0"}
    assert host.ports == {PORT_B, "cccc"}


def test_ports_attached_at_the_same_time_have_names_of_their_own(
    guests, host, request_, monkeypatch
):
    guests.boot(request_)
    load = spawn.vif.load_names

    def slowly(path):
        found = load(path)
        time.sleep(0.2)  # long enough for the other to read the same
        return found

    monkeypatch.setattr(spawn.vif, "load_names", slowly)
    net = subnet("10.2.0.0/24", None, "10.2.0.7")
    with futures.ThreadPoolExecutor() as pool:
        for port in ("cccc", "dddd"):
            pool.submit(guests.attach, request_.instance, nova_vif(port, net))
    found = names(host, request_.instance)
    assert sorted(found.values()) == ["eth0", "eth1", "eth2", "eth3"]


def test_a_failed_attach_is_undone(guests, host, request_):
    guests.boot(request_)
    third = nova_vif("cccc", subnet("10.2.0.0/24", None, "10.2.0.7"))
    host.fail_at["attach"] = exception.EngineError("no")
    with pytest.raises(spawn.BootFailed):
        guests.attach(request_.instance, third)
    assert host.ports == {PORT_A, PORT_B}
    assert host.calls[-2:] == ["detach", "unplug"]


def test_detaching_from_a_lost_guest_frees_the_port(guests, host, request_):
    guests.boot(request_)
    host.fail_at["detach"] = exception.GuestNotFound("gone")
    guests.detach(request_.instance, request_.network_info[0])
    assert host.ports == {PORT_B}


def test_late_word_of_a_deleted_port_brings_no_folder_back(guests, host, request_):
    guests.boot(request_)
    host.remove_folder(request_.instance)
    guests.detach(request_.instance, request_.network_info[0])
    assert host.ports == {PORT_B}
    assert not os.path.exists(host.folder_of(request_.instance))


def test_healing_gives_a_lost_interface_back(guests, host, request_, monkeypatch):
    guests.boot(request_)
    monkeypatch.setattr(spawn.vif, "is_outside", lambda i: i.name == "eth1")
    attach = mock.Mock()
    monkeypatch.setattr(host, "attach", attach)
    guests.heal_network(request_.instance, request_.network_info)
    (call,) = attach.call_args_list
    assert call.args[1].name == "eth1"


@pytest.fixture
def carrier(monkeypatch):
    found = {}

    def set_carrier(ports, up):
        found.update(dict.fromkeys(ports, up))

    monkeypatch.setattr(spawn.vif, "set_carrier", set_carrier)
    return found


def test_a_paused_guest_has_no_wires(guests, host, request_, carrier):
    guests.boot(request_)
    guests.pause(request_.instance)
    assert carrier == {PORT_A: False, PORT_B: False}
    guests.unpause(request_.instance)
    assert carrier == {PORT_A: True, PORT_B: True}
    assert host.calls[-2:] == ["pause", "unpause"]


def test_a_guest_that_can_not_be_paused_keeps_its_wires(
    guests, host, request_, carrier
):
    guests.boot(request_)
    host.fail_at["pause"] = exception.EngineConflict("it does not run")
    with pytest.raises(exception.EngineConflict):
        guests.pause(request_.instance)
    assert carrier == {}


@pytest.mark.parametrize(
    ("state", "alive"),
    [
        (GuestState.RUNNING, True),
        (GuestState.PAUSED, True),
        (GuestState.CHANGING, True),
        (GuestState.UNKNOWN, True),
        (GuestState.STOPPED, False),
        (GuestState.CRASHED, False),
    ],
)
def test_healing_touches_nothing_that_a_guest_may_hold(
    guests, host, request_, carrier, state, alive
):
    guests.boot(request_)
    host.state = state
    guests.heal_network(request_.instance, request_.network_info)
    assert host.alive == {PORT_A: alive, PORT_B: alive}


@pytest.mark.parametrize(
    ("state", "alive"),
    [
        (GuestState.STOPPED, False),
        (GuestState.CRASHED, False),
        (GuestState.CHANGING, True),
        (GuestState.UNKNOWN, True),
    ],
)
def test_a_start_trusts_no_interface_of_an_earlier_run(
    guests, host, request_, state, alive
):
    guests.boot(request_)
    host.state = state
    host.alive.clear()
    guests.start(request_.instance, request_.network_info)
    assert host.alive == {PORT_A: alive, PORT_B: alive}


@pytest.mark.parametrize("flows", [True, False])
def test_a_start_waits_for_the_flows_of_its_ports(guests, host, request_, flows):
    guests.boot(request_)
    host.state = GuestState.STOPPED
    host.flows = flows  # where OVN says nothing, the guest starts all the same
    host.calls.clear()
    guests.start(request_.instance, request_.network_info)
    assert host.calls[-3:] == ["connect", "flows of 2", "start"]


def test_a_start_without_ports_waits_for_nothing(guests, host, request_):
    guests.boot(request_)
    host.state = GuestState.STOPPED
    host.calls.clear()
    guests.start(request_.instance, [])
    assert host.calls == ["guest", "connect", "start"]


def test_healing_leaves_a_paused_guest_without_wires(guests, host, request_, carrier):
    guests.boot(request_)
    host.state = GuestState.PAUSED
    guests.heal_network(request_.instance, request_.network_info)
    assert carrier == {PORT_A: False, PORT_B: False}


def test_healing_does_not_mind_a_guest_that_is_gone(guests, host, request_):
    host.fail_at["guest"] = exception.GuestNotFound("gone")
    guests.heal_network(request_.instance, request_.network_info)
