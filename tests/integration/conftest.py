# SPDX-License-Identifier: Apache-2.0
"""Servers on the deployed cloud, one for each hypervisor.

A cloud that is not there fails these tests; it does not skip them.
"""

from __future__ import annotations

import dataclasses
import pathlib
import secrets
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.integration import cloud
from tests.integration.cloud import Server, openstack, openstack_text

#: Instances that are made at once where there is room for them.
BURST = 20
PROVISIONER = pathlib.Path(__file__).with_name("provisioner.sh")


@dataclasses.dataclass(frozen=True)
class Hypervisor:
    """What is particular to the servers of one hypervisor."""

    name: str
    image: str
    host: str
    type: str
    #: Seconds from create to a site that answers, and for a reboot.
    patience: float


def _hypervisors() -> dict[str, Hypervisor]:
    node = socket.gethostname().split(".")[0]
    listed = (
        Hypervisor("docker", "debian-docker", f"{node}-docker", "docker", 60),
        Hypervisor("lxd", "debian-lxd", f"{node}-lxd", "lxd", 90),
        Hypervisor("libvirt", "debian-vm", node, "QEMU", 180),
    )
    return {hypervisor.name: hypervisor for hypervisor in listed}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--hypervisor",
        choices=tuple(_hypervisors()),
        action="append",
        help="hypervisor to test; may be repeated (all by default)",
    )
    parser.addoption(
        "--burst",
        type=int,
        default=0,
        help="instances that are being made while the provisioning service is killed"
        f" (default: {BURST}, or as many as a small machine has room for)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "hypervisor" in metafunc.fixturenames:
        known = _hypervisors()
        chosen = metafunc.config.getoption("--hypervisor") or list(known)
        values = [known[name] for name in chosen]
        metafunc.parametrize("hypervisor", values, ids=chosen, scope="module")
    if "container" in metafunc.fixturenames:
        known = _hypervisors()
        chosen = metafunc.config.getoption("--hypervisor") or list(known)
        chosen = [name for name in chosen if name != "libvirt"]
        values = [known[name] for name in chosen]
        metafunc.parametrize("container", values, ids=chosen, scope="module")


#: Failed tests when a shared server was last looked at.
_FAILED = pytest.StashKey[int]()

Boot = Callable[..., Server]


@pytest.fixture(scope="module")
def boot() -> Iterator[Boot]:
    """Create servers with floating IPs; they are deleted in the end."""
    made: list[Server] = []
    addresses: list[str] = []

    def create(hypervisor: Hypervisor, *options: str, image: str = "") -> Server:
        name = f"it-{hypervisor.name}-{secrets.token_hex(3)}"
        shown = openstack(
            *("server", "create", "--flavor", cloud.FLAVOR),
            *("--network", cloud.NETWORK, "--key-name", "demo"),
            *("--image", image or hypervisor.image),
            *("--user-data", str(PROVISIONER), *options, name),
        )
        server = Server(shown["id"], name)
        made.append(server)
        server.wait("ACTIVE", hypervisor.patience)
        floating = openstack("floating", "ip", "create", cloud.EXTERNAL)
        address = floating["floating_ip_address"]
        addresses.append(address)
        openstack_text("server", "add", "floating", "ip", server.id, address)
        server = dataclasses.replace(server, address=address)
        return server

    yield create
    for address in addresses:
        openstack_text("floating", "ip", "delete", address)
    left = {server["ID"] for server in openstack("server", "list")}
    for server in made:
        if server.id in left:
            server.do("delete", "--wait")


@pytest.fixture(scope="module")
def shared_server(hypervisor: Hypervisor, boot: Boot) -> Server:
    """A server whose site answers."""
    server = boot(hypervisor)
    server.wait_for_site(seconds=hypervisor.patience)
    return server


@pytest.fixture
def server(
    request: pytest.FixtureRequest, hypervisor: Hypervisor, shared_server: Server
) -> Server:
    """The server that the tests of one hypervisor share, in their order.

    After a test that failed it is brought back first, so that one fault does not show
    as many.
    """
    known = request.config.stash.get(_FAILED, 0)
    request.config.stash[_FAILED] = request.session.testsfailed
    if request.session.testsfailed > known:
        status = shared_server.show()["status"]
        if status == "PAUSED":
            shared_server.do("unpause")
        elif status == "SHUTOFF":
            shared_server.do("start")
        elif status != "ACTIVE":
            shared_server.do("reboot", "--hard")
        shared_server.wait("ACTIVE")
        shared_server.wait_for_site(seconds=hypervisor.patience)
    return shared_server
