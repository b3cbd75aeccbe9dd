# SPDX-License-Identifier: Apache-2.0
"""What a container host has to give, for Nova's resource tracker and for Placement.

Until one ledger serves all hypervisors of a machine, each compute service reports a
configured share of it (``[nova_multi] share``).
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import os_resource_classes as orc
from nova.objects import fields

from nova_multi.virt.engine import EngineInfo

#: Trait that images require (``trait:CUSTOM_HYPERVISOR_DOCKER=required``) and the
#: aggregates of container hosts carry.
TRAIT_PREFIX = "CUSTOM_HYPERVISOR_"
#: The storage enforces the flavor's disk size.
TRAIT_DISK_LIMITS = "CUSTOM_NOVA_MULTI_DISK_LIMITS"


@dataclasses.dataclass(frozen=True, slots=True)
class HostCapacity:
    """Physical amounts that a compute service reports.

    :ivar vcpus: processors of the machine; shared in time, so not divided.
    :ivar memory_mb: MiB, this service's share.
    :ivar disk_gb: GiB, this service's share of the storage of its guests.
    :ivar disk_free_gb: GiB of it that are free now.
    """

    vcpus: int
    memory_mb: int
    disk_gb: int
    disk_free_gb: int


def machine_memory_mb(meminfo: str = "/proc/meminfo") -> int:
    """Memory of the machine in MiB."""
    with open(meminfo, encoding="ascii") as source:
        for line in source:
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) // 1024
    raise OSError(f"{meminfo} has no MemTotal")


def measure(info: EngineInfo, share: float) -> HostCapacity:
    """What this service may give: its share of the machine and the engine's storage."""
    return HostCapacity(
        vcpus=len(os.sched_getaffinity(0)),
        memory_mb=max(1, int(machine_memory_mb() * share)),
        disk_gb=max(1, int(info.disk_total_gb * share)),
        disk_free_gb=max(0, int(min(info.disk_free_gb, info.disk_total_gb * share))),
    )


def available_resource(
    capacity: HostCapacity, info: EngineInfo, nodename: str
) -> dict[str, Any]:
    """The dictionary of ``ComputeDriver.get_available_resource``."""
    architecture = fields.Architecture.canonicalize(os.uname().machine)
    version = (*info.version, 0, 0, 0)[:3]
    return {
        "vcpus": capacity.vcpus,
        "memory_mb": capacity.memory_mb,
        "local_gb": capacity.disk_gb,
        # The tracker counts what servers use by their flavors.
        "vcpus_used": 0,
        "memory_mb_used": 0,
        "local_gb_used": 0,
        "disk_available_least": capacity.disk_free_gb,
        "hypervisor_type": info.name,
        "hypervisor_version": version[0] * 1_000_000 + version[1] * 1000 + version[2],
        "hypervisor_hostname": nodename,
        "cpu_info": json.dumps({"arch": architecture}),
        "supported_instances": [
            (architecture, info.name, fields.VMMode.EXE),
        ],
        "numa_topology": None,
    }


def allocation_ratios(
    inventory: dict[str, Any], configured: Any, share: float
) -> dict[str, float]:
    """Overcommit for each resource class, by Nova's own precedence.

    A ratio of the configuration wins; else one that Placement has already (an operator
    may have set it there); else the configured initial one. The share divides the
    processors by way of their ratio.

    :param configured: object with Nova's ``*_allocation_ratio`` options.
    """
    ratios = {}
    for word, resource_class, part in (
        ("cpu", orc.VCPU, share),
        ("ram", orc.MEMORY_MB, 1.0),
        ("disk", orc.DISK_GB, 1.0),
    ):
        fixed = getattr(configured, f"{word}_allocation_ratio")
        if fixed:
            ratios[resource_class] = fixed * part
        elif resource_class in inventory:
            ratios[resource_class] = inventory[resource_class]["allocation_ratio"]
        else:
            initial = getattr(configured, f"initial_{word}_allocation_ratio")
            ratios[resource_class] = initial * part
    return ratios


def inventory(
    capacity: HostCapacity, ratios: dict[str, float], reserved: dict[str, int]
) -> dict[str, dict[str, Any]]:
    """Placement inventory of the root provider.

    :param reserved: for each resource class, in its unit; never more than there is.
    """
    totals = {
        orc.VCPU: capacity.vcpus,
        orc.MEMORY_MB: capacity.memory_mb,
        orc.DISK_GB: capacity.disk_gb,
    }
    return {
        resource_class: {
            "total": total,
            "min_unit": 1,
            "max_unit": total,
            "step_size": 1,
            "allocation_ratio": ratios[resource_class],
            "reserved": min(reserved.get(resource_class, 0), total),
        }
        for resource_class, total in totals.items()
    }


def traits(info: EngineInfo) -> tuple[set[str], set[str]]:
    """Traits of ours that the provider must have, and those that it must not.

    Everything else on the provider belongs to others and is left alone.
    """
    wanted = {TRAIT_PREFIX + info.name.upper()}
    unwanted: set[str] = set()
    (wanted if info.disk_limits else unwanted).add(TRAIT_DISK_LIMITS)
    return wanted, unwanted
