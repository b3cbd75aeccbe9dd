# SPDX-License-Identifier: Apache-2.0
"""Ports that Neutron has bound, before Nova knows all about them.

When a server's ports are bound, Nova goes on asking Neutron for its ports, their
floating addresses, subnets, DHCP servers and physical networks. A container's boot
needs but the subnets besides, and goes on meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import nova.conf
from nova.network import model

CONF = nova.conf.CONF

ACTIVE = "ACTIVE"


def early_vif(
    port: Mapping[str, Any],
    network: Mapping[str, Any],
    subnets: Sequence[model.Subnet],
    *,
    preserve: bool,
) -> model.VIF:
    """Nova's VIF of a port, without what a container does not need.

    :param port: as Neutron answers when it is bound.
    :param network: as Neutron lists it.
    :param subnets: of the port's addresses, which are added to them.
    :param preserve: whether the port is its user's own, and outlives the server.
    """
    addresses = [
        model.FixedIP(address=each["ip_address"]) for each in port["fixed_ips"]
    ]
    for subnet in subnets:
        subnet["ips"] = [each for each in addresses if each.is_in_subnet(subnet)]
    details = port.get("binding:vif_details") or {}
    bridge = details.get(model.VIF_DETAILS_BRIDGE_NAME, CONF.neutron.ovs_bridge)
    return model.VIF(
        id=port["id"],
        address=port["mac_address"],
        network=model.Network(
            id=port["network_id"],
            bridge=bridge[: model.NIC_NAME_LEN],
            label=network.get("name"),
            tenant_id=network.get("tenant_id"),
            mtu=network.get("mtu"),
            subnets=list(subnets),
        ),
        type=port.get("binding:vif_type"),
        vnic_type=port.get("binding:vnic_type", model.VNIC_TYPE_NORMAL),
        details=details,
        ovs_interfaceid=port["id"],
        devname=f"tap{port['id']}"[: model.NIC_NAME_LEN],
        preserve_on_delete=preserve,
        delegate_create=True,
        active=not port.get("admin_state_up", True) or port.get("status") == ACTIVE,
    )


class BoundPorts:
    """What threads that allocate networks tell the threads that boot the servers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ports: dict[str, Sequence[model.VIF] | None] = {}

    @contextlib.contextmanager
    def allocating(self, uuid: str) -> Iterator[None]:
        """A server's ports are made and bound in the block."""
        with self._changed:
            self._ports[uuid] = None
        try:
            yield
        finally:
            with self._changed:
                self._ports.pop(uuid, None)
                self._changed.notify_all()

    def tell(self, uuid: str, ports: Sequence[model.VIF]) -> None:
        """All ports of a server are bound."""
        with self._changed:
            if uuid in self._ports:
                self._ports[uuid] = ports
                self._changed.notify_all()

    def wait(self, uuid: str) -> Sequence[model.VIF] | None:
        """A server's ports as soon as they are bound.

        :returns: None if nobody is at it (any more): then Nova knows all, or why not.
        """
        with self._changed:
            while uuid in self._ports and self._ports[uuid] is None:
                self._changed.wait()
            return self._ports.get(uuid)
