# SPDX-License-Identifier: Apache-2.0
"""Network interfaces of LXD guests: LXD's configuration and the host's links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nova_multi import exception
from nova_multi.privsep import network as privsep
from nova_multi.virt.engine import Interface
from nova_multi.virt.lxd import mapping

Record = dict[str, Any]


def is_present(interface: Interface) -> bool:
    """Whether the guest's end waits in the host's namespace."""
    return privsep.link_exists(interface.inner)


def check_present(interfaces: Sequence[Interface]) -> None:
    """Refuse interfaces that were not plugged.

    A guest that runs has the inner ends, so only the host's ends count.

    :raises NetworkSetupError: names those that are missing.
    """
    missing = [each.tap for each in interfaces if not privsep.link_exists(each.tap)]
    if missing:
        raise exception.NetworkSetupError(
            f"no such interface on the host: {', '.join(missing)}"
        )


def with_interfaces(record: Record, interfaces: Sequence[Interface]) -> Record:
    """The record of a guest that has these interfaces and no others."""
    return record | {
        "config": mapping.with_network(record["config"], interfaces),
        "devices": mapping.with_nics(record["devices"], interfaces),
    }


def with_interface(record: Record, interface: Interface) -> Record:
    """The record of a guest that has this interface too."""
    known = list(mapping.interfaces_of(record))
    ports = [each.port_id for each in known]
    if interface.port_id in ports:
        known[ports.index(interface.port_id)] = interface
    else:
        known.append(interface)
    return with_interfaces(record, known)


def without_interface(record: Record, interface: Interface) -> Record:
    """The record of a guest that lacks this interface."""
    return with_interfaces(record, _without(record, interface))


def _without(record: Record, interface: Interface) -> list[Interface]:
    known = mapping.interfaces_of(record)
    return [each for each in known if each.port_id != interface.port_id]


def configure(namespace: str, interface: Interface) -> None:
    """Configure an interface that a running guest was given: LXD only moves it.

    :raises NetworkSetupError: with the kernel's words.
    """
    privsep.move_to_namespace(
        interface.inner,
        namespace,
        interface.name,
        interface.mtu,
        list(interface.addresses),
        list(interface.gateways),
        [(route.destination, route.gateway) for route in interface.routes],
    )


def replace(interface: Interface) -> None:
    """Make a veth pair in place of one that the guest deleted."""
    privsep.delete_link(interface.tap)
    privsep.create_veth(interface.tap, interface.inner, interface.mac, interface.mtu)
