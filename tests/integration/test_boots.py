# SPDX-License-Identifier: Apache-2.0
"""Boots that fail leave nothing; boots that nobody directs go to libvirt.

With openstacksdk, for these servers are many and nothing depends on the command.
"""

from __future__ import annotations

import base64
import contextlib
import pathlib
import secrets
import socket
from collections.abc import Callable, Iterator
from typing import Any

import openstack as sdk
import pytest

from tests.fixtures import images
from tests.integration import cloud, host
from tests.integration.cloud import wait_for
from tests.integration.conftest import Hypervisor

#: Seconds until a boot has failed, or its server runs.
PATIENCE = 60
#: What an image's property has a guest run. Two blanks, which must come through whole,
#: and few words, for of a fault Nova shows 255 characters.
LAST_WORDS = "no  go"
COMMAND = f"/bin/sh -c \"echo '{LAST_WORDS}' >/dev/console; exit 3\""

PACKAGES: dict[str, tuple[str, Callable[[pathlib.Path, images.Kind], None]]] = {
    "docker": ("docker", images.docker_archive),
    "lxd": ("bare", images.lxd_tarball),
}


def _name(what: str) -> str:
    return f"it-{what}-{secrets.token_hex(3)}"


@pytest.fixture(scope="module")
def member() -> Iterator[Any]:
    with sdk.connect(cloud=cloud.MEMBER) as connection:
        yield connection


@pytest.fixture(scope="module")
def administrator() -> Iterator[Any]:
    with sdk.connect(cloud=cloud.ADMINISTRATOR) as connection:
        yield connection


@contextlib.contextmanager
def image(connection: Any, path: pathlib.Path, **properties: str) -> Iterator[str]:
    """An image that is there meanwhile; its UUID."""
    made = connection.image.create_image(
        _name("image"), filename=str(path), disk_format="raw", **properties
    )
    try:
        yield made.id
    finally:
        connection.image.delete_image(made.id)


@contextlib.contextmanager
def servers(connection: Any, **arguments: Any) -> Iterator[list[Any]]:
    """Servers whose boots have ended, well or not."""
    name = _name("boot")
    flavor = connection.compute.find_flavor(cloud.FLAVOR, ignore_missing=False)
    connection.compute.create_server(name=name, flavor_id=flavor.id, **arguments)

    def listed() -> list[Any]:
        return list(connection.compute.servers(name=f"^{name}"))

    def ended() -> list[Any] | None:
        found = listed()
        over = all(each.status in ("ACTIVE", "ERROR") for each in found)
        busy = any(each.task_state for each in found)
        return found if found and over and not busy else None

    try:
        yield wait_for(f"an end of the boots of {name}", ended, PATIENCE)
    finally:
        for server in listed():
            connection.compute.delete_server(server)
        for server in listed():
            connection.compute.wait_for_delete(server, interval=1, wait=PATIENCE)


def _message(server: Any) -> str:
    return str((server.fault or {}).get("message", f"no fault: {server.status}"))


def test_a_command_that_fails_leaves_nothing(
    container: Hypervisor, member: Any, tmp_path: pathlib.Path
) -> None:
    """The command is the one that Glance's property os_command_line names."""
    container_format, pack = PACKAGES[container.name]
    pack(tmp_path / "image", images.Kind.PROBE)
    network = member.network.find_network(cloud.NETWORK, ignore_missing=False)
    port = member.network.create_port(network_id=network.id, name=_name("port"))
    properties = {
        "container_format": container_format,
        "img_hv_type": container.name,
        f"trait:CUSTOM_HYPERVISOR_{container.name.upper()}": "required",
        "os_command_line": COMMAND,
    }
    try:
        with (
            image(member, tmp_path / "image", **properties) as image_id,
            servers(member, image_id=image_id, networks=[{"port": port.id}]) as (
                server,
            ),
        ):
            message = _message(server)
            assert "'start'" in message
            assert container.host in message
            assert LAST_WORDS in message
            left = host.traces(container.name, server.id, [port.id])
            assert not any(left.values()), left
    finally:
        member.network.delete_port(port.id)


def test_user_data_that_can_not_be_run_leaves_nothing(
    container: Hypervisor, member: Any
) -> None:
    config = base64.b64encode(b"#cloud-config\npackages: [vim]\n").decode()
    network = member.network.find_network(cloud.NETWORK, ignore_missing=False)
    made = member.image.find_image(container.image, ignore_missing=False)
    with servers(
        member, image_id=made.id, networks=[{"uuid": network.id}], user_data=config
    ) as (server,):
        assert "cloud-init" in _message(server)
        left = host.traces(container.name, server.id, [])
        assert not any(left.values()), left
        ports = list(member.network.ports(device_id=server.id))
        assert not ports


def test_an_image_without_a_mark_goes_to_libvirt(
    administrator: Any, tmp_path: pathlib.Path
) -> None:
    """Nothing boots from it; where its servers are is what counts."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(2**20))
    node = socket.gethostname().split(".")[0]
    with (
        image(administrator, disk, container_format="bare") as image_id,
        servers(
            administrator,
            image_id=image_id,
            networks="none",
            min_count=3,
            max_count=3,
        ) as found,
    ):
        where = [server.compute_host or _message(server) for server in found]
        assert where == [node] * 3
