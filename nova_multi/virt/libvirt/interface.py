# SPDX-License-Identifier: Apache-2.0
"""Network interfaces of virtual machines: their XML, and that they are up."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lxml import etree
from nova.network import model
from nova.virt.libvirt import vif
from vif_plug_ovs import linux_net

from nova_multi.virt import events
from nova_multi.virt import vif as shared_vif

# Features of virtio-net that leave work to the peer. On the host's side they are what
# QEMU offers to the guest for sending, on the guest's side what it may receive unready.
_HOST_FEATURES = ("csum", "gso", "tso4", "tso6", "ecn", "ufo")
_GUEST_FEATURES = ("csum", "tso4", "tso6", "ecn", "ufo")


def without_offload(interface: Any) -> Any:
    """Switch checksum and segmentation offload of a virtio interface off, in place.

    The guest then sends every packet whole and with its checksum, which is all that
    the userspace datapath of Open vSwitch can carry.

    :param interface: lxml element ``<interface>`` of a domain. One that is not virtio,
        or whose back end is not a tap device of QEMU's, is left as it is.
    :returns: the same element.
    """
    model = interface.find("model")
    if model is None or model.get("type") != "virtio":
        return interface
    if interface.get("type") not in ("bridge", "ethernet"):
        return interface
    driver = interface.find("driver")
    if driver is None:
        driver = etree.Element("driver")
        model.addnext(driver)
    for side, features in (("host", _HOST_FEATURES), ("guest", _GUEST_FEATURES)):
        for old in driver.findall(side):
            driver.remove(old)
        etree.SubElement(driver, side, {feature: "off" for feature in features})
    return interface


class VIFDriver(vif.LibvirtGenericVIFDriver):
    """Nova's VIF driver whose interfaces do without offload, and are up."""

    def plug(self, instance: Any, vif: Any) -> None:
        """Connect a port, and see that its tap is up when the guest starts.

        os-vif makes the tap and sets it up while Open vSwitch, which waits for a device
        of that name, opens it and sets flags of its own. The one that reads the flags
        before the other writes them writes an old state back: now and then the tap is
        down afterwards, and the guest without a network. So it is set up once more,
        when Open vSwitch is done.
        """
        super().plug(instance, vif)
        if vif["details"].get(model.VIF_DETAILS_OVS_CREATE_TAP):
            shared_vif.flows_installed([vif["id"]], events.OVN_TIMEOUT)
            # By os-vif's own helper: this compute has the rights for that one only.
            linux_net.set_interface_state(shared_vif.tap_name(vif["id"]), "up")

    def get_config(
        self, instance: Any, vif: Any, image_meta: Any, flavor: Any, virt_type: Any
    ) -> Any:
        config = super().get_config(instance, vif, image_meta, flavor, virt_type)
        # Bound to the object instead of a subclass: Nova finds the interface to detach
        # by the exact type of this configuration.
        config.format_dom = functools.partial(_format_dom, config.format_dom)
        return config


def _format_dom(format_dom: Callable[[], Any]) -> Any:
    return without_offload(format_dom())
