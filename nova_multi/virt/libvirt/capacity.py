# SPDX-License-Identifier: Apache-2.0
"""libvirt's share of a machine that container engines use as well."""

from __future__ import annotations

from typing import Any

import os_resource_classes as orc

Inventory = dict[str, dict[str, Any]]


def divided(inventory: Inventory, ratios: dict[str, float], share: float) -> Inventory:
    """Reduce the inventory of a whole machine to a share of it.

    Totals stay what libvirt counts, so that the rest is reserved: of memory and disk in
    physical amounts. Processors are divided by their ratio, since a share of a small
    machine is no whole number of them.

    :param inventory: as Nova's driver made it; other resource classes are left alone.
    :param ratios: overcommit by resource class, the share of processors included.
    :param share: over 0 and up to 1.
    """
    result = {name: dict(entry) for name, entry in inventory.items()}
    for name in (orc.MEMORY_MB, orc.DISK_GB):
        if name in result:
            entry = result[name]
            others = entry["total"] - int(entry["total"] * share)
            entry["reserved"] = min(entry["total"], entry.get("reserved", 0) + others)
    if orc.VCPU in result:
        result[orc.VCPU]["allocation_ratio"] = ratios[orc.VCPU]
    return result
