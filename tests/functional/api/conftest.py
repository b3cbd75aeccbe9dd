# SPDX-License-Identifier: Apache-2.0
"""The service as its commands put it together; only the sockets are not real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests_mock

from nova_multi.provision.store import db_sync
from tests.fixtures.deployment import Deployment
from tests.functional.api.stage import Stage


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables and nothing in them."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite"
    db_sync(f"sqlite:///{path}")
    return path


def furnish(made: Deployment) -> Deployment:
    """A machine, two images, the service's accounts, and somebody who operates it."""
    made.nova.add_machine("node1")
    made.glance.add("debian", "qemu", disk_format="qcow2", min_ram=64)
    made.glance.add("alpine-docker", "docker", container_format="docker")
    made.keystone.add_user("nova-multi", **{"p-service": "service"})
    admin = made.keystone.add_user("nova-multi-admin", **{"p-service": "admin"})
    made.keystone.grant(admin, "p-service", "service")
    made.keystone.add_user("nova-multi-manager", domain="manager")
    made.keystone.add_project("lab", "p-lab", domain="default")
    made.keystone.add_user("operator", **{"p-lab": "admin"})
    return made


@pytest.fixture
def cloud() -> Iterator[Deployment]:
    """An OpenStack with what a service needs."""
    with requests_mock.Mocker() as mocker:
        yield furnish(Deployment(mocker))


@pytest.fixture
def stage(
    cloud: Deployment,
    empty_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    """The service with nothing in it."""
    # What assembly tells openstacksdk by is the process's: it has to go again.
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    made = Stage(cloud, tmp_path, empty_database)
    yield made
    made.close()
