# SPDX-License-Identifier: Apache-2.0
"""What the LXD engine does when LXD fails half-way. At the wire, LXD is imitated."""

import dataclasses
import json
import threading

import pytest

from nova_multi import exception, privsep
from nova_multi.inspection.roottree import Limits
from nova_multi.virt import engine as engine_module
from nova_multi.virt.engine import ContainerSpec, ImageKey, Interface
from nova_multi.virt.lxd import image, mapping, power
from nova_multi.virt.lxd.client import LXDClient
from nova_multi.virt.lxd.engine import LXDEngine
from tests.fixtures.lxd_wire import (
    Daemon,
    background,
    ended,
    error,
    sync,
    wait_path,
)

HOST = "node-lxd"
UUID = "7ccf313d-45b7-400c-8d86-9b90e56af815"
NAME = "instance-0000002a"
KEY = ImageKey("51061ca7-5b78-4f38-8461-4a792ed6d8c2", "cd" * 64)
INSTANCE = f"/1.0/instances/{NAME}"
ALIAS = f"/1.0/images/aliases/{mapping.alias(KEY)}"
SPEC = ContainerSpec(
    uuid=UUID,
    name=NAME,
    hostname="web-1",
    image=KEY,
    vcpus=1,
    memory_mb=64,
    disk_gb=1,
    pids=50,
    labels={},
)
ETH0 = Interface(
    port_id="aaaaaaaa-1111-4222-8333-444444444444",
    name="eth0",
    mac="fa:16:3e:00:00:01",
    mtu=1342,
    tap="lo",  # is there
    inner="innaaaaaaaa-11",
)


def record(status_code=102, power_state="STOPPED", **config):
    words = {102: "Stopped", 103: "Running"}
    ranges = [
        {"Isuid": True, "Isgid": True, "Hostid": 165536, "Nsid": 0, "Maprange": 65536}
    ]
    return {
        "name": NAME,
        "status": words[status_code],
        "status_code": status_code,
        "architecture": "x86_64",
        "ephemeral": False,
        "profiles": [],
        "description": "",
        "devices": {},
        "config": {
            "user.nova-multi.instance-uuid": UUID,
            "user.nova-multi.host": HOST,
            "volatile.idmap.next": json.dumps(ranges),
            "volatile.last_state.power": power_state,
            mapping.INTERFACES: "[]",
            **config,
        },
    }


@pytest.fixture
def daemon(tmp_path):
    with Daemon(str(tmp_path / "s")) as server:
        facts = {
            image.IMAGE_ID: KEY.image_id,
            image.CHECKSUM: KEY.checksum,
            image.SHELL: "true",
            image.INIT: "true",
        }
        server.answers |= {
            ("GET", ALIAS): sync({"target": "f"}),
            ("GET", "/1.0/images/f"): sync({"fingerprint": "f", "properties": facts}),
            ("GET", "/1.0/storage-pools/pool"): sync({"name": "pool", "driver": "dir"}),
            ("GET", "/1.0/instances"): sync([]),
        }
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def engine(daemon, tmp_path, monkeypatch):
    monkeypatch.setattr(power, "settle_time", lambda: 0.01)
    monkeypatch.setattr(privsep.files_context, "client_mode", False)
    monkeypatch.setattr("nova_multi.privsep.files._base", lambda: str(tmp_path))
    client = LXDClient(daemon.server_address, "ours", timeout=2)
    return LXDEngine(
        client,
        client,
        nova_host=HOST,
        project="ours",
        pool="pool",
        isolated=True,
        console_folder=str(tmp_path / "consoles"),
        limits=Limits(unpacked_bytes=2**20, members=10),
    )


def exists(daemon, *records):
    """Let LXD have the guest; several records are given one after another."""
    daemon.answers["GET", INSTANCE] = [sync(each) for each in records]
    daemon.answers["GET", "/1.0/instances"] = sync([records[0]])


def operation(daemon, method, path, *results):
    """Let a request be an operation that ends so, each time anew."""
    name = f"op{len(daemon.answers)}"
    daemon.answers[method, path] = background(name)
    daemon.answers["GET", wait_path(name)] = list(results)


def test_create_that_fails_leaves_nothing(daemon, engine, tmp_path):
    operation(daemon, "POST", "/1.0/instances", ended(400, "no space left"))
    with pytest.raises(exception.EngineError, match="no space left"):
        engine.create(SPEC)
    assert list((tmp_path / "consoles").iterdir()) == []


def test_create_that_takes_too_long_is_taken_back(daemon, engine):
    def half_made():
        exists(daemon, record())
        return ended(103)

    daemon.answers["POST", "/1.0/instances"] = background("making")
    daemon.answers["GET", wait_path("making")] = half_made
    operation(daemon, "DELETE", INSTANCE, ended(200))
    with pytest.raises(exception.EngineTimeout):
        engine.create(SPEC)
    assert daemon.requests()[-1] == ("DELETE", INSTANCE)


def test_create_whose_files_can_not_be_written_is_taken_back(daemon, engine):
    def made():
        exists(daemon, record())
        return ended(200)

    daemon.answers["POST", "/1.0/instances"] = background("making")
    daemon.answers["GET", wait_path("making")] = made
    daemon.answers["POST", f"{INSTANCE}/files"] = error(500, "no space left")
    operation(daemon, "DELETE", INSTANCE, ended(200))
    with pytest.raises(exception.EngineError, match="no space left"):
        engine.create(SPEC)
    assert daemon.requests()[-1] == ("DELETE", INSTANCE)


def test_create_beside_a_namesake_touches_nothing(daemon, engine):
    daemon.answers["GET", INSTANCE] = sync({"name": NAME, "config": {}})
    with pytest.raises(exception.GuestExists):
        engine.create(SPEC)
    assert daemon.requests() == []


@pytest.mark.parametrize(
    "facts, command, reason",
    [
        ({image.SHELL: "false"}, ("/app", "two words"), "/bin/sh"),
        ({image.INIT: "false"}, (), "/sbin/init"),
    ],
)
def test_command_that_the_image_can_not_run(daemon, engine, facts, command, reason):
    _, answer = daemon.answers["GET", "/1.0/images/f"]
    answer["metadata"]["properties"] |= facts
    with pytest.raises(exception.ImageRejected, match=reason):
        engine.create(dataclasses.replace(SPEC, command=command))
    assert daemon.requests() == []


def test_start_tells_what_liblxc_said(daemon, engine):
    exists(daemon, record())
    operation(daemon, "PUT", f"{INSTANCE}/state", ended(400, "exit status 1"))
    log = b"lxc x INFO nothing\nlxc x ERROR start - no such init\n"
    daemon.answers["GET", f"{INSTANCE}/logs/lxc.log"] = 200, log
    with pytest.raises(exception.EngineError, match="exit status 1.*no such init"):
        engine.start(UUID)


def test_start_waits_for_the_end_of_the_last_run(daemon, engine):
    ending, over = record(power_state="RUNNING"), record()
    exists(daemon, ending, ending, ending, over, record(103))
    results = [ended(400, 'busy running a "stop" operation'), ended(200)]
    operation(daemon, "PUT", f"{INSTANCE}/state", *results)
    engine.start(UUID)
    assert daemon.requests() == [("PUT", f"{INSTANCE}/state")] * 2


def test_start_that_was_never_connected_is_refused(daemon, engine):
    unconnected = record()
    del unconnected["config"][mapping.INTERFACES]
    exists(daemon, unconnected)
    with pytest.raises(exception.NetworkSetupError):
        engine.start(UUID)
    assert daemon.requests() == []


def test_guest_that_ends_while_it_is_killed(daemon, engine):
    exists(daemon, record(103), record(103), record(102))
    state = f"{INSTANCE}/state"
    operation(daemon, "PUT", state, ended(400, "The instance is already stopped"))
    engine.stop(UUID, 0)


def test_guest_that_can_not_be_killed(daemon, engine):
    exists(daemon, record(103))
    operation(daemon, "PUT", f"{INSTANCE}/state", ended(400, "stuck"))
    with pytest.raises(exception.EngineError, match="stuck"):
        engine.stop(UUID, 0)


def test_change_that_lost_against_another_is_repeated(daemon, engine):
    exists(daemon, record())
    daemon.answers["PUT", INSTANCE] = [error(412, "ETag doesn't match"), sync({})]
    engine.connect(UUID, [ETH0])
    assert daemon.requests() == [("PUT", INSTANCE)] * 2
    sent = json.loads(daemon.seen[-1][4])
    assert sent["devices"]["nova000"]["parent"] == ETH0.inner
    assert "status" not in sent


DNS = dataclasses.replace(ETH0, nameservers=("10.0.0.2",))
FILES = f"{INSTANCE}/files"


def create_after_another(daemon, engine, interfaces):
    """Make a guest when another one was connected so; its configuration."""
    exists(daemon, record())
    daemon.answers |= {
        ("PUT", INSTANCE): sync({}),
        ("POST", FILES): sync({}),
        ("DELETE", FILES): sync({}),
    }
    engine.connect(UUID, interfaces)
    del daemon.answers["GET", INSTANCE]
    operation(daemon, "POST", "/1.0/instances", ended(200))
    engine.create(SPEC)
    bodies = [seen[4] for seen in daemon.seen if seen[:2] == ("POST", "/1.0/instances")]
    fresh = record(**json.loads(bodies[-1])["config"])
    del fresh["config"][mapping.INTERFACES]
    exists(daemon, fresh)
    daemon.seen.clear()
    return fresh["config"]


def test_the_usual_resolver_is_written_while_ports_are_made(daemon, engine):
    config = create_after_another(daemon, engine, [DNS])
    assert "10.0.0.2" in config[mapping.RESOLVER]
    engine.connect(UUID, [DNS])
    assert daemon.requests() == [("PUT", INSTANCE)]


def test_another_resolver_than_usual_is_written(daemon, engine):
    create_after_another(daemon, engine, [DNS])
    engine.connect(UUID, [dataclasses.replace(DNS, nameservers=("10.9.9.9",))])
    assert daemon.requests() == [("DELETE", FILES), ("POST", FILES), ("PUT", INSTANCE)]
    assert b"10.9.9.9" in daemon.seen[-2][4]
    assert "10.9.9.9" in json.loads(daemon.seen[-1][4])["config"][mapping.RESOLVER]


def test_no_guest_keeps_a_resolver_that_its_network_has_not(daemon, engine):
    create_after_another(daemon, engine, [DNS])
    engine.connect(UUID, [ETH0])
    assert daemon.requests() == [("DELETE", FILES), ("PUT", INSTANCE)]
    assert mapping.RESOLVER not in json.loads(daemon.seen[-1][4])["config"]


def test_the_images_own_resolver_comes_back(daemon, engine):
    daemon.answers["GET", FILES] = 200, b"nameserver 192.0.2.1\n"
    create_after_another(daemon, engine, [DNS])
    engine.connect(UUID, [ETH0])
    assert daemon.requests() == [("DELETE", FILES), ("POST", FILES), ("PUT", INSTANCE)]
    assert daemon.seen[-2][4] == b"nameserver 192.0.2.1\n"
    # It is kept only until the guest is connected.
    assert engine._replaced == {}


def test_the_images_own_link_comes_back(daemon, engine, monkeypatch):
    link = "symlink", b"/run/resolv.conf"
    monkeypatch.setattr(LXDClient, "read_file", lambda *_: link)
    create_after_another(daemon, engine, [DNS])
    engine.connect(UUID, [ETH0])
    *_, headers, body = daemon.seen[-2]
    assert (headers["X-LXD-type"], body) == link


def test_a_resolver_stays_when_the_last_network_goes(daemon, engine):
    exists(daemon, record(**{mapping.RESOLVER: "nameserver 10.0.0.2\n"}))
    daemon.answers["PUT", INSTANCE] = sync({})
    engine.connect(UUID, [])
    assert daemon.requests() == [("PUT", INSTANCE)]
    assert "10.0.0.2" in json.loads(daemon.seen[-1][4])["config"][mapping.RESOLVER]


def test_connect_without_the_hosts_end(daemon, engine):
    exists(daemon, record())
    with pytest.raises(exception.NetworkSetupError):
        engine.connect(UUID, [dataclasses.replace(ETH0, tap="tapnowhere")])
    assert daemon.requests() == []


def test_renamed_guest_is_found_again(daemon, engine):
    exists(daemon, record())
    assert engine.guest(UUID).name == NAME
    renamed = record() | {"name": "renamed"}
    del daemon.answers["GET", INSTANCE]
    daemon.answers["GET", "/1.0/instances"] = sync([renamed])
    daemon.answers["GET", "/1.0/instances/renamed"] = sync(renamed)
    assert engine.guest(UUID).name == "renamed"


def test_namesake_of_a_lost_guest_is_not_ours(daemon, engine):
    exists(daemon, record())
    engine.guest(UUID)
    stranger = record() | {"config": {}}
    exists(daemon, stranger)
    with pytest.raises(exception.GuestNotFound):
        engine.stop(UUID, 0)
    engine.remove(UUID)
    assert daemon.requests() == []


def test_export_that_fails_leaves_no_snapshot(daemon, engine, tmp_path):
    exists(daemon, record())
    operation(daemon, "POST", f"{INSTANCE}/snapshots", ended(200))
    operation(daemon, "POST", "/1.0/images", ended(400, "no space left"))
    with pytest.raises(exception.EngineError, match="no space left"):
        engine.export(UUID, str(tmp_path / "image"))
    method, path = daemon.requests()[-1]
    assert method == "DELETE"
    assert path.startswith(f"{INSTANCE}/snapshots/nova-multi-")


def test_running_guest_rests_while_a_folder_pool_copies_it(daemon, engine, tmp_path):
    exists(daemon, record(103))
    operation(daemon, "PUT", f"{INSTANCE}/state", ended(200))
    operation(daemon, "POST", f"{INSTANCE}/snapshots", ended(400, "no space left"))
    with pytest.raises(exception.EngineError, match="no space left"):
        engine.export(UUID, str(tmp_path / "image"))
    states = [seen for seen in daemon.seen if seen[:2] == ("PUT", f"{INSTANCE}/state")]
    actions = [json.loads(seen[4])["action"] for seen in states]
    assert actions == ["freeze", "unfreeze"]


def test_image_in_use_is_kept(daemon, engine):
    label = mapping.USER + engine_module.LABEL_IMAGE
    exists(daemon, record(**{label: KEY.image_id}))
    with pytest.raises(exception.EngineConflict, match=NAME):
        engine.remove_image(KEY)
    assert daemon.requests() == []


def test_pool_that_is_not_mounted_yet(daemon, engine):
    pool = {"name": "pool", "driver": "btrfs", "status": "Unavailable"}
    daemon.answers["GET", "/1.0/storage-pools/pool"] = sync(pool)
    with pytest.raises(exception.EngineUnavailable, match="pool"):
        engine.info()


def test_pool_that_is_not_there(daemon, engine):
    del daemon.answers["GET", "/1.0/storage-pools/pool"]
    with pytest.raises(exception.ConfigurationError, match="pool"):
        engine.info()
