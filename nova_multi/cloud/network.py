# SPDX-License-Identifier: Apache-2.0
"""The network of an environment: network, subnet, router, security group, ports.

Neutron takes any name twice, so that each ``create`` looks for what the task has made
before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from nova_multi.cloud import marks
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import neutron_type
from nova_multi.cloud.neutron import Neutron
from nova_multi.cloud.values import Network, Port, Router, SecurityGroup, Subnet
from nova_multi.domain import errors

_ROUTER_PORT = "network:router_interface"
#: A change of a port that collides with another one is repeated so often.
_TRIES = 5
_Value = TypeVar("_Value")


class Networks:
    """Neutron's objects of a project.

    :param connection: of the project that they belong to.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._api = Neutron(connection)

    # -- looking

    def external(self, name: str | None = None) -> Network:
        """The network with the addresses that are seen from outside.

        :param name: or id; None takes the default one, or the only one.
        :raises NotFound: there is none.
        :raises Ambiguous: there are several, and it was not said which.
        """
        raw = self._api.listed("networks", {"router:external": "true"})
        if name is not None:
            raw = [each for each in raw if name in (each["id"], each["name"])]
        elif default := [each for each in raw if each.get("is_default")]:
            raw = default
        if not raw:
            told = f"called {name}" if name else "at all"
            raise errors.NotFound(f"this cloud has no external network {told}")
        if len(raw) > 1:
            raise errors.Ambiguous(
                "this cloud has several external networks: "
                + ", ".join(sorted(each["name"] for each in raw))
            )
        return network_value(raw[0])

    def networks(self, *, tags: Iterable[str] = ()) -> tuple[Network, ...]:
        """Networks of the project that carry all of these tags."""
        found = self._api.listed("networks", self._own(tags))
        return tuple(map(network_value, found))

    def shared(self) -> tuple[Network, ...]:
        """Networks of others that are shared with the project; no external ones."""
        query = {"shared": "true", "router:external": "false"}
        return tuple(map(network_value, self._api.listed("networks", query)))

    def subnets(
        self, *, network_id: str | None = None, tags: Iterable[str] = ()
    ) -> tuple[Subnet, ...]:
        """Subnets of the project."""
        query = self._own(tags)
        if network_id is not None:
            query["network_id"] = network_id
        return tuple(map(subnet_value, self._api.listed("subnets", query)))

    def routers(self, *, tags: Iterable[str] = ()) -> tuple[Router, ...]:
        """Routers of the project."""
        return tuple(map(router_value, self._api.listed("routers", self._own(tags))))

    def security_groups(
        self,
        *,
        tags: Iterable[str] = (),
        name: str | None = None,
        description: str | None = None,
    ) -> tuple[SecurityGroup, ...]:
        """Security groups of the project, without their rules."""
        query = {**self._own(tags), "fields": ["id", "name", "tags", "created_at"]}
        if name is not None:
            query["name"] = name
        if description is not None:
            query["description"] = description
        return tuple(map(group_value, self._api.listed("security-groups", query)))

    def ports(
        self,
        *,
        server_id: str | None = None,
        network_id: str | None = None,
        everywhere: bool = False,
    ) -> tuple[Port, ...]:
        """Ports of the project, of a server, of a network; in one request.

        :param everywhere: of all projects; for administrators.
        """
        query = {} if everywhere else self._own(())
        if server_id is not None:
            query["device_id"] = server_id
        if network_id is not None:
            query["network_id"] = network_id
        return tuple(map(port_value, self._api.listed("ports", query)))

    def port(self, port_id: str) -> Port:
        """One port.

        :raises NotFound: there is none.
        """
        return port_value(self._api.shown("ports", port_id))

    # -- making

    def create_network(self, name: str, mark: marks.Mark) -> Network:
        """Make a network."""
        return self._made("networks", mark, {"name": name}, network_value)

    def create_subnet(
        self,
        name: str,
        mark: marks.Mark,
        *,
        network_id: str,
        cidr: str,
        dns: Iterable[str] = (),
        pool: tuple[str, str] | None = None,
        gateway: bool = True,
    ) -> Subnet:
        """Make a subnet for IPv4 with DHCP.

        :param cidr: ``10.0.0.0/24``.
        :param dns: addresses of name servers; none leaves it to Neutron.
        :param pool: the first and the last address that guests get; None leaves it to
            Neutron.
        :param gateway: whether guests are told of a router.
        """
        body: dict[str, Any] = {
            "name": name,
            "network_id": network_id,
            "cidr": cidr,
            "ip_version": 4,
        }
        if dns := list(dns):
            body["dns_nameservers"] = dns
        if pool:
            body["allocation_pools"] = [_pool(pool)]
        if not gateway:
            body["gateway_ip"] = None
        return self._made("subnets", mark, body, subnet_value)

    def change_subnet(
        self,
        subnet_id: str,
        *,
        dns: Iterable[str] | None = None,
        pool: tuple[str, str] | None = None,
    ) -> Subnet:
        """Give a subnet other name servers, or another range for guests.

        :param dns: None leaves them; as ``pool`` does.
        :raises NotFound: there is no such subnet.
        :raises Invalid: the range is not in the subnet.
        """
        changes: dict[str, Any] = {}
        if dns is not None:
            changes["dns_nameservers"] = list(dns)
        if pool is not None:
            changes["allocation_pools"] = [_pool(pool)]
        return subnet_value(self._api.changed("subnets", subnet_id, changes))

    def create_router(
        self, name: str, mark: marks.Mark, *, external_network_id: str
    ) -> Router:
        """Make a router to the outside."""
        gateway = {"network_id": external_network_id}
        body = {"name": name, "external_gateway_info": gateway}
        return self._made("routers", mark, body, router_value)

    def connect(self, router_id: str, subnet_id: str) -> None:
        """Connect a subnet to a router; one that is connected stays so.

        :raises NotFound: there is no such router or subnet.
        """
        if not self._connected(router_id, subnet_id):
            try:
                self._connect(router_id, subnet_id, "add")
            except errors.Invalid:
                # Somebody else was quicker.
                if not self._connected(router_id, subnet_id):
                    raise

    def disconnect(self, router_id: str, subnet_id: str) -> None:
        """Take a subnet off a router; one that isn't connected stays off.

        :raises Conflict: a floating IP of the subnet still needs the router.
        """
        try:
            self._connect(router_id, subnet_id, "remove")
        except errors.NotFound:
            return

    def _connect(self, router_id: str, subnet_id: str, verb: str) -> None:
        self._api.put(
            f"{verb} subnet {subnet_id} {'to' if verb == 'add' else 'from'} router",
            f"/routers/{router_id}/{verb}_router_interface",
            {"subnet_id": subnet_id},
        )

    def _connected(self, router_id: str, subnet_id: str) -> bool:
        return subnet_id in self.connected(router_id)

    def connected(self, router_id: str) -> frozenset[str]:
        """Ids of the subnets that a router is on; of none if there is no router."""
        query = {"device_id": router_id, "device_owner": _ROUTER_PORT}
        return frozenset(
            address["subnet_id"]
            for port in self._api.listed("ports", query)
            for address in port["fixed_ips"]
        )

    def create_security_group(self, name: str, mark: marks.Mark) -> SecurityGroup:
        """Make a group whose members reach one another, and everything outside."""
        group = self._made("security-groups", mark, {"name": name}, group_value)
        for version in ("IPv4", "IPv6"):
            self.allow(group.id, mark, version=version, remote_group_id=group.id)
        return group

    def allow(
        self,
        group_id: str,
        mark: marks.Mark,
        *,
        protocol: str | None = None,
        port: int | None = None,
        version: str = "IPv4",
        remote_group_id: str | None = None,
        remote_cidr: str | None = None,
    ) -> None:
        """Let traffic in to the members of a group; twice is no more than once.

        :param protocol: ``tcp``, ``udp``, ``icmp``; None for all.
        :param port: None for all.
        :param remote_group_id: only from its members.
        :param remote_cidr: only from these addresses.
        """
        rule = {
            "security_group_id": group_id,
            "direction": "ingress",
            "ethertype": version,
            "protocol": protocol,
            "port_range_min": port,
            "port_range_max": port,
            "remote_group_id": remote_group_id,
            "remote_ip_prefix": remote_cidr,
            "description": mark.description,
        }
        try:
            self._api.made(
                "security-group-rules", {k: v for k, v in rule.items() if v is not None}
            )
        except errors.Conflict as error:
            if neutron_type(error.__cause__) != "SecurityGroupRuleExists":
                raise

    def create_port(
        self,
        name: str,
        mark: marks.Mark,
        *,
        network_id: str,
        security_groups: Iterable[str] = (),
    ) -> Port:
        """Make a port for a server to come.

        :param security_groups: ids.
        """
        body: dict[str, Any] = {"name": name, "network_id": network_id}
        if groups := list(security_groups):
            body["security_groups"] = groups
        return self._made("ports", mark, body, port_value)

    def change_groups(
        self, port_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> Port:
        """Put a port into security groups, and take it out of others.

        :raises NotFound: there is no such port or group.
        :raises Conflict: somebody else keeps changing the port.
        """
        add, remove = set(add), set(remove)
        for left in reversed(range(_TRIES)):
            port = self.port(port_id)
            wanted = (set(port.security_groups) - remove) | add
            if wanted == set(port.security_groups):
                return port
            try:
                return port_value(
                    self._api.changed(
                        "ports",
                        port_id,
                        {"security_groups": sorted(wanted)},
                        # Whoever reads and writes at the same time would be undone.
                        revision=port.revision,
                    )
                )
            except errors.Conflict:
                if not left:
                    raise
        raise AssertionError("unreachable")

    # -- deleting

    def delete_network(self, network_id: str) -> bool:
        """Delete a network with its subnets.

        :returns: False if there is none any more.
        :raises Conflict: it has ports.
        """
        return self._api.deleted("networks", network_id)

    def delete_subnet(self, subnet_id: str) -> bool:
        """Delete a subnet; as :meth:`delete_network`."""
        return self._api.deleted("subnets", subnet_id)

    def delete_router(self, router_id: str) -> bool:
        """Delete a router whose subnets are off; as :meth:`delete_network`."""
        return self._api.deleted("routers", router_id)

    def delete_security_group(self, group_id: str) -> bool:
        """Delete a group with its rules; as :meth:`delete_network`."""
        return self._api.deleted("security-groups", group_id)

    def delete_port(self, port_id: str) -> bool:
        """Delete a port; Neutron takes what is published of it away.

        :returns: False if there is none any more.
        """
        return self._api.deleted("ports", port_id)

    # -- common to all

    def _made(
        self,
        collection: str,
        mark: marks.Mark,
        body: dict[str, Any],
        value: Callable[[Mapping[str, Any]], _Value],
    ) -> _Value:
        return value(self._api.ensured(collection, mark, body, name=body["name"]))

    def _own(self, tags: Iterable[str]) -> dict[str, Any]:
        """Only what is the project's own: Neutron lists what is shared with it, too."""
        query: dict[str, Any] = {}
        if project := self._connection.project_id:
            query["project_id"] = project
        if tags := tuple(tags):
            query["tags"] = ",".join(tags)
        return query


def _pool(pool: tuple[str, str]) -> dict[str, str]:
    return {"start": pool[0], "end": pool[1]}


def network_value(raw: Mapping[str, Any]) -> Network:
    """A network of an answer."""
    return Network(
        id=raw["id"],
        name=raw["name"],
        external=bool(raw.get("router:external")),
        subnet_ids=tuple(raw.get("subnets") or ()),
        mtu=raw.get("mtu") or 0,
        tags=tuple(raw.get("tags") or ()),
    )


def subnet_value(raw: Mapping[str, Any]) -> Subnet:
    """A subnet of an answer."""
    return Subnet(
        id=raw["id"],
        name=raw["name"],
        network_id=raw["network_id"],
        cidr=raw["cidr"],
        gateway=raw.get("gateway_ip"),
        dns=tuple(raw.get("dns_nameservers") or ()),
        pools=tuple(
            (each["start"], each["end"]) for each in raw.get("allocation_pools") or ()
        ),
        tags=tuple(raw.get("tags") or ()),
    )


def router_value(raw: Mapping[str, Any]) -> Router:
    """A router of an answer."""
    return Router(
        id=raw["id"],
        name=raw["name"],
        external_network_id=(raw.get("external_gateway_info") or {}).get("network_id"),
        tags=tuple(raw.get("tags") or ()),
    )


def group_value(raw: Mapping[str, Any]) -> SecurityGroup:
    """A security group of an answer."""
    return SecurityGroup(
        id=raw["id"],
        name=raw["name"],
        tags=tuple(raw.get("tags") or ()),
        created_at=raw.get("created_at") or "",
    )


def port_value(raw: Mapping[str, Any]) -> Port:
    """A port of an answer."""
    return Port(
        id=raw["id"],
        network_id=raw["network_id"],
        addresses=tuple(each["ip_address"] for each in raw.get("fixed_ips") or ()),
        mac=raw.get("mac_address") or "",
        device_id=raw.get("device_id") or "",
        device_owner=raw.get("device_owner") or "",
        status=raw.get("status") or "",
        security_groups=tuple(raw.get("security_groups") or ()),
        revision=raw.get("revision_number") or 0,
        name=raw.get("name") or "",
    )
