# SPDX-License-Identifier: Apache-2.0
"""The Docker engine on a daemon of the test's own: limits, hanging, hostile images.

The storage is made as the deployment makes it. The rest of what the engine does is in
the contract suite.
"""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator

import pytest

from nova_multi import exception, privsep
from nova_multi.inspection.unpacking import Limits
from nova_multi.virt.docker.engine import DockerEngine, Settings
from nova_multi.virt.engine import ContainerSpec, ImageKey
from tests.fixtures import images
from tests.fixtures.dockerd import Dockerd, remap_user

ROOT = pathlib.Path(__file__).parents[2]
STORAGE = ROOT / "deploy/roles/compute-docker/files/docker_storage.py"
UUID = "11111111-2222-4333-8444-555555555555"
KEY = ImageKey("22222222-2222-4333-8444-555555555555", "ab" * 64)
#: Seconds that the engine gives the daemon.
TIMEOUT = 5


@pytest.fixture(scope="module")
def folder() -> Iterator[pathlib.Path]:
    # Not below pytest's own folder, which guests' users may not enter.
    made = pathlib.Path(tempfile.mkdtemp(prefix="nova-multi-"))
    made.chmod(0o711)
    yield made


def storage(verb: str, config: pathlib.Path) -> str:
    done = subprocess.run(
        [sys.executable, str(STORAGE), verb, str(config)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def daemon(folder: pathlib.Path) -> Iterator[Dockerd]:
    config = folder / "storage.json"
    config.write_text(
        json.dumps(
            {
                "data": str(folder / "data"),
                "image": str(folder / "docker.img"),
                "size_gb": 20,
                "kinds": ["xfs", "btrfs"],
                "url": f"unix://{folder}/docker.sock",
            }
        )
    )
    storage("apply", config)
    storage("apply", config)
    storage("check", config)
    made = Dockerd(
        folder, remap_user(), data=folder / "data", driver=storage("driver", config)
    )
    with contextlib.ExitStack() as stack:
        stack.callback(made.close)
        stack.callback(storage, "undo", config)
        stack.callback(made.stop)
        stack.callback(made.remove_containers)
        yield made


@pytest.fixture
def engine(daemon: Dockerd) -> Iterator[DockerEngine]:
    privsep.network_context.set_client_mode(False)
    privsep.files_context.set_client_mode(False)
    made = DockerEngine(
        Settings(
            host="integration-docker",
            url=daemon.url,
            timeout=TIMEOUT,
            transfer_timeout=60,
            pause_binary="/usr/bin/catatonit",
            no_new_privileges=True,
            limits=Limits(unpacked_bytes=2**30, members=10_000),
        )
    )
    yield made
    for guest in made.guests():
        made.remove(guest.uuid)


@pytest.fixture
def key(engine: DockerEngine, tmp_path: pathlib.Path) -> ImageKey:
    images.docker_archive(tmp_path / "image", images.Kind.BARE)
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


def boot(engine: DockerEngine, key: ImageKey, script: str) -> None:
    engine.create(spec(key, "/bin/sh", "-c", f"{script}; sleep 1000"))
    engine.connect(UUID, [])
    engine.start(UUID)


def console_with(engine: DockerEngine, text: bytes, seconds: float = 60) -> bytes:
    deadline = time.monotonic() + seconds
    while text not in (found := engine.console(UUID, 10_000)):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def test_disk_is_limited(engine: DockerEngine, key: ImageKey) -> None:
    assert engine.info().disk_limits
    boot(
        engine, key, "i=0; while cat /bin/busybox >>/big; do :; done; ls -l /; echo end"
    )

    console = console_with(engine, b"end")

    assert b"quota" in console.lower() or b"no space" in console.lower()
    (line,) = [each for each in console.splitlines() if each.endswith(b" big")]
    assert 2**30 * 0.9 < int(line.split()[4]) <= 2**30


def test_memory_is_limited(engine: DockerEngine, key: ImageKey) -> None:
    # The shell doubles a string until it is killed.
    boot(engine, key, "sleep 1; a=xxxxxxxx; while :; do a=$a$a; done")

    deadline = time.monotonic() + 60
    while (guest := engine.guest(UUID)).state.value == "running":
        assert time.monotonic() < deadline
        time.sleep(0.2)

    assert guest.state.value == "crashed"


def test_root_of_the_guest_is_nobody_outside(
    daemon: Dockerd, engine: DockerEngine, key: ImageKey
) -> None:
    if not remap_user():
        pytest.fail("no user for the guests' ids: deploy/up has not run here")
    boot(engine, key, "echo up")

    pid = daemon.api.inspect_container("instance-00000001")["State"]["Pid"]

    assert pathlib.Path(f"/proc/{pid}").stat().st_uid > 100_000


def test_rights_of_the_guest(engine: DockerEngine, key: ImageKey) -> None:
    boot(
        engine,
        key,
        "cat /proc/self/status; mount -t tmpfs x /run && echo BAD; echo end",
    )

    console = console_with(engine, b"end")

    assert b"NoNewPrivs:\t1" in console
    assert b"Seccomp:\t2" in console
    assert b"BAD" not in console.replace(b"echo BAD", b"")


def test_hanging_daemon(daemon: Dockerd, engine: DockerEngine, key: ImageKey) -> None:
    boot(engine, key, "echo up")
    daemon.freeze()
    try:
        for call in (engine.info, engine.guests, lambda: engine.stop(UUID, 1)):
            begun = time.monotonic()
            with pytest.raises(exception.EngineTimeout):
                call()
            assert time.monotonic() - begun < TIMEOUT + 3
    finally:
        daemon.thaw()

    assert engine.guest(UUID).state.value == "running"


def test_sandbox_that_somebody_restarted_has_no_network(
    daemon: Dockerd, engine: DockerEngine, key: ImageKey
) -> None:
    boot(engine, key, "echo up")
    daemon.api.stop(f"nova-multi-net-{UUID}", timeout=0)

    with pytest.raises(exception.EngineConflict):
        engine.restart(UUID, 1)

    assert engine.guest(UUID).state.value == "running"


def test_image_can_not_take_a_name(
    daemon: Dockerd, engine: DockerEngine, key: ImageKey, tmp_path: pathlib.Path
) -> None:
    """An archive that names the image of somebody else changes nothing of it."""
    victim = f"nova-multi/{KEY.image_id}:{KEY.checksum}"
    before = daemon.api.inspect_image(victim)["Id"]
    images.docker_archive(tmp_path / "own", images.Kind.SHELLLESS)
    hostile = tmp_path / "hostile"
    with tarfile.open(tmp_path / "own") as old, tarfile.open(hostile, "w") as new:
        for member in old:
            source = old.extractfile(member)
            assert source
            content = source.read()
            if member.name == "manifest.json":
                content = content.replace(
                    b'"RepoTags": []', f'"RepoTags": ["{victim}"]'.encode()
                )
                member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    other = ImageKey("33333333-2222-4333-8444-555555555555", "cd" * 64)

    engine.import_image(other, str(hostile))

    assert daemon.api.inspect_image(victim)["Id"] == before
    engine.remove_image(other)


def test_snapshot_tells_nothing_of_the_guest(
    engine: DockerEngine, key: ImageKey, tmp_path: pathlib.Path
) -> None:
    boot(engine, key, "echo data >/kept; echo up")
    console_with(engine, b"up")

    engine.export(UUID, str(tmp_path / "out"))

    content = (tmp_path / "out").read_bytes()
    assert b"data\n" in content
    assert UUID.encode() not in content
    assert b"integration-docker" not in content
