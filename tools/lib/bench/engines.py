# SPDX-License-Identifier: Apache-2.0
"""The bare engines beside Nova: the same images, no network, no control plane."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.errors import BenchError

ETC = Path(os.environ.get("NOVA_MULTI_ETC", "/etc/nova-multi"))
RUN = Path(os.environ.get("NOVA_MULTI_RUN", "/run/nova-multi"))
NAME = "bench-bare"
TIMEOUT = 120


@dataclasses.dataclass(frozen=True, slots=True)
class Bare:
    """One engine's own commands.

    :ivar create: starts a guest; its end is when the engine says that it runs.
    :ivar delete: takes it away.
    """

    name: str
    create: tuple[str, ...]
    delete: tuple[str, ...]
    environment: dict[str, str]


def measure(
    folder: Path, rounds: int, log: Callable[[str], None]
) -> dict[str, list[float]]:
    """Seconds of each start, the engines taking turns, after one that is not counted.

    :param folder: images of the example, from tools/build-image.
    """
    with ExitStack() as stack:
        engines = [stack.enter_context(made(folder)) for made in (_docker, _lxd)]
        found: dict[str, list[float]] = {engine.name: [] for engine in engines}
        for number in range(rounds + 1):
            for engine in engines:
                seconds = _one(engine)
                log(f"{number:3} {engine.name:12} {seconds:6.2f} s")
                if number:
                    found[engine.name].append(seconds)
    return found


def _one(engine: Bare) -> float:
    start = time.monotonic()
    try:
        _run(engine.create, engine.environment)
        return time.monotonic() - start
    finally:
        _run(engine.delete, engine.environment)


@contextmanager
def _docker(folder: Path) -> Iterator[Bare]:
    socket = RUN / "docker" / "docker.sock"
    environment = {"DOCKER_HOST": f"unix://{socket}"}
    image = "bench-bare:latest"
    loaded = _run(
        ("docker", "load", "-i", str(folder / "debian-docker.tar")), environment
    )
    name = loaded.strip().rpartition(": ")[2]
    _run(("docker", "tag", name, image), environment)
    try:
        yield Bare(
            "docker run",
            ("docker", "run", "-d", "--network=none", f"--name={NAME}", image),
            ("docker", "rm", "-f", NAME),
            environment,
        )
    finally:
        _run(("docker", "rmi", image), environment)


@contextmanager
def _lxd(folder: Path) -> Iterator[Bare]:
    setup = json.loads((ETC / "lxd" / "setup.json").read_text())
    own = ("--project", setup["project"])
    with tempfile.TemporaryDirectory() as scratch:
        environment = {"LXD_DIR": setup["root"], "LXD_CONF": scratch}
        metadata = Path(scratch, "metadata.tar")
        _write_metadata(metadata)
        root = str(folder / "debian-lxd.squashfs")
        _run(
            ("lxc", "image", "import", str(metadata), root, "--alias", NAME, *own),
            environment,
        )
        isolated = str(bool(setup["isolated"])).lower()
        options = (
            "--storage",
            setup["pool"],
            "-c",
            f"security.idmap.isolated={isolated}",
        )
        try:
            yield Bare(
                "lxc launch",
                ("lxc", "launch", NAME, NAME, *own, *options),
                ("lxc", "delete", "--force", NAME, *own),
                environment,
            )
        finally:
            _run(("lxc", "image", "delete", NAME, *own), environment)


def _write_metadata(path: Path) -> None:
    """The little that LXD wants to know of an image beside its root."""
    text = f"architecture: {os.uname().machine}\ncreation_date: 1\n".encode()
    entry = tarfile.TarInfo("metadata.yaml")
    entry.size = len(text)
    with tarfile.open(path, "w") as archive:
        archive.addfile(entry, io.BytesIO(text))


def _run(command: Sequence[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
