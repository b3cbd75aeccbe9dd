# SPDX-License-Identifier: Apache-2.0
"""Seconds from asking Nova for a server until it is ACTIVE, and until it is gone."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from openstack import exceptions

from bench.errors import BenchError

NETWORK = "bench"
CIDR = "10.21.0.0/24"
FLAVOR = "m1.nano"
#: Name of the example's image for each hypervisor.
IMAGES = {"docker": "debian-docker", "lxd": "debian-lxd", "libvirt": "debian-vm"}
FAKE = "fake"
#: Seconds between looks at a server. Each look costs the API some 30 ms of a core, so
#: that closer ones would slow down what they look at.
POLL = 0.1
TIMEOUT = 120.0
#: Nova's first version that takes the name of a host, and schedules to it.
HOST_MICROVERSION = "2.74"


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """One compute to measure.

    :ivar host: Nova's name of it.
    :ivar image: UUID.
    """

    name: str
    host: str
    image: str


@dataclasses.dataclass(frozen=True, slots=True)
class Times:
    """Of one server, in seconds."""

    create: float
    delete: float


@contextlib.contextmanager
def network(cloud: Any) -> Iterator[str]:
    """A network of our own for the time of the block; its UUID."""
    made = cloud.network.create_network(name=NETWORK)
    try:
        cloud.network.create_subnet(
            name=NETWORK, network_id=made.id, ip_version=4, cidr=CIDR
        )
        yield made.id
    finally:
        cloud.network.delete_network(made)


@contextlib.contextmanager
def resident(cloud: Any, target: Subject, network_id: str) -> Iterator[None]:
    """A server on the network for the time of the block.

    Else each server that is measured would be the first of its network on this
    machine, for which the chassis makes the network's metadata service, and the last
    one, after which it takes it away: beside a boot, and never beside one of Nova's
    FakeDriver, which connects nothing.
    """
    flavor = cloud.compute.find_flavor(FLAVOR, ignore_missing=False).id
    server = cloud.compute.create_server(
        name="bench-resident",
        image_id=target.image,
        flavor_id=flavor,
        networks=[{"uuid": network_id}],
        host=target.host,
    )
    try:
        _wait(lambda: _active(cloud, server), f"server {server.id} on {target.host}")
        yield
    finally:
        cloud.compute.delete_server(server, ignore_missing=True)
        _wait(lambda: _gone(cloud, server), f"the end of server {server.id}")


@contextlib.contextmanager
def subjects(cloud: Any, fake_host: str | None) -> Iterator[list[Subject]]:
    """The computes to measure, in the order in which they take turns."""
    found = []
    hosts = {
        _kind(entry): entry.name for entry in cloud.compute.hypervisors(details=True)
    }
    for name, image in IMAGES.items():
        if name in hosts:
            record = cloud.image.find_image(image)
            if record is None:
                raise BenchError(f"there is no image {image}; deploy/up makes it")
            found.append(Subject(name, hosts[name], record.id))
    if fake_host is None:
        yield found
        return
    # The fake driver never looks into it.
    empty = cloud.image.create_image(
        "bench-fake",
        data=b"\0",
        disk_format="raw",
        container_format="bare",
        allow_duplicates=True,
    )
    try:
        yield [Subject(FAKE, fake_host, empty.id), *found]
    finally:
        cloud.image.delete_image(empty, ignore_missing=True)


def measure(
    cloud: Any,
    targets: Sequence[Subject],
    network_id: str,
    rounds: int,
    log: Callable[[str], None],
) -> dict[str, list[Times]]:
    """Boot and delete servers one at a time, the hypervisors taking turns.

    One server more of each goes before and is not counted: it fetches the image.
    """
    flavor = cloud.compute.find_flavor(FLAVOR, ignore_missing=False).id
    found: dict[str, list[Times]] = {target.name: [] for target in targets}
    for number in range(rounds + 1):
        for target in targets:
            times = _one(cloud, target, network_id, flavor, number)
            log(
                f"{number:3} {target.name:8} create {times.create:6.2f} s"
                f"  delete {times.delete:6.2f} s"
            )
            if number:
                found[target.name].append(times)
    return found


def _one(
    cloud: Any, target: Subject, network_id: str, flavor: str, number: int
) -> Times:
    start = time.monotonic()
    server = cloud.compute.create_server(
        name=f"bench-{target.name}-{number}",
        image_id=target.image,
        flavor_id=flavor,
        networks=[{"uuid": network_id}],
        host=target.host,
    )
    try:
        _wait(lambda: _active(cloud, server), f"server {server.id} on {target.host}")
        created = time.monotonic() - start
    finally:
        start = time.monotonic()
        cloud.compute.delete_server(server, ignore_missing=True)
        _wait(lambda: _gone(cloud, server), f"the end of server {server.id}")
        deleted = time.monotonic() - start
    return Times(created, deleted)


def _active(cloud: Any, server: Any) -> bool:
    status = cloud.compute.get_server(server.id)
    if status.status == "ERROR":
        fault = (status.fault or {}).get("message", "no reason given")
        raise BenchError(f"server {server.id} failed: {fault}")
    return bool(status.status == "ACTIVE")


def _gone(cloud: Any, server: Any) -> bool:
    try:
        cloud.compute.get_server(server.id)
    except exceptions.NotFoundException:
        return True
    return False


def _wait(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not reached():
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {TIMEOUT:g} s")
        time.sleep(POLL)


def _kind(hypervisor: Any) -> str:
    kind = str(hypervisor.hypervisor_type).lower()
    return "libvirt" if kind in ("qemu", "kvm") else kind
