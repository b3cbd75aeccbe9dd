# SPDX-License-Identifier: Apache-2.0
"""Nova's libvirt driver beside container drivers on the same node."""

from __future__ import annotations

from typing import Any

import nova.conf
from nova.virt import libvirt
from oslo_log import log as logging

from nova_multi.conf import libvirt as libvirt_conf
from nova_multi.virt.libvirt import interface

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class LibvirtDriver(libvirt.LibvirtDriver):
    """``nova.virt.libvirt.LibvirtDriver``; says below what differs."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        libvirt_conf.register_opts(CONF)
        if not CONF.nova_multi.libvirt_checksum_offload:
            self.vif_driver = interface.VIFDriver(self._host)
            LOG.info("Interfaces of virtual machines do without checksum offload")
