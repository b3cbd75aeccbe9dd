# SPDX-License-Identifier: Apache-2.0
"""Where an instance goes: partition, driver and type must fit, then the policy."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence

from nova_multi.cloud.values import Needs
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import NoHost, Unsupported
from nova_multi.domain.host import Host, HostType, Policy, Wanted, choose_host
from nova_multi.domain.instance import Size
from nova_multi.provision.machines import FRESH, machines
from nova_multi.provision.tools import Tools

#: Seconds until what was placed shows in Nova's own numbers.
_SETTLING = 20.0


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """What was decided.

    :ivar machine: its name; empty leaves it to Nova.
    :ivar compute_host: the one to demand of Nova, if one must be demanded.
    """

    machine: str = ""
    compute_host: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What is to be placed.

    :ivar key: the same for repetitions.
    :ivar partition: UUID of the partition's record.
    :ivar refused: machines that Nova didn't take it on.
    """

    key: str
    partition: str
    driver: Driver
    size: Size
    host_type: HostType | None = None
    node: str | None = None
    refused: frozenset[str] = frozenset()


class Recent:
    """What was placed just now and does not show in Nova's numbers yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._placed: dict[str, tuple[float, str]] = {}

    def add(self, key: str, machine: str) -> None:
        """Count an instance."""
        with self._lock:
            self._placed[key] = (time.monotonic(), machine)

    def on(self, key: str, hosts: Sequence[Host]) -> list[Host]:
        """Hosts as they will be once everything has settled, but without ``key``."""
        with self._lock:
            now = time.monotonic()
            self._placed = {
                k: v for k, v in self._placed.items() if now - v[0] < _SETTLING
            }
            recent = [v for k, v in self._placed.items() if k != key]
        counted = []
        for host in hosts:
            names = tuple(f"#{n}" for n, v in enumerate(recent) if v[1] == host.name)
            counted.append(
                dataclasses.replace(host, instances=(*host.instances, *names))
            )
        return counted


def place(tools: Tools, request: Request) -> Place:
    """Choose a host.

    :raises NoHost: no host fits; the error names the requirement.
    :raises Unsupported: a node is named, and the service is no administrator here.
    """
    if tools.single:
        if request.node:
            raise Unsupported(
                "only an administrator of the cloud can name the node", field="node"
            )
        return Place()
    found = machines(tools)
    hosts = found.hosts(request.driver, age=FRESH)
    host = _best(tools, request, hosts)
    if request.node is None and (tools.settings.policy is None or len(hosts) == 1):
        return Place()
    _recent(tools).add(request.key, host.name)
    machine = found.named(host.name)
    return Place(machine.name, machine.services[request.driver].host)


def fits(tools: Tools, request: Request) -> bool:
    """Whether any host fits, as Nova has it just now."""
    try:
        _best(tools, request, machines(tools).hosts(request.driver))
    except NoHost:
        return False
    return True


def _best(tools: Tools, request: Request, hosts: Sequence[Host]) -> Host:
    return choose_host(
        _recent(tools).on(request.key, hosts),
        Wanted(
            partition=machines(tools).partition_names().get(request.partition, ""),
            driver=request.driver,
            type=request.host_type,
            node=request.node,
            refused=request.refused,
            cpus=request.size.cpus,
            memory_mb=request.size.memory_mb,
            disk_gb=request.size.disk_gb,
        ),
        tools.settings.policy or Policy.FEWEST_INSTANCES,
    )


def _recent(tools: Tools) -> Recent:
    found: Recent = tools.memory.setdefault("recently placed", Recent())
    return found


def why_none(tools: Tools, request: Request) -> str:
    """Which requirement leaves no host, as Placement says; empty if it can't tell."""
    if tools.single:
        return ""
    missing = tools.clouds.admin().placement.missing(needs(tools, request))
    if not missing:
        return "hosts that fit were taken by others in the meantime"
    return f"no host meets: {', '.join(missing)}"


def needs(tools: Tools, request: Request) -> Needs:
    """The request in Placement's words."""
    found = machines(tools)
    aggregates = {m.partition: m.aggregate.uuid for m in found.all() if m.aggregate}
    own = aggregates.get(request.partition)
    node = None
    if request.node:
        machine = found.named(request.node, field="node")
        provider = machine.providers.get(request.driver)
        node = provider.id if provider else None
    return Needs(
        cpus=request.size.cpus,
        memory_mb=request.size.memory_mb,
        disk_gb=request.size.disk_gb,
        host_type=request.host_type,
        driver=request.driver,
        aggregates=frozenset({own}) if own else None,
        outside=frozenset() if own else frozenset(aggregates.values()),
        node=node,
    )
