# SPDX-License-Identifier: Apache-2.0
"""Ports of guests on the publishing address of their environment.

The address is a floating IP whose ports are forwarded. Neutron keeps two from taking
the same port, and gives a port back when the guest's own goes away.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Mapping
from typing import Any

from nova_multi.cloud import marks
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.network import Networks, group_value
from nova_multi.cloud.neutron import Neutron
from nova_multi.cloud.values import FloatingAddress, Forwarding, Port, SecurityGroup
from nova_multi.domain import errors
from nova_multi.domain.publish import FREE_PORTS, Publish

_EXTENSION = "floating-ip-port-forwarding"
#: Free ports that are tried before giving up; others may take them at the same time.
_TRIES = 5


class PortTaken(errors.Conflict):
    """The port of the address is published already.

    :ivar forwarding: by whom.
    :ivar server_id: the server behind it, if it is known.
    """

    default_code = "port_taken"

    def __init__(self, forwarding: Forwarding, server_id: str | None) -> None:
        holder = f"server {server_id}" if server_id else f"port {forwarding.port_id}"
        super().__init__(
            f"{forwarding.protocol} port {forwarding.outside} is already published by"
            f" {holder}",
            field="publish",
        )
        self.forwarding = forwarding
        self.server_id = server_id


class Publishing:
    """Addresses of a project, and what they forward.

    :param connection: of the project.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._api = Neutron(connection)
        self._networks = Networks(connection)

    # -- addresses

    def create_address(
        self, external_network_id: str, mark: marks.Mark
    ) -> FloatingAddress:
        """Take an address of the outside; one that the task took before is it.

        :raises Conflict: a quota is used up, or there is none left.
        """
        body = {"floating_network_id": external_network_id}
        return _address_value(self._api.ensured("floatingips", mark, body))

    def addresses(
        self, *, tags: Iterable[str] = (), everywhere: bool = False
    ) -> tuple[FloatingAddress, ...]:
        """Addresses of the project with everything that they forward, in one request.

        :param everywhere: of all projects; for administrators.
        """
        query: dict[str, Any] = {}
        project = None if everywhere else self._connection.project_id
        if project:
            query["project_id"] = project
        if tags := tuple(tags):
            query["tags"] = ",".join(tags)
        found = self._api.listed("floatingips", query)
        return tuple(map(_address_value, found))

    def release_address(self, address_id: str) -> bool:
        """Give an address back.

        :returns: False if it is gone.
        :raises Conflict: ports are still published on it.
        """
        return self._api.deleted("floatingips", address_id)

    def bind_address(self, address_id: str, port_id: str | None) -> None:
        """Make an address that of one guest alone, or of none.

        :raises Conflict: ports are published on it, or of that guest.
        """
        self._api.changed("floatingips", address_id, {"port_id": port_id})

    # -- forwardings

    def forwardings(self, address_id: str) -> tuple[Forwarding, ...]:
        """What an address forwards, in one request.

        :raises NotFound: there is no such address.
        :raises Unsupported: the cloud can't forward ports.
        """
        try:
            found = self._api.listed("port-forwardings", {}, _path(address_id))
        except errors.NotFound:
            self._check_extension()
            raise
        return tuple(_forwarding_value(address_id, each) for each in found)

    def publish(
        self,
        address_id: str,
        wanted: Publish,
        port: Port,
        mark: marks.Mark,
        free: Iterable[int] = FREE_PORTS,
    ) -> Forwarding:
        """Forward a port of an address to a guest's; twice is no more than once.

        The guest's security groups are another matter: :meth:`open`.

        :param free: outside ports for a wish without one.
        :raises PortTaken: that port is published for somebody else.
        :raises Conflict: no free port is left, or the guest has a floating IP.
        :raises Invalid: the guest's network has no router to the address.
        :raises Unsupported: the cloud can't forward ports.
        """
        numbers = list(free)
        for left in reversed(range(_TRIES)):
            present = self.forwardings(address_id)
            if found := _same(present, wanted, port):
                return found
            outside = wanted.outside
            if outside is None:
                outside = _free(present, wanted, numbers)
            elif taken := _at(present, wanted.protocol, outside):
                raise self._taken(taken)
            try:
                return self._forward(address_id, wanted, outside, port, mark)
            except (errors.Invalid, errors.Conflict):
                # Neutron says 400 to a port that was taken in between, and also to a
                # guest that it finds no way to.
                present = self.forwardings(address_id)
                if found := _same(present, wanted, port):
                    return found
                taken_now = _at(present, wanted.protocol, outside)
                if taken_now and wanted.outside is not None:
                    raise self._taken(taken_now) from None
                if not taken_now or not left:
                    raise
        raise AssertionError("unreachable")

    def unpublish(self, address_id: str, forwarding_id: str) -> bool:
        """Forward a port no more.

        :returns: False if it wasn't.
        """
        return self._api.deleted(
            "port-forwardings",
            forwarding_id,
            f"{_path(address_id)}/{forwarding_id}",
        )

    def holder(
        self, address_id: str, protocol: str, outside: int
    ) -> tuple[Forwarding, str | None] | None:
        """Who has a port of an address: the forwarding and the server, or None."""
        found = _at(self.forwardings(address_id), protocol, outside)
        return (found, self._server_of(found)) if found else None

    def _forward(
        self,
        address_id: str,
        wanted: Publish,
        outside: int,
        port: Port,
        mark: marks.Mark,
    ) -> Forwarding:
        inside = next((a for a in port.addresses if ":" not in a), None)
        if inside is None:
            raise errors.Unsupported(
                "a guest without an IPv4 address can't be published", field="publish"
            )
        raw = self._api.made(
            "port-forwardings",
            {
                "protocol": wanted.protocol,
                "external_port": outside,
                "internal_port": wanted.inside,
                "internal_port_id": port.id,
                "internal_ip_address": inside,
                "description": mark.description,
            },
            _path(address_id),
        )
        return _forwarding_value(address_id, raw)

    def _taken(self, forwarding: Forwarding) -> PortTaken:
        return PortTaken(forwarding, self._server_of(forwarding))

    def _server_of(self, forwarding: Forwarding) -> str | None:
        try:
            return self._networks.port(forwarding.port_id).server_id
        except errors.NotFound:
            return None

    def _check_extension(self) -> None:
        if not self._api.has_extension(_EXTENSION):
            raise errors.Unsupported(
                "this cloud's network service can't forward ports of a floating IP",
                field="publish",
            )

    # -- what lets the traffic in

    def open(
        self, port_id: str, wanted: Publish, mark: marks.Mark, environment: str
    ) -> SecurityGroup:
        """Let the outside reach a guest's port, and no other guest's.

        One security group for each inside port of an environment: the usual quota is
        ten, and a rule in the environment's own group would open every guest's port.

        :param environment: UUID.
        """
        for left in reversed(range(_TRIES)):
            group = self._shared_group(wanted, environment)
            try:
                self._networks.allow(
                    group.id, mark, protocol=wanted.protocol, port=wanted.inside
                )
                self._networks.change_groups(port_id, add=[group.id])
            except errors.NotFound:
                # Its last user may just have taken it along.
                self._networks.port(port_id)
                if not left:
                    raise
                continue
            if not left or self._groups(wanted, environment)[:1] == [group]:
                return group
            # Somebody made one at the same time, which counts as the first.
            self._networks.change_groups(port_id, remove=[group.id])
            self._delete_unused(group)
        raise AssertionError("unreachable")

    def _groups(self, wanted: Publish, environment: str) -> list[SecurityGroup]:
        """What lets the outside in to a port, the first made first."""
        found = self._networks.security_groups(
            name=_group_name(wanted), description=_group_mark(environment)
        )
        return sorted(found, key=lambda each: (each.created_at, each.id))

    def _shared_group(self, wanted: Publish, environment: str) -> SecurityGroup:
        """The first of them, made if there is none.

        Neutron has no unique names: who makes one sees whether others did, too.
        """
        if found := self._groups(wanted, environment):
            return found[0]
        body = {"name": _group_name(wanted), "description": _group_mark(environment)}
        made = group_value(self._api.made("security-groups", body))
        first = next(iter(self._groups(wanted, environment)), made)
        if first.id != made.id:
            self._delete_unused(made)
        return first

    def _delete_unused(self, group: SecurityGroup) -> None:
        with contextlib.suppress(errors.Conflict):
            self._networks.delete_security_group(group.id)

    def close(self, port_id: str | None, wanted: Publish, environment: str) -> None:
        """Let the outside reach a guest's port no more; as if it never had been open.

        :param port_id: None where the guest's port is gone.
        """
        found = self._groups(wanted, environment)
        if port_id is not None and found:
            with contextlib.suppress(errors.NotFound):
                self._networks.change_groups(
                    port_id, remove=[group.id for group in found]
                )
        for group in found:
            # Others may publish the same inside port.
            self._delete_unused(group)


def _path(address_id: str) -> str:
    return f"/floatingips/{address_id}/port_forwardings"


def _group_mark(environment: str) -> str:
    """Description of an environment's groups: it is in the POST, tags are not."""
    return marks.tag("environment", environment)


def _group_name(wanted: Publish) -> str:
    return f"nova-multi-publish-{wanted.protocol}-{wanted.inside}"


def _at(
    present: Iterable[Forwarding], protocol: str, outside: int
) -> Forwarding | None:
    for each in present:
        if (each.protocol, each.outside) == (protocol, outside):
            return each
    return None


def _same(
    present: Iterable[Forwarding], wanted: Publish, port: Port
) -> Forwarding | None:
    """What does already as is wanted: Neutron takes each port of a guest but once."""
    for each in present:
        if (each.protocol, each.inside, each.port_id) == (
            wanted.protocol,
            wanted.inside,
            port.id,
        ) and wanted.outside in (None, each.outside):
            return each
    return None


def _free(present: Iterable[Forwarding], wanted: Publish, free: list[int]) -> int:
    used = {each.outside for each in present if each.protocol == wanted.protocol}
    left = [number for number in free if number not in used]
    if not left:
        raise errors.Conflict(
            f"no free {wanted.protocol} port is left for port {wanted.inside}",
            field="publish",
            code="no_free_port",
        )
    # Not the first: all who look at the same time would take it.
    return random.choice(left)


def _forwarding_value(address_id: str, raw: Mapping[str, Any]) -> Forwarding:
    return Forwarding(
        id=raw.get("id") or "",
        address_id=address_id,
        protocol=raw["protocol"],
        outside=int(raw["external_port"]),
        inside=int(raw["internal_port"]),
        port_id=raw.get("internal_port_id") or "",
        inside_address=raw.get("internal_ip_address") or "",
        description=raw.get("description") or "",
    )


def _address_value(raw: Mapping[str, Any]) -> FloatingAddress:
    forwardings = raw.get("port_forwardings")
    return FloatingAddress(
        id=raw["id"],
        address=raw["floating_ip_address"],
        network_id=raw["floating_network_id"],
        port_id=raw.get("port_id"),
        router_id=raw.get("router_id"),
        tags=tuple(raw.get("tags") or ()),
        forwardings=None
        if forwardings is None
        else tuple(_forwarding_value(raw["id"], each) for each in forwardings),
    )
