# SPDX-License-Identifier: Apache-2.0
"""What the provisioning service costs: accepting, telling, and a burst against plain
openstacksdk."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openstack
import sqlalchemy as sa

from bench.errors import BenchError
from bench.service import TIMEOUT, Service

#: Images by driver, in the turns that they take: of a machine's CPUs each hypervisor
#: has its share to give away, and the one for virtual machines the largest.
TURNS = (
    ("docker", "debian-docker"),
    ("lxd", "debian-lxd"),
    ("libvirt", "debian-vm"),
    ("libvirt", "debian-vm"),
)
#: MB of each instance; the other sizes are 1 CPU and 1 GB.
MEMORY_MB = 128
CLIENTS = 8
STORED = 10_000
PAGE = 100
#: Times that a page is asked for.
PAGES = 30
#: Instances that are accepted for the sake of it.
ACCEPTED = 200
#: Type of host that no host is of: their tasks end before a server is made.
NOWHERE = "HighPerformance"
#: Seconds between looks at tasks; what a state's delay is known to. Each look costs the
#: service as much as accepting two instances.
LOOK = 0.2

Log = Callable[[str], None]


@contextlib.contextmanager
def environment(service: Service) -> Iterator[str]:
    """An environment of our own for the time of the block; its name."""
    name = f"bench-{secrets.token_hex(3)}"
    sizes = {"cpus": 1, "memory": MEMORY_MB / 1024, "hdsize": 1}
    service.do("POST", "/partitions", {"name": name})
    try:
        service.do("POST", "/environments", {"name": name, "partition": name})
        for driver, image in set(TURNS):
            body = {"name": f"{name}-{driver}", "image": image, "driver": driver}
            service.ask("POST", "/provisioners", {**body, **sizes})
        try:
            yield name
        finally:
            for driver, _ in set(TURNS):
                service.ask("DELETE", f"/provisioners/{name}-{driver}")
            service.do("DELETE", f"/environments/{name}")
    finally:
        service.do("DELETE", f"/partitions/{name}")


def accepting(service: Service, name: str) -> dict[str, list[float]]:
    """Have instances accepted that find no host, by clients that don't pause.

    :returns: seconds of each as its client sees it; but for OpenStack; of processor.
    """

    def accept(number: int) -> tuple[float, float, float]:
        body = {
            "name": f"{name}-accepted-{number}",
            "environment": name,
            "provisioner": f"{name}-lxd",
            "host_type": NOWHERE,
        }
        start = time.monotonic()
        task, own, cpu = service.accept(body)
        tasks.append(task)
        return time.monotonic() - start, own, cpu

    tasks: list[str] = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        seen, own, cpu = zip(*pool.map(accept, range(ACCEPTED)), strict=True)
    for task in tasks:
        if service.ended(task)["status"] != "error":
            raise BenchError(f"task {task} found a host of type {NOWHERE}")
    return {"accept": [*seen], "own": [*own], "cpu": [*cpu]}


def burst(service: Service, name: str, count: int) -> dict[str, Any]:
    """Make instances at once by the service, and delete them.

    :returns: seconds until all were there; from Nova's word that it was there until its
        task showed it.
    """
    names = [f"{name}-{number}" for number in range(count)]

    def accept(each: str, driver: str) -> None:
        body = {
            "name": each,
            "environment": name,
            "provisioner": f"{name}-{driver}",
        }
        service.accept(body)

    start = time.monotonic()
    delays: dict[str, float] = {}
    with ThreadPoolExecutor(CLIENTS) as pool:
        accepted = [
            pool.submit(accept, each, driver)
            for each, (driver, _) in zip(names, itertools.cycle(TURNS), strict=False)
        ]
        _watch(service, count, delays)
        wall = time.monotonic() - start
        for each in accepted:
            each.result()
        list(pool.map(lambda each: service.do("DELETE", f"/instances/{each}"), names))
    return {"wall": wall, "delay": list(delays.values())}


def _watch(service: Service, count: int, delays: dict[str, float]) -> None:
    """Look until all of the newest tasks have ended."""
    deadline = time.monotonic() + TIMEOUT
    path = f"/tasks?type=create_instance&limit={count}"
    begin = datetime.datetime.now(datetime.UTC)
    while len(delays) < count:
        for task in service.ask("GET", path)["tasks"]:
            last = task["status_history"][-1]
            if task["uuid"] in delays or _time(task["created"]) < begin - _SECOND:
                continue
            if last["status"] == "error":
                raise BenchError(f"task {task['uuid']}: {last['message']}")
            if last["status"] == "created":
                seen = datetime.datetime.now(datetime.UTC)
                delays[task["uuid"]] = (seen - _time(last["at"])).total_seconds()
        if time.monotonic() > deadline:
            raise BenchError(f"the burst has not ended within {TIMEOUT:g} s")
        time.sleep(LOOK)


_SECOND = datetime.timedelta(seconds=1)


def _time(text: Any) -> datetime.datetime:
    told = text["at"] if isinstance(text, Mapping) else text
    return datetime.datetime.fromisoformat(told)


def plain(cloud: Any, count: int) -> float:
    """The same with openstacksdk, in as many threads.

    :returns: seconds until all were there.
    """
    flavors = list(cloud.compute.flavors(get_extra_specs=True))
    kinds = [
        (_flavor(flavors, driver).id, cloud.image.find_image(image).id)
        for driver, image in TURNS
    ]
    network = cloud.network.create_network(name="bench-plain")
    local = threading.local()

    def mine() -> Any:
        if not hasattr(local, "cloud"):
            local.cloud = openstack.connect(cloud=cloud.config.name)
        return local.cloud

    def make(number: int) -> None:
        name, (flavor, image) = f"bench-plain-{number}", kinds[number % len(kinds)]
        port = mine().network.create_port(network_id=network.id, name=name)
        server = mine().compute.create_server(
            name=name,
            image_id=image,
            flavor_id=flavor,
            networks=[{"port": port.id}],
        )
        made.append(server.id)
        mine().compute.wait_for_server(server, interval=0.5, wait=TIMEOUT)

    def delete(server: str) -> None:
        mine().compute.delete_server(server, ignore_missing=True)
        # Gone before it is looked at: as good.
        with contextlib.suppress(openstack.exceptions.NotFoundException):
            mine().compute.wait_for_delete(
                mine().compute.get_server(server), interval=0.5, wait=TIMEOUT
            )

    made: list[str] = []
    try:
        cloud.network.create_subnet(
            name="bench-plain", network_id=network.id, ip_version=4, cidr="10.22.0.0/24"
        )
        with ThreadPoolExecutor(CLIENTS) as pool:
            start = time.monotonic()
            list(pool.map(make, range(count)))
            wall = time.monotonic() - start
    finally:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(delete, made))
        for port in cloud.network.ports(network_id=network.id):
            if not port.device_owner.startswith("network:"):
                cloud.network.delete_port(port, ignore_missing=True)
        cloud.network.delete_network(network)
    return wall


def _flavor(flavors: Sequence[Any], driver: str) -> Any:
    """One that the service uses, too: an operator's, or its own."""
    for each in flavors:
        wanted = [key for key in each.extra_specs if driver in key.lower()]
        fits = bool(wanted) if driver != "libvirt" else not each.extra_specs
        if fits and (each.vcpus, each.ram, each.disk) == (1, MEMORY_MB, 1):
            return each
    raise BenchError(f"there is no flavor of {MEMORY_MB} MB for {driver}")


def pages(service: Service, database: str) -> list[float]:
    """Seconds of one page of many tasks, over the API, one request after the other.

    The first one is not counted: with it the service opens connections, and has the
    client's token checked.

    :param database: URL of the service's own, which is filled for the time being.
    """
    seconds = []
    with _filled(database):
        for _ in range(1 + PAGES):
            start = time.monotonic()
            found = service.ask("GET", f"/tasks?limit={PAGE}")["tasks"]
            seconds.append(time.monotonic() - start)
            if len(found) != PAGE:
                raise BenchError(f"a page has {len(found)} tasks, not {PAGE}")
    return seconds[1:]


@contextlib.contextmanager
def _filled(database: str) -> Iterator[None]:
    """Tasks that have ended, of a project that there isn't."""
    # The service's modules are there only where it is deployed.
    from nova_multi.provision.store import tables

    tasks, history = tables.tasks, tables.task_history
    project = uuid.uuid4().hex
    engine = sa.create_engine(database)
    now = datetime.datetime.now(datetime.UTC)
    common = {
        "type": "create_instance",
        "object_kind": "instance",
        "description": "create instance of a measurement",
        "status": "created",
        "goal": "created",
        "project_id": project,
        "user_id": project,
        "created": now,
        "last_update": now,
    }
    own = tasks.c.project_id == project
    try:
        with engine.begin() as connection:
            ids = [str(uuid.uuid4()) for _ in range(STORED)]
            rows = [{**common, "uuid": each, "object_uuid": each} for each in ids]
            connection.execute(tasks.insert(), rows)
            numbers = connection.execute(sa.select(tasks.c.id).where(own)).scalars()
            told = [
                {"task_id": number, "status": status, "at": now, "message": ""}
                for number in numbers
                for status in ("pending", "dispatched", "created")
            ]
            connection.execute(history.insert(), told)
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(tasks.delete().where(own))
        engine.dispose()


def measure(cloud: Any, database: str, count: int, log: Log) -> dict[str, Any]:
    """All of it.

    :param count: instances in one go.
    """
    service = Service(cloud)
    log(f"pages of {PAGE} of {STORED} tasks")
    seconds: dict[str, Sequence[float]] = {"page": pages(service, database)}
    with environment(service) as name:
        log(f"{ACCEPTED} instances accepted")
        seconds |= accepting(service, name)
        # These aren't counted: they make flavors, and fetch images.
        burst(service, name, 3)
        log(f"{count} instances by the service")
        own = burst(service, name, count)
        log(f"{count} instances by openstacksdk")
        other = plain(cloud, count)
    seconds["delay"] = own["delay"]
    return {
        "count": count,
        "wall": round(own["wall"], 1),
        "plain": round(other, 1),
        **{key: _rounded(found) for key, found in seconds.items()},
    }


def _rounded(seconds: Sequence[float]) -> list[float]:
    return [round(each, 4) for each in seconds]
