# SPDX-License-Identifier: Apache-2.0
"""An environment's network: each part once, however often it is asked for."""

from __future__ import annotations

import pytest

from nova_multi.cloud.marks import Mark
from nova_multi.domain import errors

from .conftest import ENVIRONMENT, TASK
from .fake import neutron_error
from .neutron import Neutron

TASK_TAG = f"nova-multi:task={TASK}"
ENVIRONMENT_TAG = f"nova-multi:environment={ENVIRONMENT}"


@pytest.fixture
def neutron(fake):
    return Neutron(fake)


@pytest.fixture
def networks(cloud):
    return cloud.networks


def make_all(networks, mark):
    network = networks.create_network("dev", mark)
    subnet = networks.create_subnet(
        "dev", mark, network_id=network.id, cidr="10.0.0.0/24", dns=["9.9.9.9"]
    )
    router = networks.create_router("dev", mark, external_network_id="outside")
    networks.connect(router.id, subnet.id)
    group = networks.create_security_group("dev", mark)
    port = networks.create_port(
        "web", mark, network_id=network.id, security_groups=[group.id]
    )
    return network, subnet, router, group, port


def test_an_environment(fake, networks, neutron, mark):
    network, subnet, router, group, port = make_all(networks, mark)
    kept = neutron.kept
    for collection, value in (
        ("networks", network),
        ("subnets", subnet),
        ("routers", router),
        ("security-groups", group),
        ("ports", port),
    ):
        raw = kept[collection][value.id]
        assert raw["description"] == TASK_TAG
        assert set(raw["tags"]) == {TASK_TAG, ENVIRONMENT_TAG}
    assert kept["subnets"][subnet.id]["cidr"] == "10.0.0.0/24"
    assert kept["subnets"][subnet.id]["dns_nameservers"] == ["9.9.9.9"]
    assert kept["routers"][router.id]["external_gateway_info"] == {
        "network_id": "outside"
    }
    rules = kept["security-group-rules"].values()
    assert [(r["direction"], r["ethertype"], r["remote_group_id"]) for r in rules] == [
        ("ingress", "IPv4", group.id),
        ("ingress", "IPv6", group.id),
    ]
    assert port.addresses
    assert port.security_groups == (group.id,)


def test_again_makes_nothing_new(networks, neutron, mark):
    first = make_all(networks, mark)
    counts = {name: len(kept) for name, kept in neutron.kept.items()}
    again = make_all(networks, mark)
    assert [each.id for each in again] == [each.id for each in first]
    assert {name: len(kept) for name, kept in neutron.kept.items()} == counts


def test_another_task_makes_its_own(networks, neutron, mark):
    first = networks.create_network("dev", mark)
    assert networks.create_network("dev", Mark("another")).id != first.id
    assert networks.create_network("more", mark).id != first.id


def test_a_maker_that_died_before_the_tags(networks, neutron, mark):
    raw = neutron.add("networks", name="dev", description=TASK_TAG)
    found = networks.create_network("dev", mark)
    assert found.id == raw["id"]
    assert set(raw["tags"]) == {TASK_TAG, ENVIRONMENT_TAG}
    assert set(found.tags) == set(raw["tags"])


def test_tags_of_others_stay(networks, neutron, mark):
    raw = neutron.add("networks", name="dev", description=TASK_TAG, tags=["theirs"])
    networks.create_network("dev", mark)
    assert "theirs" in raw["tags"]


def test_what_belongs_to_an_environment(fake, networks, neutron, mark):
    network, subnet, router, group, _ = make_all(networks, mark)
    neutron.add("networks", name="shared", project_id="others", tags=[ENVIRONMENT_TAG])
    fake.calls.clear()
    tags = [ENVIRONMENT_TAG]
    assert [each.id for each in networks.networks(tags=tags)] == [network.id]
    assert [each.id for each in networks.subnets(tags=tags)] == [subnet.id]
    assert [each.id for each in networks.routers(tags=tags)] == [router.id]
    assert [each.id for each in networks.security_groups(tags=tags)] == [group.id]
    assert networks.subnets(network_id="other") == ()
    assert len(fake.calls) == 5


def test_connect_while_another_does(fake, networks, neutron, mark):
    router = neutron.add("routers")["id"]
    path = f"/routers/{router}/add_router_interface"

    def quicker(call):
        neutron.plug(call, router, "add")
        return neutron.plug(call, router, "add")

    fake.on("network", "PUT", path, quicker)
    networks.connect(router, "subnet-9")


def test_connect_what_can_not_be(fake, networks, neutron):
    router = neutron.add("routers")["id"]
    path = f"/routers/{router}/add_router_interface"
    fake.on("network", "PUT", path, neutron_error(400, "BadRequest", "overlap"))
    with pytest.raises(errors.Invalid, match="overlap"):
        networks.connect(router, "subnet-9")


def test_disconnect_twice(networks, neutron):
    router = neutron.add("routers")["id"]
    networks.connect(router, "s")
    networks.disconnect(router, "s")
    networks.disconnect(router, "s")
    assert not neutron.kept["ports"]


def test_delete(networks, neutron, mark):
    network, subnet, router, group, port = make_all(networks, mark)
    with pytest.raises(errors.Conflict):
        networks.delete_network(network.id)
    with pytest.raises(errors.Conflict):
        networks.delete_security_group(group.id)
    networks.disconnect(router.id, subnet.id)
    for delete, value in (
        (networks.delete_port, port),
        (networks.delete_router, router),
        (networks.delete_subnet, subnet),
        (networks.delete_network, network),
        (networks.delete_security_group, group),
    ):
        assert delete(value.id) is True
        assert delete(value.id) is False


def test_a_rule_that_can_not_be(fake, networks, neutron, mark):
    path = "/security-group-rules"
    fake.on("network", "POST", path, neutron_error(409, "OverQuota"))
    with pytest.raises(errors.Conflict) as caught:
        networks.allow("g", mark, protocol="tcp", port=80)
    assert caught.value.code == "quota_exceeded"


# -- the outside


def external(name, **more):
    return {"id": f"id-{name}", "name": name, "router:external": True, **more}


@pytest.mark.parametrize(
    ("networks_there", "name", "expected"),
    [
        ([external("out")], None, "id-out"),
        ([external("out"), external("in", is_default=True)], None, "id-in"),
        ([external("a"), external("b")], "b", "id-b"),
        ([external("a"), external("b")], "id-a", "id-a"),
        ([external("a"), external("b")], None, errors.Ambiguous),
        ([external("a"), external("a", id="x")], "a", errors.Ambiguous),
        ([external("a")], "c", errors.NotFound),
        ([], None, errors.NotFound),
    ],
)
def test_external(fake, networks, networks_there, name, expected):
    fake.on("network", "GET", "/networks", {"networks": networks_there})
    if isinstance(expected, str):
        assert networks.external(name).id == expected
    else:
        with pytest.raises(expected):
            networks.external(name)
    assert fake.last().query == {"router:external": ["true"]}


# -- ports


def test_a_thousand_ports_cost_one_request(fake, networks, neutron):
    for number in range(1000):
        neutron.add(
            "ports",
            network_id="n",
            device_id=f"server-{number}",
            device_owner="compute:nova",
        )
    networks.ports()
    fake.calls.clear()
    found = networks.ports()
    assert len(found) == 1000
    assert found[5].server_id == "server-5"
    assert len(fake.calls) == 1


def test_a_cloud_that_sets_pages(fake, networks):
    def answer(call):
        first = 0 if "marker" not in call.query else 2
        ports = [{"id": f"p{n}", "network_id": "n"} for n in (first, first + 1)]
        links = [{"rel": "next", "href": "x"}] if not first else []
        return {"ports": ports, "ports_links": links}

    fake.on("network", "GET", "/ports", answer)
    assert [port.id for port in networks.ports()] == ["p0", "p1", "p2", "p3"]
    assert fake.last().query["marker"] == ["p1"]


def test_ports_of_a_router_are_no_servers(networks, neutron):
    neutron.add("ports", network_id="n", device_id="r", device_owner="network:dhcp")
    (port,) = networks.ports()
    assert port.server_id is None


def test_change_groups(fake, networks, neutron):
    for number in ("a", "b", "c"):
        neutron.add("security-groups", id=number)
    raw = neutron.add("ports", network_id="n", security_groups=["a", "b"])
    networks.change_groups(raw["id"], add=["c"], remove=["a"])
    assert raw["security_groups"] == ["b", "c"]
    fake.calls.clear()
    networks.change_groups(raw["id"], add=["c"], remove=["a"])
    assert [call.method for call in fake.calls] == ["GET"]


@pytest.mark.parametrize(("times", "fine"), [(2, True), (9, False)])
def test_change_groups_while_others_do(fake, networks, neutron, times, fine):
    for number in ("a", *range(times)):
        neutron.add("security-groups", id=str(number))
    raw = neutron.add("ports", network_id="n", security_groups=[])
    left = list(range(times))

    def interfere(call):
        if left:
            raw["security_groups"].append(str(left.pop()))
            raw["revision_number"] += 1

    neutron.before_put = interfere
    if fine:
        networks.change_groups(raw["id"], add=["a"])
        assert set(raw["security_groups"]) == {"0", "1", "a"}
    else:
        with pytest.raises(errors.Conflict):
            networks.change_groups(raw["id"], add=["a"])


def test_a_port_that_is_gone(networks, neutron):
    with pytest.raises(errors.NotFound):
        networks.port("none")


def test_answers_that_lack_what_extensions_add(fake, networks):
    fake.on("network", "GET", "/networks", {"networks": [{"id": "n", "name": "x"}]})
    (found,) = networks.networks()
    assert (found.mtu, found.tags, found.external) == (0, (), False)


def test_a_subnet_with_a_range_and_without_a_router(networks, neutron, mark):
    network = networks.create_network("back", mark)
    subnet = networks.create_subnet(
        "back",
        mark,
        network_id=network.id,
        cidr="10.1.0.0/24",
        dns=["9.9.9.9"],
        pool=("10.1.0.5", "10.1.0.9"),
        gateway=False,
    )
    raw = neutron.kept["subnets"][subnet.id]
    assert raw["gateway_ip"] is None
    assert raw["allocation_pools"] == [{"start": "10.1.0.5", "end": "10.1.0.9"}]
    assert (subnet.dns, subnet.pools) == (("9.9.9.9",), (("10.1.0.5", "10.1.0.9"),))
    changed = networks.change_subnet(subnet.id, dns=[], pool=("10.1.0.2", "10.1.0.3"))
    assert (changed.dns, changed.pools) == ((), (("10.1.0.2", "10.1.0.3"),))
    assert networks.change_subnet(subnet.id, dns=["9.9.9.9"]).pools == changed.pools


def test_what_a_router_is_on(networks, neutron, mark):
    network, subnet, router, *_ = make_all(networks, mark)
    assert networks.connected(router.id) == {subnet.id}
    networks.disconnect(router.id, subnet.id)
    assert networks.connected(router.id) == frozenset()


def test_shared_networks(fake, networks, neutron):
    theirs = {"project_id": "project-2", "shared": "true"}
    neutron.add("networks", name="campus", **theirs, **{"router:external": "false"})
    neutron.add("networks", name="public", **theirs, **{"router:external": "true"})
    neutron.add("networks", name="mine", shared="false")
    assert [each.name for each in networks.shared()] == ["campus"]
