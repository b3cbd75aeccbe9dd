# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the contract suite: ``pytest tests/contract --engine docker``."""

from __future__ import annotations

import dataclasses
import pathlib
import uuid as uuid_module
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nova_multi import privsep
from nova_multi.virt import engine as engine_module
from nova_multi.virt.engine import ContainerSpec, Engine, ImageKey, Interface
from tests.contract import harness as harness_module
from tests.contract.harness import Harness
from tests.fixtures import images, probe

_ENGINES = ("fake", "docker", "lxd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=_ENGINES,
        action="append",
        help="engine to test; may be repeated (the fake one by default)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "harness" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--engine") or ["fake"]
        metafunc.parametrize("harness", chosen, indirect=True, scope="session")


def _make(name: str, folder: pathlib.Path) -> Harness:
    # Imported here, so that the suite needs the libraries of the chosen engines only.
    if name == "docker":
        from tests.contract.docker_harness import DockerHarness

        return DockerHarness(folder)
    if name == "lxd":
        from tests.contract.lxd_harness import LXDHarness

        return LXDHarness(folder)
    return harness_module.FakeHarness()


@pytest.fixture(scope="session")
def harness(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Harness]:
    # The tests are root themselves: no helper process for the privileged functions.
    privsep.network_context.set_client_mode(False)
    privsep.files_context.set_client_mode(False)
    made = _make(request.param, tmp_path_factory.mktemp(request.param))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def engine(harness: Harness) -> Iterator[Engine]:
    """The engine, without guests; what a test leaves is removed and complained of."""
    yield harness.engine
    for guest in harness.engine.guests():
        harness.engine.remove(guest.uuid)
    assert harness.engine.guests() == []
    assert harness.objects() == set()


@pytest.fixture
def key(harness: Harness, engine: Engine, tmp_path: pathlib.Path) -> ImageKey:
    """The probe's image, imported."""
    image, path = harness.image(tmp_path)
    engine.import_image(image, str(path))
    return image


def make_spec(key: ImageKey, **changes: Any) -> ContainerSpec:
    """A modest guest of this host."""
    uuid = str(uuid_module.uuid4())
    name = f"instance-{uuid[:8]}"
    spec = ContainerSpec(
        uuid=uuid,
        name=name,
        hostname="probe-guest",
        image=key,
        vcpus=1,
        memory_mb=96,
        disk_gb=0,
        pids=128,
        labels={
            engine_module.LABEL_UUID: uuid,
            engine_module.LABEL_HOST: harness_module.HOST,
            engine_module.LABEL_NAME: name,
            engine_module.LABEL_IMAGE: key.image_id,
            engine_module.LABEL_ROLE: "guest",
        },
        command=probe.STAY,
    )
    return dataclasses.replace(spec, **changes)


@dataclasses.dataclass(frozen=True)
class Guest:
    """A guest with one interface."""

    uuid: str
    spec: ContainerSpec
    interface: Interface


@pytest.fixture
def boot(harness: Harness, engine: Engine, key: ImageKey) -> Callable[..., Guest]:
    """Create, connect and start a guest, as a boot does."""

    def booted(**changes: Any) -> Guest:
        interface = harness.interface()
        spec = make_spec(changes.pop("image", key), **changes)
        engine.create(spec)
        engine.connect(spec.uuid, [interface])
        engine.start(spec.uuid)
        return Guest(spec.uuid, spec, interface)

    return booted


@pytest.fixture
def image_of(
    harness: Harness, engine: Engine, tmp_path: pathlib.Path
) -> Callable[[images.Kind], ImageKey]:
    """Import an image of another kind."""

    def imported(kind: images.Kind) -> ImageKey:
        key, path = harness.image(tmp_path, kind)
        engine.import_image(key, str(path))
        return key

    return imported
