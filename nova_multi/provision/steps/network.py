# SPDX-License-Identifier: Apache-2.0
"""Networks of a definition: each with a subnet, on the environment's router or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nova_multi.cloud.values import Port
from nova_multi.domain import ranges
from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.provision.steps.base import Step, Work, made, ready, take_back

#: Owners of ports that Neutron deletes with a network, and of those of servers.
_OF_NEUTRON = ("network:dhcp", "network:distributed")
_OF_SERVERS = "compute:"
#: Users that the message of an error names; the others are counted.
_NAMED = 5


def create(work: Work) -> Sequence[Step]:
    """Make a network."""
    return [NAME, ENVIRONMENT, NETWORK, SUBNET, CONNECT, READY]


def update(work: Work) -> Sequence[Step]:
    """Give it other name servers or another range for guests, or its router back."""
    return [ENVIRONMENT, Step("change", "network", _change)]


def delete(work: Work) -> Sequence[Step]:
    """Delete a network that nobody is on; it is taken off the router before."""
    return [
        Step("find", "network", _find, _want_again),
        Step("users", "network", _check_free),
        Step("disconnect", "router", _disconnect_found, _connect_again),
        Step("network", "network", _delete_found),
        Step("name", "network", _forget),
    ]


# -- making one


def _nothing(work: Work) -> None:
    return


def _free_name(work: Work) -> None:
    if work.tools.store.delete_record(Kind.NETWORK, work.payload["record"]):
        work.took_back(f"name {work.name}")


NAME = Step("name", "network", _nothing, _free_name)


def _environment(work: Work) -> None:
    record = ready(work, Kind.ENVIRONMENT, work.payload["environment"])
    work.keep(
        project_id=record.openstack_id,
        router_id=record.data.get("router_id"),
    )


ENVIRONMENT = Step("environment", "network", _environment)


def _network(work: Work) -> None:
    work.status(TaskStatus.CREATING)
    network = work.project().networks.create_network(work.name, work.mark)
    work.keep(network_id=network.id)


def _delete_network(work: Work) -> None:
    cloud = work.project()
    ids = made(work, cloud, "network", work.state.get("network_id"))
    take_back(work, "network", ids, cloud.networks.delete_network)


NETWORK = Step("network", "network", _network, _delete_network)


def _subnet(work: Work) -> None:
    payload = work.payload
    subnet = work.project().networks.create_subnet(
        work.name,
        work.mark,
        network_id=work.state["network_id"],
        cidr=payload["cidr"],
        dns=payload["dns"] or work.tools.settings.dns,
        pool=ranges.span_of(payload["dhcp"]) if payload["dhcp"] else None,
        gateway=payload["routed"],
    )
    work.keep(subnet_id=subnet.id)


def _delete_subnet(work: Work) -> None:
    cloud = work.project()
    ids = made(work, cloud, "subnet", work.state.get("subnet_id"))
    take_back(work, "subnet", ids, cloud.networks.delete_subnet)


SUBNET = Step("subnet", "subnet", _subnet, _delete_subnet)


def _connect(work: Work) -> None:
    if work.payload["routed"]:
        networks = work.project().networks
        networks.connect(work.state["router_id"], work.state["subnet_id"])


def _disconnect(work: Work) -> None:
    if work.state.get("subnet_id"):
        networks = work.project().networks
        networks.disconnect(work.state["router_id"], work.state["subnet_id"])


CONNECT = Step("connect", "router", _connect, _disconnect)


def _ready(work: Work) -> None:
    network_id = work.state["network_id"]
    work.tools.store.update_record(
        Kind.NETWORK,
        work.payload["record"],
        openstack_id=network_id,
        merge={"creating": None, "subnet_id": work.state["subnet_id"]},
    )
    work.tools.store.set_object(work.uuid, network_id, work.fencing)


READY = Step("ready", "network", _ready)


# -- changing one


def _change(work: Work) -> None:
    """Have it as it is to be, whatever it is like now."""
    record, payload = work.record(Kind.NETWORK), work.payload
    subnet_id, router_id = record.data["subnet_id"], work.state["router_id"]
    networks = work.project().networks
    changes: dict[str, Any] = {}
    if "dns" in payload:
        changes["dns"] = payload["dns"] or work.tools.settings.dns
    if "dhcp" in payload:
        routed = record.data["routed"]
        changes["pool"] = (
            ranges.span_of(payload["dhcp"])
            if payload["dhcp"]
            else ranges.all_of(record.data["cidr"], routed=routed)
        )
    if changes:
        networks.change_subnet(subnet_id, **changes)
    if payload.get("router"):
        if record.data["routed"]:
            networks.connect(router_id, subnet_id)
        else:
            networks.disconnect(router_id, subnet_id)
    merge = {key: payload[key] for key in ("dns", "dhcp") if key in payload}
    work.tools.store.update_record(Kind.NETWORK, record.uuid, merge=merge)


# -- deleting one


def _find(work: Work) -> None:
    work.status(TaskStatus.DELETING)
    record = work.find_record(Kind.NETWORK)
    if record is None:
        return
    environment = work.record(Kind.ENVIRONMENT, record.scope)
    work.keep(
        project_id=environment.openstack_id,
        router_id=environment.data.get("router_id"),
        network_id=record.openstack_id or None,
        subnet_id=record.data.get("subnet_id"),
        routed=record.data.get("routed", True),
    )


def _want_again(work: Work) -> None:
    """So that it can be tried once more."""
    if work.find_record(Kind.NETWORK):
        work.tools.store.update_record(
            Kind.NETWORK, work.payload["record"], merge={"deleting": None}
        )


def _check_free(work: Work) -> None:
    """See that nobody is on it who would be cut off.

    What definitions have made is off it by now; others may have used it by ways that
    leave no record here.

    :raises Conflict: somebody is; it names them.
    """
    state = work.state
    if not state.get("network_id"):
        return
    # Its owner is shown everybody's.
    ports = work.project().networks.ports(
        network_id=state["network_id"], everywhere=True
    )
    used = [
        each
        for each in ports
        if each.device_owner not in _OF_NEUTRON
        and not (each.device_id and each.device_id == state.get("router_id"))
    ]
    if used:
        names = sorted({_user(work, each) for each in used})
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise Conflict(
            f"network {work.name} is used by {', '.join(names[:_NAMED])}{more}, which"
            " no definition has made: nothing of it was changed",
            field="networks",
        )


def _user(work: Work, port: Port) -> str:
    """Who is on a network, as a user knows it."""
    if not port.device_id:
        return f"port {port.name or port.id}"
    if not port.device_owner.startswith(_OF_SERVERS):
        return f"{port.device_owner} {port.device_id}"
    try:
        return f"server {work.project().servers.server(port.device_id).name}"
    except NotFound:
        # Of another project, or gone just now.
        return f"server {port.device_id}"


def _connect_again(work: Work) -> None:
    """What could not be deleted is to be reached as before."""
    state = work.state
    if state.get("routed") and state.get("router_id") and state.get("subnet_id"):
        try:
            work.project().networks.connect(state["router_id"], state["subnet_id"])
        except NotFound:
            return


def _disconnect_found(work: Work) -> None:
    state = work.state
    if state.get("router_id") and state.get("subnet_id"):
        networks = work.project().networks
        networks.disconnect(state["router_id"], state["subnet_id"])


def _delete_found(work: Work) -> None:
    if work.state.get("network_id"):
        work.project().networks.delete_network(work.state["network_id"])


def _forget(work: Work) -> None:
    work.tools.store.delete_record(Kind.NETWORK, work.payload["record"])
