# SPDX-License-Identifier: Apache-2.0
"""Hosts, one value for one machine, and which of them an instance goes to."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Callable, Mapping, Sequence

from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, Invalid, NoHost


class HostType(enum.StrEnum):
    """What a machine is good at."""

    GENERAL_PURPOSE = "GeneralPurpose"
    COMPUTE_OPTIMIZED = "ComputeOptimized"
    MEMORY_OPTIMIZED = "MemoryOptimized"
    STORAGE_OPTIMIZED = "StorageOptimized"
    HIGH_PERFORMANCE = "HighPerformance"

    @classmethod
    def parse(cls, text: str, field: str = "type") -> HostType:
        """Read a type.

        :raises Invalid: there is no such type.
        """
        try:
            return cls(text)
        except ValueError as error:
            raise Invalid(
                f"host type {text!r:.40} is unknown; there are {', '.join(cls)}",
                field=field,
            ) from error

    @property
    def trait(self) -> str:
        """Placement's trait for it."""
        return f"CUSTOM_NOVA_MULTI_HOST_{self.name}"


class HostState(enum.StrEnum):
    """Whether a machine's services answer."""

    UP = "up"
    #: Some of its services don't.
    DEGRADED = "degraded"
    DOWN = "down"


class Policy(enum.StrEnum):
    """Which of the hosts that fit is taken."""

    FEWEST_INSTANCES = "fewest_instances"
    MOST_FREE_MEMORY = "most_free_memory"


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """An amount of something, as Placement counts it.

    :ivar total: what may be given to instances: with the operator's overcommit, less
        what is reserved.
    :ivar used: what is given to instances.
    """

    total: int = 0
    used: int = 0

    @property
    def free(self) -> int:
        """What is left; zero where more was given than there is."""
        return max(0, self.total - self.used)


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """One machine: its nova-compute services are one host here.

    :ivar os: operating system, as its administrator calls it.
    :ivar memory_mb: what it has.
    :ivar capacity_mb: disk that it has.
    :ivar partition: name of the one that it is in, or empty.
    :ivar drivers: hypervisors that it has, whose services are up and enabled.
    :ivar instances: names of the servers on it, of all its hypervisors.
    :ivar usage: by resource: ``cpus``, ``memory_mb``, ``disk_gb``.
    """

    uuid: str
    name: str
    os: str = ""
    memory_mb: int = 0
    capacity_mb: int = 0
    enabled: bool = True
    type: HostType = HostType.GENERAL_PURPOSE
    local_ipv4: str = ""
    local_ipv6: str = ""
    public_ipv4: str = ""
    public_ipv6: str = ""
    partition: str = ""
    drivers: tuple[Driver, ...] = ()
    instances: tuple[str, ...] = ()
    state: HostState = HostState.UP
    usage: Mapping[str, Usage] = dataclasses.field(default_factory=dict)
    created: datetime.datetime | None = None
    modified: datetime.datetime | None = None

    def free(self, resource: str) -> int:
        """What is left of a resource; nothing of one that it does not have."""
        return self.usage.get(resource, Usage()).free


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What an instance needs of its host; None and zero need nothing.

    :ivar partition: name of the instance's partition.
    :ivar node: name or id of the one host that an administrator named.
    :ivar refused: names of hosts that were tried.
    """

    partition: str | None = None
    driver: Driver | None = None
    type: HostType | None = None
    node: str | None = None
    refused: frozenset[str] = frozenset()
    cpus: int = 0
    memory_mb: int = 0
    disk_gb: int = 0


_Requirement = tuple[str, str, Callable[[Host], bool]]


def _requirements(hosts: Sequence[Host], wanted: Wanted) -> list[_Requirement]:
    """Name, a phrase for people, and test of each requirement."""
    own = any(host.partition == wanted.partition for host in hosts)
    # A partition without hosts uses those of no partition.
    partition = wanted.partition if own else ""
    found: list[_Requirement] = [
        ("enabled", "is enabled and up", _in_service),
    ]
    if wanted.partition is not None:
        place = f"is in partition {wanted.partition}"
        if not own:
            place = f"is in no partition ({wanted.partition} has no hosts of its own)"
        found.append(("partition", place, lambda host: host.partition == partition))
    if wanted.node:
        node = wanted.node
        found.append(
            ("node", f"is called {node}", lambda host: node in (host.name, host.uuid))
        )
    if wanted.refused:
        tried = ", ".join(sorted(wanted.refused))
        found.append(
            (
                "refused",
                f"accepts it (refused by {tried})",
                lambda host: host.name not in wanted.refused,
            )
        )
    if wanted.driver:
        driver = wanted.driver
        found.append(("driver", f"runs {driver}", lambda host: driver in host.drivers))
    if wanted.type:
        kind = wanted.type
        found.append(("type", f"is of type {kind}", lambda host: host.type == kind))
    found += [
        ("cpus", f"has {wanted.cpus} CPUs free", _has("cpus", wanted.cpus)),
        (
            "memory",
            f"has {wanted.memory_mb} MB of memory free",
            _has("memory_mb", wanted.memory_mb),
        ),
        ("disk", f"has {wanted.disk_gb} GB free", _has("disk_gb", wanted.disk_gb)),
    ]
    return found


def _in_service(host: Host) -> bool:
    return host.enabled and host.state is not HostState.DOWN


def _has(resource: str, amount: int) -> Callable[[Host], bool]:
    return lambda host: host.free(resource) >= amount


def choose_host(hosts: Sequence[Host], wanted: Wanted, policy: Policy) -> Host:
    """The best of the hosts that meet every requirement; by name where equal.

    :param hosts: every host, not only those of the partition.
    :raises NoHost: none does. It names the requirement without which there would be
        one; if leaving out a single one is not enough, the first that left none.
    """
    requirements = _requirements(hosts, wanted)
    fitting = [host for host in hosts if all(test(host) for _, _, test in requirements)]
    if fitting:
        return min(fitting, key=_RANKS[policy])
    raise _no_host(hosts, requirements)


def _no_host(hosts: Sequence[Host], requirements: list[_Requirement]) -> NoHost:
    if not hosts:
        return NoHost("hosts", "there are no hosts")
    for left_out in requirements:
        rest = [one for one in requirements if one is not left_out]
        if any(all(test(host) for _, _, test in rest) for host in hosts):
            name, told, _ = left_out
            return NoHost(name, f"no host that fits otherwise {told}")
    remaining = list(hosts)
    for name, told, test in requirements:
        remaining = [host for host in remaining if test(host)]
        if not remaining:
            return NoHost(name, f"no host {told}")
    raise AssertionError("some host meets every requirement")


_RANKS: dict[Policy, Callable[[Host], tuple[int, int, str]]] = {
    Policy.FEWEST_INSTANCES: lambda host: (
        len(host.instances),
        -host.free("memory_mb"),
        host.name,
    ),
    Policy.MOST_FREE_MEMORY: lambda host: (
        -host.free("memory_mb"),
        len(host.instances),
        host.name,
    ),
}


def check_addable(host: Host, partition: str, foreign: Sequence[str]) -> None:
    """See that a host may be put into a partition.

    :param foreign: names of the servers on it that don't belong to the partition.
    :raises Conflict: it is in another partition, or carries foreign servers.
    """
    if host.partition and host.partition != partition:
        raise Conflict(
            f"host {host.name} is in partition {host.partition}: remove it there first",
            field="host",
            code="host_in_partition",
        )
    if foreign:
        raise Conflict(
            f"host {host.name} carries servers that are not of partition {partition}: "
            f"{', '.join(foreign)}",
            field="host",
            code="host_occupied",
        )
