# SPDX-License-Identifier: Apache-2.0
"""What counts as an orphan. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

#: Length of a port's UUID in the names of its interfaces.
PORT_PART = 11
#: Beginnings of those names: the host's end and the guest's end while it is outside.
INTERFACE_PREFIXES = ("tap", "inn")


@dataclasses.dataclass(frozen=True, slots=True)
class Owners:
    """What the cloud knows.

    :ivar servers: UUIDs.
    :ivar ports: UUIDs of Neutron's ports, with the UUID of what they belong to.
    :ivar networks: UUIDs of Neutron's networks.
    """

    servers: frozenset[str]
    ports: Mapping[str, str]
    networks: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Found:
    """One thing on the node or in the cloud.

    :ivar kind: for the report.
    :ivar name: of the thing.
    :ivar owner: UUID of the server that it is of, by its own mark.
    """

    kind: str
    name: str
    owner: str


def without_server(things: Iterable[Found], owners: Owners) -> list[Found]:
    """Those whose server is not there."""
    return sorted(thing for thing in things if thing.owner not in owners.servers)


def interfaces_without_port(names: Iterable[str], owners: Owners) -> list[str]:
    """Interfaces that are named after a port which is not there."""
    known = {port[:PORT_PART] for port in owners.ports}
    # Neutron's agent names the metadata service's interface after the network.
    known |= {f"{network[: PORT_PART - 1]}0" for network in owners.networks}
    return sorted(
        name
        for name in names
        if name.startswith(INTERFACE_PREFIXES)
        and len(name) == len(INTERFACE_PREFIXES[0]) + PORT_PART
        and name[len(INTERFACE_PREFIXES[0]) :] not in known
    )


def ports_without_server(device_owners: Mapping[str, str], owners: Owners) -> list[str]:
    """Ports of compute that belong to no server.

    :param device_owners: of each port.
    """
    return sorted(
        port
        for port, device in owners.ports.items()
        if device
        and device_owners.get(port, "").startswith("compute:")
        and device not in owners.servers
    )
