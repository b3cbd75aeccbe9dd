# SPDX-License-Identifier: Apache-2.0
"""Hosts."""

from __future__ import annotations

from nova_multi.osc import base
from nova_multi.osc.options import Field, size

_FIELDS = (
    Field("os-name", "Operating system, as you call it", name="os"),
    Field("memory", "Memory in GB, or with a unit", metavar="<size>", kind=size),
    Field("capacity", "Disk in GB, or with a unit", metavar="<size>", kind=size),
    Field("type", "GeneralPurpose, ComputeOptimized, MemoryOptimized..."),
    Field("enable", "Let new instances come", name="enabled", switch=True),
    Field("disable", "Let no new instances come", name="enabled", switch=False),
    Field("local-ipv4", "Address", metavar="<address>"),
    Field("local-ipv6", "Address", metavar="<address>"),
    Field("public-ipv4", "Address from outside", metavar="<address>"),
    Field("public-ipv6", "Address from outside", metavar="<address>"),
    Field("partition", "Partition to be in (name or id)"),
    Field("driver", "docker, lxd or libvirt; repeat it", "drivers", repeated=True),
)


class _Noun(base.Noun):
    noun = "host"
    plural = "hosts"
    columns = ("name", "type", "enabled", "state", "partition", "drivers")
    long_columns = ("uuid", "os", "memory", "capacity", "used", "free", "instances")
    filters = ("name", "os", "type", "enabled", "state", "partition", "driver")
    create_fields = _FIELDS
    set_fields = _FIELDS


class CreateHost(_Noun, base.Create):
    """Create a host."""


class ListHost(_Noun, base.List):
    """List hosts."""


class ShowHost(_Noun, base.Show):
    """Show a host."""


class SetHost(_Noun, base.Set):
    """Change a host."""


class DeleteHost(_Noun, base.Delete):
    """Delete hosts."""
