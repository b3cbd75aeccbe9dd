# SPDX-License-Identifier: Apache-2.0
"""Traits by which instances find their hosts, and images their hypervisors."""

from __future__ import annotations

from nova_multi.domain.driver import Driver
from nova_multi.domain.host import HostType

#: Of the providers of container hosts, and required by their aggregates.
_CONTAINERS = {
    Driver.DOCKER: "CUSTOM_HYPERVISOR_DOCKER",
    Driver.LXD: "CUSTOM_HYPERVISOR_LXD",
}


def driver_trait(driver: Driver) -> str | None:
    """What a provider of that hypervisor has; libvirt's have nothing of ours."""
    return _CONTAINERS.get(driver)


def foreign_traits(driver: Driver) -> frozenset[str]:
    """What a provider of that hypervisor can't have."""
    return frozenset(
        trait for other, trait in _CONTAINERS.items() if other is not driver
    )


def host_type_traits() -> frozenset[str]:
    """One for each type of host; a provider has one of them, or none."""
    return frozenset(kind.trait for kind in HostType)


def required(trait: str) -> tuple[str, str]:
    """The extra spec, image property or aggregate metadata that demands it."""
    return f"trait:{trait}", "required"
