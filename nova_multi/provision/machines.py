# SPDX-License-Identifier: Apache-2.0
"""Machines: a machine's compute services, hypervisors and providers as one host."""

from __future__ import annotations

import dataclasses
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from nova_multi.cloud import placement
from nova_multi.cloud.clouds import Cloud
from nova_multi.cloud.values import (
    Aggregate,
    Amount,
    ComputeService,
    Hypervisor,
    Provider,
)
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import NotFound
from nova_multi.domain.host import Host, HostState, HostType, Usage
from nova_multi.domain.names import Kind
from nova_multi.provision.store import Record
from nova_multi.provision.tools import Tools

#: Key of an aggregate's metadata: UUID of the partition's record.
PARTITION_KEY = "nova_multi_partition"
#: Seconds for which what was found serves others, too: a burst asks once.
FRESH = 2.0

#: Machines have no id of their own in OpenStack: it is made of their names.
_NAMESPACE = uuid.UUID("5f0c8f62-6f5b-4c0e-9a53-0d8f3f6f7e11")
_RESOURCES = {
    "cpus": placement.CPUS,
    "memory_mb": placement.MEMORY,
    "disk_gb": placement.DISK,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """One machine with its hypervisors.

    :ivar partition: UUID of its partition's record, or empty.
    :ivar aggregate: of its partition.
    """

    name: str
    services: Mapping[Driver, ComputeService]
    hypervisors: Mapping[Driver, Hypervisor]
    providers: Mapping[Driver, Provider]
    partition: str = ""
    aggregate: Aggregate | None = None

    @property
    def uuid(self) -> str:
        """Its id, the same for ever."""
        return str(uuid.uuid5(_NAMESPACE, self.name))

    @property
    def compute_hosts(self) -> tuple[str, ...]:
        """Names of its compute services' hosts."""
        return tuple(service.host for service in self.services.values())

    @property
    def servers(self) -> tuple[str, ...]:
        """Ids of all servers on it."""
        return tuple(each for hv in self.hypervisors.values() for each in hv.servers)

    @property
    def enabled(self) -> bool:
        """Whether an operator lets any of its services have new servers."""
        return any(service.enabled for service in self.services.values())

    @property
    def type(self) -> HostType:
        """From the traits of its providers."""
        return type_of(self.providers.values()) or HostType.GENERAL_PURPOSE

    def usable(self) -> tuple[Driver, ...]:
        """Drivers whose services are up and enabled."""
        return tuple(
            driver
            for driver, service in self.services.items()
            if service.up and service.enabled
        )

    def state(self) -> HostState:
        """Whether its services answer."""
        up = [service.up for service in self.services.values()]
        if all(up):
            return HostState.UP
        return HostState.DEGRADED if any(up) else HostState.DOWN

    def usage(self, drivers: Iterable[Driver]) -> dict[str, Usage]:
        """Total and used amounts of these hypervisors together.

        Each reports its share of memory and disk, but all of the CPUs.
        """
        providers = [self.providers[d] for d in drivers if d in self.providers]
        found = {}
        for name, resource in _RESOURCES.items():
            amounts = [each.amounts.get(resource, Amount(0, 0)) for each in providers]
            totals = [amount.capacity for amount in amounts] or [0]
            found[name] = Usage(
                total=max(totals) if name == "cpus" else sum(totals),
                used=sum(amount.used for amount in amounts),
            )
        return found

    def host(
        self,
        partition: str = "",
        record: Record | None = None,
        driver: Driver | None = None,
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> Host:
        """The machine as users see it.

        :param partition: name of its partition.
        :param record: what an administrator wrote down about it.
        :param driver: count only what that hypervisor has, for placing.
        :param names: of servers, by their ids; others are told by their ids.
        """
        data = record.data if record else {}
        usage = self.usage([driver] if driver else self.services)
        addresses = [each.address for each in self.hypervisors.values() if each.address]
        local = next((a for a in addresses if ":" not in a), "")
        local6 = next((a for a in addresses if ":" in a), "")
        return Host(
            uuid=self.uuid,
            name=self.name,
            os=data.get("os", ""),
            memory_mb=data.get("memory_mb") or usage["memory_mb"].total,
            capacity_mb=data.get("capacity_mb") or usage["disk_gb"].total * 1024,
            enabled=self.enabled,
            type=self.type,
            local_ipv4=data.get("local_ipv4") or local,
            local_ipv6=data.get("local_ipv6") or local6,
            public_ipv4=data.get("public_ipv4", ""),
            public_ipv6=data.get("public_ipv6", ""),
            partition=partition,
            drivers=self.usable(),
            instances=tuple(sorted(names.get(each, each) for each in self.servers)),
            state=self.state(),
            usage=usage,
            created=record.created if record else None,
            modified=record.modified if record else None,
        )


def type_of(providers: Iterable[Provider]) -> HostType | None:
    """Which type some providers say they are of; None if they say nothing."""
    traits = {trait for each in providers for trait in each.traits}
    return next((kind for kind in HostType if kind.trait in traits), None)


class Machines:
    """The cloud's machines, asked of Nova and Placement in a few requests.

    :raises Unsupported: by any method: there is no administrator's account.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._lock = threading.Lock()
        self._found: tuple[float, Sequence[Machine]] | None = None

    def all(self, *, age: float = FRESH) -> Sequence[Machine]:
        """Every machine, by name.

        :param age: in seconds, that what is told may have; 0 asks anew.
        """
        with self._lock:
            now = time.monotonic()
            if self._found and now - self._found[0] < age:
                return self._found[1]
            found = self._ask(self._tools.clouds.admin())
            self._found = (time.monotonic(), found)
            return found

    def forget(self) -> None:
        """Ask again next time."""
        with self._lock:
            self._found = None

    def named(self, name: str, *, age: float = FRESH, field: str = "host") -> Machine:
        """One by name or id.

        :param field: of the request that names it.
        :raises NotFound: there is none.
        """
        for machine in self.all(age=age):
            if name in (machine.name, machine.uuid):
                return machine
        raise NotFound(f"there is no host {name}", field=field)

    def partition_names(self) -> dict[str, str]:
        """Names of partitions by their records' UUIDs."""
        records = self._tools.store.list_records(Kind.PARTITION)
        return {record.uuid: record.name for record in records}

    def hosts(self, driver: Driver | None = None, *, age: float = 0.0) -> list[Host]:
        """Every machine as users see it.

        :param driver: count only what that hypervisor has.
        :param age: as for :meth:`all`.
        """
        partitions = self.partition_names()
        records = {r.name: r for r in self._tools.store.list_records(Kind.HOST)}
        found = self.all(age=age)
        servers = [each for machine in found for each in machine.servers]
        names = {
            record.openstack_id: record.name
            for record in self._tools.store.list_records(
                Kind.INSTANCE, openstack_ids=servers
            )
        }
        return [
            machine.host(
                partitions.get(machine.partition, ""),
                records.get(machine.name),
                driver,
                names,
            )
            for machine in found
        ]

    def _ask(self, cloud: Cloud) -> Sequence[Machine]:
        services = cloud.hosts.services()
        hypervisors = {
            each.host: each for each in cloud.hosts.hypervisors(with_servers=True)
        }
        providers = {each.id: each for each in cloud.placement.providers()}
        aggregates = [
            each for each in cloud.hosts.aggregates() if PARTITION_KEY in each.metadata
        ]
        parts: dict[str, dict[Driver, ComputeService]] = {}
        for service in services:
            driver = self._driver(service.host, hypervisors.get(service.host))
            name = service.host.removesuffix(self._suffix(driver))
            parts.setdefault(name, {})[driver] = service
        return [
            _machine(name, parts[name], hypervisors, providers, aggregates)
            for name in sorted(parts)
        ]

    def _suffix(self, driver: Driver) -> str:
        return self._tools.settings.suffixes.get(driver, "")

    def _driver(self, host: str, hypervisor: Hypervisor | None) -> Driver:
        kind = hypervisor.type.lower() if hypervisor else ""
        for driver in (Driver.DOCKER, Driver.LXD):
            suffix = self._suffix(driver)
            if kind == driver.value or (not kind and suffix and host.endswith(suffix)):
                return driver
        return Driver.LIBVIRT


def _machine(
    name: str,
    services: Mapping[Driver, ComputeService],
    hypervisors: Mapping[str, Hypervisor],
    providers: Mapping[str, Provider],
    aggregates: Sequence[Aggregate],
) -> Machine:
    own = {d: hypervisors[s.host] for d, s in services.items() if s.host in hypervisors}
    names = {service.host for service in services.values()}
    aggregate = next((each for each in aggregates if names & set(each.hosts)), None)
    return Machine(
        name=name,
        services=services,
        hypervisors=own,
        providers={d: providers[h.id] for d, h in own.items() if h.id in providers},
        partition=aggregate.metadata[PARTITION_KEY] if aggregate else "",
        aggregate=aggregate,
    )


def machines(tools: Tools) -> Machines:
    """The one of these tools."""
    found: Machines = tools.memory.setdefault("machines", Machines(tools))
    return found
