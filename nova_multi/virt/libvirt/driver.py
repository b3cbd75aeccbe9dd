# SPDX-License-Identifier: Apache-2.0
"""Nova's libvirt driver beside container drivers on the same node."""

from __future__ import annotations

from typing import Any

import nova.conf
from nova.virt import libvirt
from oslo_log import log as logging

from nova_multi.conf import base as base_conf
from nova_multi.conf import libvirt as libvirt_conf
from nova_multi.virt import capacity as shared_capacity
from nova_multi.virt.libvirt import capacity, interface

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: libvirt that chooses firmware by a feature of its own for Secure Boot.
_FIRMWARE_FEATURES = (8, 6, 0)


class LibvirtDriver(libvirt.LibvirtDriver):
    """``nova.virt.libvirt.LibvirtDriver``; says below what differs."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        base_conf.register_opts(CONF)
        libvirt_conf.register_opts(CONF)
        if not CONF.nova_multi.libvirt_checksum_offload:
            self.vif_driver = interface.VIFDriver(self._host)
            LOG.info("Interfaces of virtual machines do without checksum offload")

    def _configure_guest_by_virt_type(
        self,
        guest: Any,
        instance: Any,
        image_meta: Any,
        flavor: Any,
        old_guest: Any = None,
    ) -> None:
        """Let libvirt choose firmware by its features alone.

        Nova says twice whether there is to be Secure Boot: as a feature of the
        firmware, and as an attribute of its loader, which old libvirt wants. The one of
        Debian 12 refuses the attribute where the choice is left to it, and so every
        machine with UEFI.
        """
        super()._configure_guest_by_virt_type(
            guest, instance, image_meta, flavor, old_guest
        )
        if guest.os_firmware and self._host.has_min_version(_FIRMWARE_FEATURES):
            guest.os_loader_secure = None

    def update_provider_tree(
        self,
        provider_tree: Any,
        nodename: str,
        allocations: dict[str, Any] | None = None,
    ) -> None:
        share = CONF.nova_multi.share
        before = provider_tree.data(nodename).inventory
        super().update_provider_tree(provider_tree, nodename, allocations=allocations)
        ratios = shared_capacity.allocation_ratios(before, CONF, share)
        inventory = provider_tree.data(nodename).inventory
        provider_tree.update_inventory(
            nodename, capacity.divided(inventory, ratios, share)
        )
