# SPDX-License-Identifier: Apache-2.0
"""What OpenStack has, as far as the provisioning layer looks at it.

Memory is in MB and disk in GB, as Nova counts them; all times are aware, in UTC.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Literal

from nova_multi.domain.driver import Driver
from nova_multi.domain.host import HostType

# -- identity


@dataclasses.dataclass(frozen=True, slots=True)
class Project:
    """A project of Keystone's."""

    id: str
    name: str
    domain_id: str
    parent_id: str | None = None
    description: str = ""
    enabled: bool = True
    tags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """A user of Keystone's.

    :ivar task: UUID of the task that made it.
    """

    id: str
    name: str
    domain_id: str
    enabled: bool = True
    description: str = ""
    task: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """A group of Keystone's.

    :ivar task: UUID of the task that made it.
    """

    id: str
    name: str
    domain_id: str
    description: str = ""
    task: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """A role that a user or a group has on a project; the other of the two is None."""

    role: str
    project_id: str
    user_id: str | None = None
    user_name: str | None = None
    group_id: str | None = None
    group_name: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class TokenFacts:
    """Who stands behind a signature, and where.

    :ivar access: EC2 access key that signed.
    :ivar expires: when Keystone's token for it would end.
    """

    access: str
    user_id: str
    user_name: str
    user_domain_id: str
    user_domain_name: str
    project_id: str
    project_name: str
    project_domain_id: str
    project_domain_name: str
    roles: tuple[str, ...]
    expires: datetime.datetime
    methods: tuple[str, ...] = ()
    audit_ids: tuple[str, ...] = ()


# -- compute


@dataclasses.dataclass(frozen=True, slots=True)
class Flavor:
    """Sizes of a server; ``id`` is empty where only the server's copy is known."""

    id: str
    name: str
    cpus: int
    memory_mb: int
    disk_gb: int
    ephemeral_gb: int = 0
    swap_mb: int = 0
    extra_specs: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class ServerAddress:
    """One address of a server."""

    network: str
    address: str
    version: Literal[4, 6]
    floating: bool = False
    mac: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """Why a server is in ERROR, in Nova's words."""

    code: int
    message: str
    at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server of Nova's.

    :ivar host: the compute service's host; None where the caller may not see it.
    :ivar task_state: what Nova does with it just now, or None.
    """

    id: str
    name: str
    status: str
    project_id: str
    user_id: str
    flavor: Flavor
    image_id: str | None = None
    host: str | None = None
    hypervisor: str | None = None
    task_state: str | None = None
    vm_state: str | None = None
    created: datetime.datetime | None = None
    updated: datetime.datetime | None = None
    addresses: tuple[ServerAddress, ...] = ()
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()
    fault: Fault | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class NewServer:
    """What to ask of Nova.

    :ivar networks: ids; a port is made on each.
    :ivar ports: ids of ports that are there already; before the networks.
    :ivar security_groups: names or ids, for ports that Nova makes.
    :ivar user_data: as the guest is to read it, not encoded yet.
    :ivar host: compute host that is demanded; takes an administrator's token.
    """

    name: str
    image_id: str
    flavor_id: str
    networks: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    user_data: bytes | None = dataclasses.field(default=None, repr=False)
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    description: str | None = None
    config_drive: bool | None = None
    host: str | None = None
    zone: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ActionEvent:
    """One part of an action; ``result`` is Success, Error, or None while it runs."""

    name: str
    start: datetime.datetime | None
    finish: datetime.datetime | None
    result: str | None
    host: str | None = None
    details: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """Something that was done to a server.

    :ivar message: what went wrong, or None.
    :ivar events: only where one action alone is asked for.
    """

    name: str
    request_id: str
    start: datetime.datetime | None
    updated: datetime.datetime | None
    message: str | None
    user_id: str | None
    events: tuple[ActionEvent, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class ComputeService:
    """A nova-compute: ``enabled`` is the operator's will, ``up`` what Nova sees."""

    id: str
    host: str
    zone: str
    enabled: bool
    up: bool
    disabled_reason: str | None = None
    updated: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Hypervisor:
    """What a nova-compute drives; its id is also its provider's in Placement.

    :ivar host: the service's host.
    :ivar type: as the driver names it: ``docker``, ``lxd``, ``QEMU``.
    :ivar servers: ids of the servers on it, where they were asked for.
    """

    id: str
    name: str
    host: str
    type: str
    up: bool
    enabled: bool
    address: str = ""
    servers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Aggregate:
    """A host aggregate; Placement knows it by its ``uuid``."""

    id: str
    uuid: str
    name: str
    hosts: tuple[str, ...] = ()
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


# -- placement


@dataclasses.dataclass(frozen=True, slots=True)
class Amount:
    """How much of one resource there is: ``capacity`` may be sold, ``used`` is."""

    capacity: int
    used: int

    @property
    def free(self) -> int:
        """Never below zero: a reservation may come after the sale."""
        return max(0, self.capacity - self.used)


@dataclasses.dataclass(frozen=True, slots=True)
class Provider:
    """A resource provider with its amounts by resource class, and its traits.

    :ivar name: for a compute, the hypervisor's name.
    """

    id: str
    name: str
    amounts: Mapping[str, Amount] = dataclasses.field(default_factory=dict)
    traits: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Needs:
    """What a place for a server must offer.

    :ivar aggregates: UUIDs; one of them must hold the provider. None if any will do.
    :ivar outside: UUIDs of aggregates that must not hold it.
    :ivar node: UUID of the provider that was named.
    """

    cpus: int
    memory_mb: int
    disk_gb: int = 0
    host_type: HostType | None = None
    driver: Driver | None = None
    aggregates: frozenset[str] | None = None
    outside: frozenset[str] = frozenset()
    node: str | None = None


# -- network


@dataclasses.dataclass(frozen=True, slots=True)
class Network:
    """A network; ``external`` ones have the addresses that are seen from outside."""

    id: str
    name: str
    external: bool = False
    subnet_ids: tuple[str, ...] = ()
    mtu: int = 0
    tags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet.

    :ivar pools: first and last address of each range that guests' addresses are of.
    """

    id: str
    name: str
    network_id: str
    cidr: str
    gateway: str | None = None
    dns: tuple[str, ...] = ()
    pools: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Router:
    """A router; ``external_network_id`` is that of its gateway."""

    id: str
    name: str
    external_network_id: str | None = None
    tags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group.

    :ivar created_at: in seconds, as Neutron writes it; empty if it was not asked for.
    """

    id: str
    name: str
    tags: tuple[str, ...] = ()
    created_at: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Port:
    """A port; ``device_id`` is the server's, where ``device_owner`` says compute."""

    id: str
    network_id: str
    addresses: tuple[str, ...] = ()
    mac: str = ""
    device_id: str = ""
    device_owner: str = ""
    status: str = ""
    security_groups: tuple[str, ...] = ()
    revision: int = 0
    name: str = ""

    @property
    def server_id(self) -> str | None:
        """The server that it is plugged into."""
        return self.device_id if self.device_owner.startswith("compute:") else None


@dataclasses.dataclass(frozen=True, slots=True)
class Forwarding:
    """One published port: ``outside`` of the address goes to ``inside`` of a port."""

    id: str
    address_id: str
    protocol: Literal["tcp", "udp"]
    outside: int
    inside: int
    port_id: str
    inside_address: str = ""
    description: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class FloatingAddress:
    """A floating IP: of one port, or one whose ports are forwarded.

    :ivar forwardings: None where the cloud doesn't tell them along with the address.
    """

    id: str
    address: str
    network_id: str
    port_id: str | None = None
    router_id: str | None = None
    tags: tuple[str, ...] = ()
    forwardings: tuple[Forwarding, ...] | None = None


# -- image


@dataclasses.dataclass(frozen=True, slots=True)
class StoredImage:
    """An image of Glance's.

    :ivar size: bytes, None before there is content.
    :ivar hash: of the content, and by which algorithm.
    """

    id: str
    name: str
    status: str
    disk_format: str | None
    container_format: str | None
    owner: str | None
    visibility: str
    size: int | None = None
    min_disk_gb: int = 0
    min_memory_mb: int = 0
    hash_algorithm: str | None = None
    hash: str | None = None
    created: datetime.datetime | None = None
    updated: datetime.datetime | None = None
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()


# -- of any kind


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """An object that a task made before."""

    kind: str
    id: str
    name: str
