# SPDX-License-Identifier: Apache-2.0
"""The LXD engine on a daemon of the test's own: limits, confinement, hanging, images.

Project and pool are made as the deployment makes them. The rest of what the engine does
is in the contract suite.
"""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import tarfile
import time
from collections.abc import Iterator

import nova.conf
import pytest

from nova_multi import exception, privsep
from nova_multi.inspection.roottree import Limits
from nova_multi.virt.engine import ContainerSpec, GuestState, ImageKey, Interface, Mount
from nova_multi.virt.lxd.client import LXDClient
from nova_multi.virt.lxd.engine import LXDEngine
from tests.fixtures import images
from tests.fixtures.lxd_daemon import POOL, PROJECT, LXDDaemon
from tests.fixtures.wires import Wires

HOST = "integration-lxd"
UUID = "11111111-2222-4333-8444-555555555555"
KEY = ImageKey("22222222-2222-4333-8444-555555555555", "ab" * 64)
#: Seconds that the engine gives the daemon.
TIMEOUT = 5


@pytest.fixture(scope="module")
def daemon() -> Iterator[LXDDaemon]:
    made = LXDDaemon()
    yield made
    made.close()


@pytest.fixture
def engine(daemon: LXDDaemon, tmp_path: pathlib.Path) -> Iterator[LXDEngine]:
    privsep.network_context.set_client_mode(False)
    privsep.files_context.set_client_mode(False)
    nova.conf.CONF.set_override("instances_path", str(tmp_path))
    made = LXDEngine(
        LXDClient(str(daemon.socket), PROJECT, TIMEOUT),
        LXDClient(str(daemon.socket), PROJECT, 60),
        nova_host=HOST,
        project=PROJECT,
        pool=POOL,
        isolated=True,
        console_folder=str(tmp_path / "consoles"),
        limits=Limits(unpacked_bytes=2**30, members=10_000),
    )
    yield made
    for guest in made.guests():
        made.remove(guest.uuid)
    for key in made.images():
        made.remove_image(key)


@pytest.fixture
def wires() -> Iterator[Wires]:
    made = Wires()
    yield made
    made.close()


@pytest.fixture
def key(engine: LXDEngine, tmp_path: pathlib.Path) -> ImageKey:
    images.lxd_tarball(tmp_path / "image", images.Kind.BARE)
    engine.import_image(KEY, str(tmp_path / "image"))
    return KEY


def spec(key: ImageKey, *command: str) -> ContainerSpec:
    return ContainerSpec(
        uuid=UUID,
        name="instance-00000001",
        hostname="guest",
        image=key,
        vcpus=1,
        memory_mb=64,
        disk_gb=1,
        pids=50,
        labels={},
        command=command,
    )


def boot(engine: LXDEngine, key: ImageKey, script: str, *interfaces: Interface) -> None:
    # Blanks in its words: it goes through the command file.
    engine.create(spec(key, "/bin/sh", "-c", f"{script}; exec sleep 1000"))
    engine.connect(UUID, interfaces)
    engine.start(UUID)


def console_with(engine: LXDEngine, text: bytes, seconds: float = 60) -> bytes:
    deadline = time.monotonic() + seconds
    while text not in (found := engine.console(UUID, 10_000)):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def test_disk_is_limited(engine: LXDEngine, key: ImageKey) -> None:
    assert engine.info().disk_limits
    boot(
        engine,
        key,
        "i=0; while cat /bin/busybox >>/big; do :; done; sync; ls -l /; echo end",
    )

    console = console_with(engine, b"end")

    assert b"quota" in console.lower() or b"no space" in console.lower()
    (line,) = [each for each in console.splitlines() if each.endswith(b" big")]
    assert 2**30 * 0.9 < int(line.split()[4]) <= 2**30


def test_processes_and_memory_are_limited(engine: LXDEngine, key: ImageKey) -> None:
    eats = "(x=aaaaaaaa; while :; do x=$x$x; done); echo memory $?"
    forks = "(for i in $(seq 100); do sleep 900 & done); echo processes $?"
    boot(engine, key, f"{eats}; {forks}")

    console = console_with(engine, b"processes")

    assert b"memory 0" not in console
    assert b"can't fork" in console
    assert engine.guest(UUID).state is GuestState.RUNNING


def test_guests_have_id_ranges_of_their_own(
    engine: LXDEngine, key: ImageKey, daemon: LXDDaemon
) -> None:
    boot(engine, key, "cat /proc/self/uid_map")
    other = dataclasses.replace(
        spec(key), uuid="33333333" + UUID[8:], name="instance-00000002"
    )
    engine.create(other)
    engine.connect(other.uuid, [])
    engine.start(other.uuid)

    listed = daemon.lxc("list", "-f", "csv", "-c", "p").split()
    maps = [pathlib.Path(f"/proc/{pid}/uid_map").read_text().split() for pid in listed]

    firsts = sorted(int(first) for _, first, _ in maps)
    assert all(int(count) == 65536 and int(inside) == 0 for inside, _, count in maps)
    assert len(firsts) == 2
    assert firsts[0] >= 100_000
    assert firsts[1] - firsts[0] >= 65536


def test_project_refuses_what_would_reach_the_host(
    daemon: LXDDaemon, engine: LXDEngine, key: ImageKey
) -> None:
    engine.create(spec(key))
    for setting in ("security.privileged=true", "security.nesting=true"):
        with pytest.raises(subprocess.CalledProcessError):
            daemon.lxc("config", "set", "instance-00000001", setting)


def test_mount_is_the_guests_own_and_read_only(
    engine: LXDEngine, key: ImageKey, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "guest"
    folder.mkdir()
    (folder / "secret").write_text("for root alone\n")
    (folder / "secret").chmod(0o600)
    script = "cat /var/lib/nova-multi/secret; touch /var/lib/nova-multi/x; echo end"
    mounted = dataclasses.replace(
        spec(key, "/bin/sh", "-c", f"{script}; exec sleep 1000"),
        mounts=(Mount(str(folder), "/var/lib/nova-multi"),),
    )
    engine.create(mounted)
    engine.connect(UUID, [])
    engine.start(UUID)

    console = console_with(engine, b"end")

    assert b"for root alone" in console
    assert b"ead-only file system" in console


@pytest.mark.parametrize("packing", ["squashfs", "tar", "tar.xz"])
def test_root_file_system_without_metadata_boots(
    engine: LXDEngine, tmp_path: pathlib.Path, packing: str
) -> None:
    unified = tmp_path / "unified"
    images.lxd_tarball(unified, images.Kind.PROBE)
    with tarfile.open(unified) as archive:
        archive.extractall(tmp_path)
    root, path = tmp_path / "rootfs", tmp_path / "image"
    if packing == "squashfs":
        command = ["mksquashfs", str(root), str(path), "-all-root", "-quiet"]
        subprocess.run(command, check=True, capture_output=True)
    else:
        with tarfile.open(path, "w:xz" if packing.endswith("xz") else "w") as archive:
            archive.add(root, ".")
    key = dataclasses.replace(KEY, checksum=packing.encode().hex())

    facts = engine.import_image(key, str(path))
    engine.create(spec(key))
    engine.connect(UUID, [])
    engine.start(UUID)

    assert facts.shell
    assert facts.command == ("/sbin/init",)
    console_with(engine, b"ready")


def test_hanging_daemon_is_not_waited_for(
    engine: LXDEngine, key: ImageKey, daemon: LXDDaemon
) -> None:
    boot(engine, key, "echo up")
    daemon.suspend()
    begun = time.monotonic()
    try:
        with pytest.raises(exception.EngineTimeout):
            engine.guests()
        with pytest.raises(exception.EngineTimeout):
            engine.stop(UUID, 0)
    finally:
        daemon.resume()

    assert time.monotonic() - begun < 4 * TIMEOUT
    assert engine.guest(UUID).state is GuestState.RUNNING


def test_interface_that_the_guest_has_deleted(
    engine: LXDEngine, key: ImageKey, wires: Wires
) -> None:
    first, second = wires.interface(0), wires.interface(1)
    boot(engine, key, "ip link del eth1; echo deleted", first, second)
    console_with(engine, b"deleted")

    with pytest.raises(exception.EngineConflict):
        engine.restart(UUID, 1)

    assert engine.guest(UUID).state is GuestState.STOPPED
    engine.connect(UUID, [first])
    engine.start(UUID)
    assert wires.answers(first)


def test_detaching_an_interface_that_the_guest_has_deleted(
    engine: LXDEngine, key: ImageKey, wires: Wires
) -> None:
    first, second = wires.interface(0), wires.interface(1)
    boot(engine, key, "ip link del eth1; echo deleted", first, second)
    console_with(engine, b"deleted")

    engine.detach(UUID, second)
    engine.detach(UUID, second)

    assert wires.answers(first)
    engine.restart(UUID, 1)
    assert wires.answers(first)


def test_full_console_keeps_its_end(engine: LXDEngine, key: ImageKey) -> None:
    boot(engine, key, "for i in $(seq 20000); do echo line $i of many; done; echo done")
    console_with(engine, b"done")

    console = engine.console(UUID, 100 * 1024)

    assert len(console) == 100 * 1024
    assert console.rstrip().endswith(b"done")
