# SPDX-License-Identifier: Apache-2.0
"""Networks of a definition on which others are: nobody is cut off."""

import dataclasses

import pytest

from nova_multi.cloud import values
from nova_multi.domain.errors import Conflict
from tests.unit.provision import shop
from tests.unit.provision.conftest import ADMIN, NOWHERE
from tests.unit.provision.test_networks import NETWORKS, network, subnet, wired


def test_who_is_on_it_by_its_id(built):
    """Whoever named it so is on it all the same."""
    shop.apply(built, wired())
    built.provisioner()
    key = network(built, "front").id
    built.instance("mine", environment="shop", networks=(key,))
    changed = wired({**NETWORKS, "front": {"cidr": "10.61.0.0/24"}})
    with pytest.raises(Conflict, match="network front is used by instance mine"):
        shop.plan(built, changed)
    shop.destroy(built)
    assert subnet(built, "front").id in {s for _, s in built.world.links}


@pytest.mark.parametrize("act", ["destroy", "replace"])
@pytest.mark.parametrize(
    ("port", "told"),
    [
        ({"device_owner": "compute:nova"}, "server theirs"),
        ({"device_owner": "compute:nova", "device_id": "gone"}, "server gone"),
        ({"device_id": "", "name": "spare"}, "port spare"),
        (
            {"device_owner": "network:router_interface", "device_id": "r-9"},
            "network:router_interface r-9",
        ),
    ],
)
def test_who_is_on_it_without_a_record(built, port, told, act):
    """Nobody is cut off: made with other tools, it is found before it is too late."""
    shop.apply(built, wired())
    # Their own DHCP server is no user.
    front = network(built, "front").id
    for key, each in {
        "dhcp": {"device_owner": "network:dhcp", "device_id": "dhcp-1"},
        "foreign": {"device_id": "s-9", **port},
    }.items():
        built.world.ports[key] = values.Port(key, front, **each)
    (server,) = list(built.world.servers.values())[:1]
    built.world.servers["s-9"] = dataclasses.replace(server, id="s-9", name="theirs")
    links = set(built.world.links)
    accepted = (
        built.service.environments.destroy(ADMIN, "shop", {}, NOWHERE)
        if act == "destroy"
        else shop.accept(built, wired({**NETWORKS, "front": {"cidr": "10.61.0.0/24"}}))
    )
    built.work()
    task = shop.task_of(built, accepted)
    assert task.status == "error"
    assert f"network front is used by {told}" in task.history[-1].message
    assert built.world.links == links
    # Once they are gone, so is the network.
    del built.world.ports["foreign"], built.world.ports["dhcp"]
    del built.world.servers["s-9"]
    shop.destroy(built)
    assert not built.world.networks


def test_one_that_is_not_deleted_keeps_its_router(built):
    """Whatever comes between: it is reached as before."""
    shop.apply(built, wired())
    front = subnet(built, "front").id

    def hook(name, moment):
        if name == "networks.delete_network" and moment == "before":
            raise Conflict("it has a port since a moment ago")

    built.world.hook = hook
    accepted = shop.accept(built, wired({"back": {}}, web={"networks": ["back"]}))
    built.work()
    built.world.hook = None
    assert shop.task_of(built, accepted).status == "error"
    assert front in {subnet_id for _, subnet_id in built.world.links}
    back = subnet(built, "back").id
    assert back not in {subnet_id for _, subnet_id in built.world.links}
