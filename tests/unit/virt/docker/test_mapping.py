# SPDX-License-Identifier: Apache-2.0
"""Values for Docker, and Docker's for us."""

from __future__ import annotations

import dataclasses

import pytest

from nova_multi.virt.docker import mapping
from nova_multi.virt.engine import (
    ContainerSpec,
    GuestState,
    ImageKey,
    Mount,
)

KEY = ImageKey("0badcafe-0000-4000-8000-000000000001", "ab" * 64)
UUID = "11111111-2222-4333-8444-555555555555"
SPEC = ContainerSpec(
    uuid=UUID,
    name="instance-0000002a",
    hostname="web",
    image=KEY,
    vcpus=2,
    memory_mb=256,
    disk_gb=3,
    pids=99,
    labels={"nova-multi.host": "other", "more": "x"},
)


def config(changes=None, image_command=("/app",), **settings):
    return mapping.guest_config(
        dataclasses.replace(SPEC, **(changes or {})),
        image_command,
        host="node-docker",
        hold_binary="/usr/bin/hold",
        disk_limits=settings.get("disk_limits", True),
        no_new_privileges=settings.get("no_new_privileges", True),
    )


@pytest.mark.parametrize(
    ("word", "sandbox_runs", "exit_code", "expected"),
    [
        ("created", False, None, GuestState.STOPPED),
        ("running", True, None, GuestState.RUNNING),
        ("paused", True, None, GuestState.PAUSED),
        ("restarting", True, None, GuestState.CHANGING),
        ("removing", False, None, GuestState.CHANGING),
        ("dead", False, None, GuestState.CRASHED),
        ("exited", True, None, GuestState.CRASHED),
        ("exited", True, 137, GuestState.CRASHED),
        ("exited", True, 0, GuestState.STOPPED),
        ("exited", False, 143, GuestState.STOPPED),
        ("exited", False, None, GuestState.STOPPED),
        ("levitating", True, None, GuestState.UNKNOWN),
    ],
)
def test_state(word, sandbox_runs, exit_code, expected):
    found = mapping.state(word, sandbox_runs=sandbox_runs, exit_code=exit_code)
    assert found is expected


def test_image_name_and_back():
    name = mapping.image_name(KEY)
    assert mapping.image_key(name) == KEY
    # Docker's own limit of a tag; Glance's longest digest is as long.
    assert len(name.rpartition(":")[2]) == 128


@pytest.mark.parametrize(
    "name",
    ["debian:12", "nova-multi/sandbox:1", "nova-multi/snapshot:x", "<none>:<none>"],
)
def test_other_images_have_no_key(name):
    assert mapping.image_key(name) is None


def test_limits():
    host = config()["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 256 * 2**20
    assert host["NanoCpus"] == 2 * 10**9
    assert host["PidsLimit"] == 99
    assert host["StorageOpt"] == {"size": "3G"}


@pytest.mark.parametrize(
    ("changes", "disk_limits"), [({"disk_gb": 0}, True), ({"disk_gb": 3}, False)]
)
def test_no_disk_limit(changes, disk_limits):
    assert "StorageOpt" not in config(changes, disk_limits=disk_limits)["HostConfig"]


def test_rights():
    host = config()["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    dangerous = {"SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "NET_ADMIN", "MKNOD"}
    assert not dangerous & set(host["CapAdd"])
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert not host.get("Privileged")
    assert config(no_new_privileges=False)["HostConfig"]["SecurityOpt"] == []


def test_network_is_the_sandboxes_alone():
    host = config()["HostConfig"]
    assert host["NetworkMode"] == f"container:nova-multi-net-{UUID}"
    assert host["RestartPolicy"] == {"Name": "no"}


def test_our_labels_win():
    labels = config()["Labels"]
    assert labels["nova-multi.host"] == "node-docker"
    assert labels["nova-multi.instance-uuid"] == UUID
    assert labels["nova-multi.role"] == "guest"
    assert labels["more"] == "x"


@pytest.mark.parametrize(
    ("changes", "image_command", "argv", "init"),
    [
        ({}, ("/app", "-x"), ["/app", "-x"], True),
        ({"command": ("/own",)}, ("/app",), ["/own"], True),
        ({}, ("/sbin/init",), ["/sbin/init"], False),
        ({}, ("/lib/systemd/systemd",), ["/lib/systemd/systemd"], False),
        ({}, (), ["/dev/nova-multi-hold", "-P"], False),
        (
            {"bootstrap": "/b.sh"},
            ("/app",),
            ["/bin/sh", "/b.sh", "/app"],
            True,
        ),
        (
            {"bootstrap": "/b.sh"},
            (),
            ["/bin/sh", "/b.sh", "/dev/nova-multi-hold", "-P"],
            False,
        ),
    ],
)
def test_command(changes, image_command, argv, init):
    found = config(changes, image_command)
    assert found["Entrypoint"] == argv
    assert found["Cmd"] == []
    assert found["HostConfig"]["Init"] is init


@pytest.mark.parametrize(("image_command", "held"), [((), True), (("/app",), False)])
def test_hold_program_only_where_it_runs(image_command, held):
    mounts = config({}, image_command)["HostConfig"]["Mounts"]
    assert [m["Source"] for m in mounts] == (["/usr/bin/hold"] if held else [])


def test_mounts():
    changes = {"mounts": (Mount("/a", "/b"), Mount("/c", "/d", read_only=False))}
    mounts = config(changes)["HostConfig"]["Mounts"]
    assert [(m["Source"], m["Target"], m["ReadOnly"]) for m in mounts] == [
        ("/a", "/b", True),
        ("/c", "/d", False),
    ]


@pytest.mark.parametrize(
    ("command", "signal"),
    [
        (("bash",), "SIGHUP"),
        (("/bin/sh",), "SIGHUP"),
        (("/bin/sh", "-c", "x"), None),
        (("/app",), None),
    ],
)
def test_shells_end_when_hung_up(command, signal):
    assert config({}, command).get("StopSignal") == signal


def sandbox(*, ipv6=True):
    labels = mapping.guest_labels(SPEC, "node-docker")
    return mapping.sandbox_config(UUID, labels, image="i", ipv6=ipv6)


def test_sandbox_is_marked_as_the_guests():
    found = sandbox()
    assert found["Labels"]["nova-multi.role"] == "sandbox"
    assert found["Labels"]["nova-multi.host"] == "node-docker"
    assert found["Labels"]["nova-multi.instance-uuid"] == UUID
    assert found["Hostname"] == "web"
    host = found["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["RestartPolicy"] == {"Name": "no"}


def test_sandbox_never_has_the_machines_resolver():
    host = sandbox()["HostConfig"]
    assert host["Dns"] == ["127.0.0.1"]
    assert host["DnsSearch"] == ["."]


def test_no_ipv6_in_the_kernel():
    assert not [s for s in sandbox(ipv6=False)["HostConfig"]["Sysctls"] if "ipv6" in s]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("20.10.24+dfsg1", (20, 10, 24)),
        ("28.2.2", (28, 2, 2)),
        ("dev", (0,)),
    ],
)
def test_version(text, numbers):
    assert mapping.version(text) == numbers
