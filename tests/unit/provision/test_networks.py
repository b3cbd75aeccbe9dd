# SPDX-License-Identifier: Apache-2.0
"""Networks of a definition: made, used, changed, mended, taken away."""

import pytest

from nova_multi.cloud import values
from nova_multi.domain.errors import Conflict, Invalid
from tests.unit.provision import shop
from tests.unit.provision.conftest import ADMIN, NOWHERE

NETWORKS = {
    "front": {"cidr": "10.60.0.0/24", "dhcp": "10.60.0.10-10.60.0.99"},
    "back": {"routed": False, "dns": ["192.0.2.53"]},
}


def wired(networks=None, **instances):
    """The shop, whose web servers have two interfaces, and the database one."""
    found = shop.shop(
        db={"networks": ["back"]}, web={"networks": ["front", "back"], "count": 1}
    )
    for name, fields in instances.items():
        found["instances"].setdefault(name, {}).update(fields)
    return found | {"networks": NETWORKS if networks is None else networks}


def network(stage, name):
    (found,) = (n for n in stage.world.networks.values() if n.name == name)
    return found


def subnet(stage, name):
    key = network(stage, name).id
    (found,) = (s for s in stage.world.subnets.values() if s.network_id == key)
    return found


def interfaces(stage, name):
    """Names of the networks that an instance is on, in their order."""
    (record,) = stage.store.list_records("instance", name=name)
    names = {key: each.name for key, each in stage.world.networks.items()}
    ports = stage.world.ports
    return [names[ports[each].network_id] for each in record.data["ports"]]


def test_from_nothing_to_nothing(built):
    before = built.world.left()
    found = shop.plan(built, wired())
    assert shop.steps(found) == [
        "create shop",
        "create front",
        "create back",
        "create db",
        "create web",
    ]
    assert found.widths == (1, 2, 1, 1)
    shop.apply(built, wired())
    assert interfaces(built, "web") == ["front", "back"]
    assert interfaces(built, "db") == ["back"]
    front, back = subnet(built, "front"), subnet(built, "back")
    assert (front.cidr, front.pools) == (
        "10.60.0.0/24",
        (("10.60.0.10", "10.60.0.99"),),
    )
    # The service has chosen, and no router is told to the guests.
    assert (back.cidr, back.dns, back.gateway) == (
        "10.128.0.0/24",
        ("192.0.2.53",),
        None,
    )
    connected = {s for _, s in built.world.links}
    assert front.id in connected and back.id not in connected
    # What is told of an instance is the address of its first interface.
    shown = built.service.instances.show(ADMIN, "web", NOWHERE)
    assert shown.addresses[0].startswith("10.60.0.")
    assert shown.networks == ("front", "back")
    outputs = built.service.environments.outputs(ADMIN, "shop", NOWHERE)
    assert outputs["database"].startswith("10.128.0.")

    assert shop.plan(built, wired()).is_empty
    built.world.calls.clear()
    shop.apply(built, wired())
    reads = shop.READS | {
        "networks.networks",
        "networks.subnets",
        "networks.connected",
    }
    assert set(shop.cloud_calls(built)) <= reads
    shop.destroy(built)
    assert built.world.left() == before
    assert not built.store.list_records("network")


def test_in_place(built):
    shop.apply(built, wired())
    servers = shop.server_ids(built)
    networks = {
        "front": {"cidr": "10.60.0.0/24", "dns": ["192.0.2.1"]},
        "back": {"routed": False},
    }
    found = shop.plan(built, wired(networks))
    told = {step.name: [str(d) for d in step.differences] for step in found.steps}
    assert told == {
        "front": [
            "dns default -> 192.0.2.1: in place",
            "dhcp 10.60.0.10-10.60.0.99 -> default: in place",
        ],
        "back": ["dns 192.0.2.53 -> default: in place"],
    }
    shop.apply(built, wired(networks))
    assert subnet(built, "front").dns == ("192.0.2.1",)
    assert subnet(built, "front").pools == (("10.60.0.2", "10.60.0.254"),)
    assert shop.server_ids(built) == servers
    assert shop.plan(built, wired(networks)).is_empty


@pytest.mark.parametrize("front", [{"cidr": "10.61.0.0/24"}, {"routed": True}])
def test_made_anew(built, front):
    """What is on it goes before, and comes again afterwards; the rest stays."""
    definition = wired({"front": {"cidr": "10.60.0.0/24"}, "back": {"routed": False}})
    if "routed" in front:
        definition["networks"]["front"]["routed"] = False
        definition["instances"]["web"]["publish"] = []
        definition["outputs"] = {}
    shop.apply(built, definition)
    servers, old = shop.server_ids(built), network(built, "front").id
    changed = {**definition, "networks": {**definition["networks"]}}
    changed["networks"]["front"] = {**definition["networks"]["front"], **front}
    found = shop.plan(built, changed)
    assert shop.steps(found) == ["delete web", "replace front", "create web"]
    assert "network front" in found.steps[0].reason
    assert found.widths == (1, 1, 1)
    shop.apply(built, changed)
    assert network(built, "front").id != old
    assert interfaces(built, "web") == ["front", "back"]
    assert shop.server_ids(built)["db"] == servers["db"]
    assert shop.plan(built, changed).is_empty


def test_other_interfaces_replace_an_instance(built):
    shop.apply(built, wired())
    changed = wired(web={"networks": ["back", "front"]})
    found = shop.plan(built, changed)
    assert [step.reason for step in found.steps] == [
        "networks front, back -> back, front: replaced"
    ]
    shop.apply(built, changed)
    assert interfaces(built, "web") == ["back", "front"]
    # Its ports are published where the router is.
    (forwarding,) = built.world.forwardings.values()
    port = built.world.ports[forwarding.port_id]
    assert port.network_id == network(built, "front").id
    shop.apply(
        built, wired(web={"networks": ["back", "front"], "publish": ["8080:80"]})
    )
    (forwarding,) = built.world.forwardings.values()
    assert (forwarding.port_id, forwarding.outside) == (port.id, 8080)


def test_a_range_that_goes_to_another_network(built):
    shop.apply(built, wired())
    networks = {"new": NETWORKS["front"], "back": NETWORKS["back"]}
    changed = wired(networks, web={"networks": ["new"]})
    found = shop.plan(built, changed)
    assert shop.steps(found) == [
        "delete web",
        "delete front",
        "create new",
        "create web",
    ]
    shop.apply(built, changed)
    assert interfaces(built, "web") == ["new"]
    assert shop.plan(built, changed).is_empty


def test_a_network_that_is_needed_no_more(built):
    shop.apply(built, wired())
    changed = wired({"front": NETWORKS["front"]}, db={"networks": []})
    changed["instances"]["web"]["networks"] = ["front"]
    found = shop.plan(built, changed)
    assert shop.steps(found)[-1] == "delete back"
    assert shop.steps(found)[0] == "replace db"
    shop.apply(built, changed)
    assert interfaces(built, "db") == ["shop"]
    assert {n.name for n in built.world.networks.values()} == {"shop", "front"}
    assert shop.plan(built, changed).is_empty


def test_the_environments_own_by_its_name(built):
    definition = wired(web={"networks": ["shop", "front"]})
    shop.apply(built, definition)
    assert interfaces(built, "web") == ["shop", "front"]
    (forwarding,) = built.world.forwardings.values()
    assert built.world.ports[forwarding.port_id].network_id == network(built, "shop").id
    assert shop.plan(built, definition).is_empty


# -- drift


@pytest.mark.parametrize("how", ["gone", "subnet", "dns", "dhcp", "router", "linked"])
def test_drift_is_shown_and_mended(built, how):
    shop.apply(built, wired())
    front, back = subnet(built, "front"), subnet(built, "back")
    world = built.world
    if how == "gone":
        for key, each in list(world.ports.items()):
            if each.network_id == front.network_id:
                del world.ports[key]
        world.links = {each for each in world.links if each[1] != front.id}
        del world.subnets[front.id], world.networks[front.network_id]
    elif how == "subnet":
        world.links = {each for each in world.links if each[1] != front.id}
        del world.subnets[front.id]
    elif how == "router":
        world.links = {each for each in world.links if each[1] != front.id}
    elif how == "linked":
        (router,) = world.routers
        world.links.add((router, back.id))
    else:
        fields = {"dns": ("192.0.2.9",), "pools": (("10.60.0.3", "10.60.0.4"),)}
        key = "pools" if how == "dhcp" else how
        changed = {"dns": front.dns, "pools": front.pools, key: fields[key]}
        world.subnets[front.id] = values.Subnet(
            front.id, front.name, front.network_id, front.cidr, front.gateway, **changed
        )
    found = shop.plan(built, wired())
    drifted = "back" if how == "linked" else "front"
    assert next(s for s in found.steps if s.name == drifted).drift
    made_anew = how in ("gone", "subnet")
    assert shop.steps(found) == (
        ["delete web", "replace front", "create web"]
        if made_anew
        else [f"update {drifted}"]
    )
    shop.apply(built, wired())
    assert shop.plan(built, wired()).is_empty
    front = subnet(built, "front")
    assert front.pools == (("10.60.0.10", "10.60.0.99"),) and front.dns == ()
    assert {s for _, s in world.links} >= {front.id}
    assert subnet(built, "back").id not in {s for _, s in world.links}


# -- networks of others


def share(stage, name, project="everybody"):
    key = stage.world.new_id("network")
    stage.world.networks[key] = values.Network(key, name)
    stage.world.marked[f"project:{key}"] = project
    return key


def test_a_network_that_the_cloud_shares(built):
    key = share(built, "campus")
    definition = wired(db={"networks": ["campus", "back"]})
    shop.apply(built, definition)
    assert interfaces(built, "db") == ["campus", "back"]
    assert shop.plan(built, definition).is_empty
    # A network of the file goes before one that is shared.
    definition["networks"] = {**NETWORKS, "campus": {"cidr": "10.70.0.0/24"}}
    found = shop.plan(built, definition)
    assert "create campus" in shop.steps(found)
    reason = next(s for s in found.steps if s.name == "db").reason
    assert "campus (of the cloud), back -> campus, back: replaced" in reason
    shop.apply(built, definition)
    assert network_of(built, "db") != key
    shop.destroy(built)
    assert key in built.world.networks


def network_of(stage, name):
    (record,) = stage.store.list_records("instance", name=name)
    return stage.world.ports[record.data["ports"][0]].network_id


def test_networks_that_nobody_may_use(built):
    share(built, "theirs", "p-else")
    for _ in range(2):
        with pytest.raises(Invalid, match="no network theirs in the file") as caught:
            shop.accept(built, wired(db={"networks": ["theirs"]}))
        assert caught.value.field == "instances.db.networks"
        # The same once the environment stands.
        shop.apply(built, wired())


def test_two_shared_ones_of_a_name(built):
    first = share(built, "campus")
    share(built, "campus")
    with pytest.raises(Invalid, match="no network campus"):
        shop.plan(built, wired(db={"networks": ["campus"]}))
    assert not shop.plan(built, wired(db={"networks": [first]})).is_empty


# -- what is refused when planning


@pytest.mark.parametrize(
    ("networks", "told", "field"),
    [
        ({"cidr": "10.20.5.0/24"}, "overlaps 10.20.0.0/16, the environment's", "cidr"),
        ({"cidr": "fd00::/64"}, "IPv4", "cidr"),
        ({"cidr": "10.1.0.0/30"}, "no room for guests", "cidr"),
        ({"dns": ["192.0.2.1", "fd00::1"]}, "name servers need IPv4", "dns"),
        ({"cidr": "10.1.0.0/24", "dhcp": "10.1.0.5"}, "no first and last", "dhcp"),
        ({"cidr": "10.1.0.0/24", "dhcp": "10.1.0.9-10.1.0.5"}, "no first", "dhcp"),
        ({"cidr": "10.1.0.0/24", "dhcp": "10.1.0.5-10.1.1.5"}, "not in", "dhcp"),
        ({"cidr": "10.1.0.0/24", "dhcp": "10.1.0.1-10.1.0.5"}, "router's", "dhcp"),
        ({"cidr": "10.1.0.0/24", "dhcp": "10.1.0.5-10.1.0.255"}, "the last", "dhcp"),
        ({"dhcp": "10.1.0.5-10.1.0.9"}, "needs a cidr", "dhcp"),
    ],
)
def test_ranges_that_can_not_be(built, networks, told, field):
    with pytest.raises(Invalid, match=told) as caught:
        shop.plan(built, wired({**NETWORKS, "bad": networks}))
    assert caught.value.field == f"networks.bad.{field}"


def test_unrouted_ranges_may_be_anything(built):
    networks = {
        "front": NETWORKS["front"],
        "back": {
            "cidr": "10.20.0.0/24",
            "routed": False,
            "dhcp": "10.20.0.1-10.20.0.9",
        },
    }
    shop.apply(built, wired(networks))
    assert shop.plan(built, wired(networks)).is_empty


def test_a_range_over_one_that_was_chosen(built):
    networks = {"front": {}, "back": {"routed": False}}
    shop.apply(built, wired(networks))
    assert subnet(built, "front").cidr == "10.128.0.0/24"
    more = {**networks, "more": {"cidr": "10.128.0.0/16"}}
    with pytest.raises(Invalid, match=r"overlaps 10.128.0.0/24, network front"):
        shop.plan(built, wired(more))


def test_ranges_that_are_exchanged(built):
    first, second = {"cidr": "10.1.0.0/24"}, {"cidr": "10.2.0.0/24"}
    shop.apply(built, wired({"front": first, "back": second}))
    with pytest.raises(
        Conflict, match="front.* take over each other's names, ports or addr"
    ):
        shop.plan(built, wired({"front": second, "back": first}))


def test_no_range_is_left(make_stage):
    stage = shop.furnish(make_stage(networks_cidr="10.9.0.0/24"))
    with pytest.raises(Conflict, match="no range of 10.9.0.0/24 is free"):
        shop.plan(stage, wired({"front": {}, "back": {}}))


def test_ports_that_no_router_leads_to(built):
    with pytest.raises(Invalid, match="environment's router") as caught:
        shop.plan(built, wired(web={"networks": ["back"]}))
    assert caught.value.field == "instances.web.publish"


def test_a_network_of_the_environments_name(built):
    with pytest.raises(Invalid, match="shop is what the environment's own network"):
        shop.plan(built, wired({**NETWORKS, "shop": {}}))


def test_what_others_have_on_it(built):
    shop.apply(built, wired())
    built.provisioner()
    built.instance("mine", environment="shop", networks=("front",))
    changed = wired({**NETWORKS, "front": {"cidr": "10.61.0.0/24"}})
    with pytest.raises(Conflict, match="network front is used by instance mine"):
        shop.plan(built, changed)
    # A destroy leaves it, and all that it needs.
    shop.destroy(built)
    assert {n.name for n in built.world.networks.values()} == {"shop", "front"}
    with pytest.raises(Conflict, match="instances: mine"):
        built.service.environments.delete(ADMIN, "shop", NOWHERE)
    built.done(built.service.instances.delete(ADMIN, "mine", NOWHERE))
    with pytest.raises(Conflict, match="networks of its definition: front"):
        built.service.environments.delete(ADMIN, "shop", NOWHERE)
    shop.destroy(built)
    assert not built.world.networks


# -- failures


def test_a_network_that_fails_stops_its_branch_only(built):
    def hook(name, moment):
        if name == "networks.create_subnet" and moment == "before":
            subnets = len(built.world.subnets)
            if subnets == 1:
                raise Conflict("no subnet is left")

    built.world.hook = hook
    definition = wired(log={"driver": "lxd", "image": "debian-12"})
    built.speak("log", "made")
    task = shop.apply(built, definition, end="error")
    built.world.hook = None
    assert "step subnet, subnet" in task.history[-1].message
    assert "log" in shop.names(built)
    assert "db" not in shop.names(built)
    shop.apply(built, definition)
    assert shop.plan(built, definition).is_empty


@pytest.mark.parametrize("when", ["before", "after"])
def test_whatever_fails_is_gone_on_with(built, when):
    definition = wired(db={"networks": ["front"]})
    definition["networks"] = {"front": NETWORKS["front"]}
    definition["instances"]["web"]["networks"] = ["front"]

    def is_meant(name, moment):
        return name.startswith("networks.") and "port" not in name and moment == when

    assert shop.fails_once(built, definition, is_meant) > 5


def test_a_worker_that_dies_in_the_middle(built):
    changed = wired({**NETWORKS, "front": {"cidr": "10.61.0.0/24"}})
    number, _ = shop.dies_anywhere(built, wired(), changed)
    assert number > 5


def test_in_one_project_of_somebodys_cloud(make_stage):
    stage = shop.furnish(make_stage(single=True))
    for size in ((1, 1024, 8), (2, 4096, 20)):
        name = f"flavor-{size[1]}"
        stage.world.flavors[name] = values.Flavor(name, name, *size)
    stage.environment("shop")
    stage.environment("other")
    before = stage.world.left()
    shop.apply(stage, wired())
    assert interfaces(stage, "web") == ["front", "back"]
    assert shop.plan(stage, wired()).is_empty
    shop.destroy(stage)
    assert stage.world.left() == before
