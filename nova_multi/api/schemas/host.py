# SPDX-License-Identifier: Apache-2.0
"""Hosts."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Self

from nova_multi.api.schemas.base import (
    UNSET,
    Answer,
    Body,
    Change,
    DriverWord,
    Flag,
    HostTypeWord,
    Line,
    ListQuery,
    Read,
    Reference,
    SizeGB,
    Stamp,
    Time,
    name_of,
    stamp,
    word_of,
)
from nova_multi.api.schemas.refs import Named
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid
from nova_multi.domain.host import Host, HostState, HostType
from nova_multi.domain.names import Kind
from nova_multi.domain.sizes import format_size


def _address(version: int) -> Read:
    def read(text: Any) -> str:
        try:
            found = ipaddress.ip_address(text if isinstance(text, str) else "")
        except ValueError:
            found = None
        if found is None or found.version != version:
            raise Invalid(f"{text!r:.60} is no IPv{version} address")
        return str(found)

    return Read(read, {"type": "string", "format": f"ipv{version}"})


def _drivers(value: Any) -> tuple[Driver, ...]:
    if not isinstance(value, list):
        raise Invalid("drivers must be a list")
    return tuple(dict.fromkeys(Driver.parse(text) for text in value))


_DRIVER = {"type": "string", "enum": ["docker", "lxd", "lxc", "libvirt", "kvm", "qemu"]}
_Drivers = Annotated[Any, Read(_drivers, {"type": "array", "items": _DRIVER})]
_IPv4 = Annotated[Any, _address(4)]
_IPv6 = Annotated[Any, _address(6)]
_State = Annotated[Any, word_of(str, HostState)]
_RENAMED = {"memory": "memory_mb", "capacity": "capacity_mb"}


class HostCreate(Body):
    """A machine that is to become a host."""

    RENAMED = _RENAMED

    name: Annotated[Any, name_of(Kind.HOST, 253)]
    os: Line = UNSET
    memory: SizeGB = UNSET
    capacity: SizeGB = UNSET
    enabled: Flag = UNSET
    type: HostTypeWord = UNSET
    local_ipv4: _IPv4 = UNSET
    local_ipv6: _IPv6 = UNSET
    public_ipv4: _IPv4 = UNSET
    public_ipv6: _IPv6 = UNSET
    partition: Reference = UNSET
    drivers: _Drivers = UNSET


class HostChange(Change):
    """What is to change of a host."""

    RENAMED = _RENAMED
    FIXED = frozenset({"name"})

    os: Line = UNSET
    memory: SizeGB = UNSET
    capacity: SizeGB = UNSET
    enabled: Flag = UNSET
    type: HostTypeWord = UNSET
    local_ipv4: _IPv4 = UNSET
    local_ipv6: _IPv6 = UNSET
    public_ipv4: _IPv4 = UNSET
    public_ipv6: _IPv6 = UNSET
    partition: Reference = UNSET
    drivers: _Drivers = UNSET


class HostAnswer(Answer):
    """A host; amounts that are used and free are of the whole machine."""

    uuid: str
    name: str
    os: str
    memory: str
    capacity: str
    enabled: bool
    type: HostType
    local_ipv4: str
    local_ipv6: str
    public_ipv4: str
    public_ipv6: str
    partition: str
    drivers: list[Driver]
    instances: list[Named]
    state: HostState
    used: dict[str, int]
    free: dict[str, int]
    created: Stamp | None
    modified: Time | None

    @classmethod
    def of(cls, value: Host) -> Self:
        return cls(
            uuid=value.uuid,
            name=value.name,
            os=value.os,
            memory=format_size(value.memory_mb),
            capacity=format_size(value.capacity_mb),
            enabled=value.enabled,
            type=value.type,
            local_ipv4=value.local_ipv4,
            local_ipv6=value.local_ipv6,
            public_ipv4=value.public_ipv4,
            public_ipv6=value.public_ipv6,
            partition=value.partition,
            drivers=list(value.drivers),
            instances=[Named(name=name) for name in value.instances],
            state=value.state,
            used={name: usage.used for name, usage in value.usage.items()},
            free={name: usage.free for name, usage in value.usage.items()},
            created=stamp(value.created),
            modified=value.modified,
        )


class HostQuery(ListQuery):
    """Filters of a list of hosts."""

    name: Reference = UNSET
    os: Reference = UNSET
    type: HostTypeWord = UNSET
    enabled: Annotated[str, word_of(str, ("true", "false"))] = UNSET
    state: _State = UNSET
    partition: Reference = UNSET
    driver: DriverWord = UNSET
