# SPDX-License-Identifier: Apache-2.0
"""A container's network interfaces on the host's side.

Each Neutron port becomes a veth pair. Its ``tap`` end is connected to the integration
bridge by os-vif, exactly as a virtual machine's tap is, so OVN sees no difference; its
``inner`` end waits in the host's namespace until the engine takes it into the guest.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import math
import os
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

import nova.conf
import os_vif
from nova.network import model, os_vif_util
from os_vif import exception as os_vif_exception
from oslo_log import log as logging

from nova_multi import exception
from nova_multi.privsep import network as privsep
from nova_multi.virt.engine import Interface, Route

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Prefix of the guest's end while it waits; with eleven characters of the port's UUID,
#: like Nova's tap names, it stays below the kernel's fifteen.
INNER_PREFIX = "inn"
DEFAULT_MTU = 1500
#: Address of the metadata service.
METADATA = "169.254.169.254/32"


def tap_name(port_id: str) -> str:
    """Name of the host's end, which is Nova's own for this port."""
    return ("tap" + port_id)[: model.NIC_NAME_LEN]


def inner_name(port_id: str) -> str:
    """Name of the guest's end while it is outside of the guest."""
    return (INNER_PREFIX + port_id)[: model.NIC_NAME_LEN]


def interfaces(
    network_info: Sequence[Any], names: dict[str, str]
) -> tuple[Interface, ...]:
    """Nova's network information as values for an engine.

    :param network_info: nova.network.model.VIF objects, in the user's order.
    :param names: interface name for each port, from :func:`assign_names`.

    Only the first interface with a gateway of a family has that family's default route.
    """
    seen: set[int] = set()
    found: list[Interface] = []
    for vif in network_info:
        interface = _interface(vif, names[vif["id"]], seen)
        found.append(beside_others(interface) if found else interface)
    return tuple(found)


def beside_others(interface: Interface) -> Interface:
    """An interface that leaves the way to the metadata service to an earlier one."""
    routes = tuple(r for r in interface.routes if r.destination != METADATA)
    return dataclasses.replace(interface, routes=routes)


def _interface(vif: Any, name: str, families: set[int]) -> Interface:
    addresses: list[str] = []
    gateways: list[str] = []
    routes: list[Route] = []
    nameservers: list[str] = []
    for subnet in vif["network"]["subnets"]:
        prefix = ipaddress.ip_interface(subnet["cidr"]).network.prefixlen
        addresses += [f"{ip['address']}/{prefix}" for ip in subnet["ips"]]
        gateway = (subnet["gateway"] or {}).get("address")
        if gateway:
            family = ipaddress.ip_address(gateway).version
            if family not in families:
                families.add(family)
                gateways.append(gateway)
        for route in subnet["routes"]:
            via = (route["gateway"] or {}).get("address")
            if via:
                routes.append(Route(str(route["cidr"]), via))
        if _serves_metadata(subnet) and METADATA not in [r.destination for r in routes]:
            # DHCP would bring this route, and guests whose addresses are there before
            # their first process need not ask it. Without the route they would look
            # for metadata behind their router, and might find somebody else's.
            routes.append(Route(METADATA, ""))
        nameservers += [dns["address"] for dns in subnet["dns"]]
    return Interface(
        port_id=vif["id"],
        name=name,
        mac=vif["address"],
        mtu=vif["network"].get_meta("mtu") or DEFAULT_MTU,
        tap=tap_name(vif["id"]),
        inner=inner_name(vif["id"]),
        addresses=tuple(addresses),
        gateways=tuple(gateways),
        routes=tuple(routes),
        nameservers=tuple(dict.fromkeys(nameservers)),
    )


def _serves_metadata(subnet: Any) -> bool:
    """Whether Neutron answers at the metadata address on the subnet's link itself.

    OVN's metadata port has that address beside the one that DHCP names.
    """
    version = ipaddress.ip_network(subnet["cidr"], strict=False).version
    return version == 4 and bool(subnet["meta"].get("enable_dhcp"))


def assign_names(port_ids: Iterable[str], known: dict[str, str]) -> dict[str, str]:
    """Name every port ``eth<n>``; a port keeps the name that it had.

    Otherwise detaching the first of two interfaces would rename the second, and
    attaching a third would then collide with it in the running guest.
    """
    ports = list(port_ids)
    names = {port: known[port] for port in ports if port in known}
    for port in ports:
        if port not in names:
            taken = set(names.values())
            number = next(n for n in range(len(ports)) if f"eth{n}" not in taken)
            names[port] = f"eth{number}"
    return names


def load_names(path: str) -> dict[str, str]:
    """Names written by :func:`save_names`; none if there is no such file."""
    try:
        with open(path, encoding="utf-8") as source:
            content = json.load(source)
    except FileNotFoundError:
        return {}
    except ValueError:
        LOG.warning("Ignoring damaged %s: interfaces are named anew", path)
        return {}
    return {str(port): str(name) for port, name in content.items()}


def save_names(path: str, names: dict[str, str]) -> None:
    """Keep names across restarts of the guest and of this service."""
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as target:
        json.dump(names, target, indent=1, sort_keys=True)
    os.replace(temporary, path)


def _osvif(vif: Any) -> Any:
    if vif["type"] != model.VIF_TYPE_OVS or vif["vnic_type"] != model.VNIC_TYPE_NORMAL:
        raise exception.NetworkSetupError(
            f"port {vif['id']} is bound as {vif['type']}/{vif['vnic_type']};"
            " containers need a normal port on Open vSwitch (look at the port's"
            " binding_host_id and at the Neutron agents of that host)"
        )
    converted = os_vif_util.nova_to_osvif_vif(vif)
    converted.vif_name = tap_name(vif["id"])
    # libvirt makes the switch's port for a virtual machine; for us os-vif does.
    converted.port_profile.create_port = True
    return converted


def plug(instance: Any, vif: Any, interface: Interface, *, alive: bool = False) -> None:
    """Make the veth pair of an interface and connect its host's end. Repeatable.

    :param alive: whether the guest has processes, and so may hold its end.
    :raises NetworkSetupError: nothing that this call made is left.
    """
    converted = _osvif(vif)
    owner = os_vif_util.nova_to_osvif_instance(instance)
    made = not privsep.link_exists(interface.tap)
    try:
        if not made and not alive and not is_outside(interface):
            # The other end is in a namespace that outlived its guest, as after a power
            # cut of the engine. It goes whenever somebody looks after that namespace,
            # and would take along the host's end that a start relies on.
            privsep.delete_link(interface.tap)
            made = True
        if made:
            # A pair that went away with its guest's namespace leaves its port in the
            # switch. Open vSwitch's userspace datapath would stay with the device that
            # is gone, though the new one has its name.
            os_vif.unplug(converted, owner)
        privsep.create_veth(
            interface.tap, interface.inner, interface.mac, interface.mtu
        )
        os_vif.plug(converted, owner)
    except (os_vif_exception.ExceptionBase, exception.NetworkSetupError) as error:
        if made:
            privsep.delete_link(interface.tap)
        raise exception.NetworkSetupError(
            f"port {interface.port_id} could not be connected: {error}"
        ) from error


def flows_installed(port_ids: Sequence[str], timeout: float) -> bool:
    """Wait until this machine's OVN has connected plugged ports; whether it has.

    ovn-controller marks the tap in the local Open vSwitch database when all flows of
    the port are there. From that mark Neutron's event is made, a second or two later
    because Neutron sends its events to Nova in batches.

    :param timeout: seconds.
    :returns: False also where the database can't be asked; then nothing is known.
    """
    command = [
        "ovs-vsctl",
        f"--db={CONF.os_vif_ovs.ovsdb_connection}",
        f"--timeout={max(1, math.ceil(timeout))}",
    ]
    for port_id in port_ids:
        mark = "external_ids:ovn-installed=true"
        command += ["--", "wait-until", "Interface", tap_name(port_id), mark]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        LOG.debug("Open vSwitch can't be asked: %s", error)
        return False
    if done.returncode:
        LOG.debug("No mark of OVN on %s: %s", ", ".join(port_ids), done.stderr.strip())
    return done.returncode == 0


def set_carrier(port_ids: Iterable[str], up: bool) -> None:
    """Let the wires of these ports carry packets, or let none pass.

    :raises NetworkSetupError:
    """
    for port_id in port_ids:
        privsep.set_link(tap_name(port_id), up)


def is_outside(interface: Interface) -> bool:
    """Whether the guest's end waits in the host's namespace."""
    return privsep.link_exists(interface.inner)


def unplug(instance: Any, vif: Any) -> None:
    """Disconnect a port and delete its veth pair; absent is fine.

    :raises NetworkSetupError: the port is still connected.
    """
    try:
        if vif["type"] == model.VIF_TYPE_OVS:
            os_vif.unplug(_osvif(vif), os_vif_util.nova_to_osvif_instance(instance))
        # A port that never was bound has no bridge to leave, yet may have a veth.
        privsep.delete_link(tap_name(vif["id"]))
    except (os_vif_exception.ExceptionBase, exception.NetworkSetupError) as error:
        raise exception.NetworkSetupError(
            f"port {vif['id']} could not be disconnected: {error}"
        ) from error
