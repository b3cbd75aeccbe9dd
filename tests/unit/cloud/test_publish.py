# SPDX-License-Identifier: Apache-2.0
"""Published ports: who has them, what is free, and what lets the traffic in."""

from __future__ import annotations

import pytest

from nova_multi.cloud.marks import Mark
from nova_multi.cloud.publish import PortTaken
from nova_multi.domain import errors
from nova_multi.domain.publish import Publish

from .conftest import ENVIRONMENT, TASK
from .fake import neutron_error
from .neutron import Neutron

HTTP = Publish(8080, 80)
DNS = Publish(53, 53, "udp")


@pytest.fixture
def neutron(fake):
    return Neutron(fake)


@pytest.fixture
def publishing(cloud):
    return cloud.publishing


@pytest.fixture
def address(neutron, publishing, mark):
    return publishing.create_address("outside", mark)


@pytest.fixture
def guests(neutron, cloud):
    """Two ports, of servers web and db."""
    neutron.add("security-groups", id="default")
    for name in ("web", "db"):
        neutron.add(
            "ports",
            network_id="n",
            device_id=f"server-{name}",
            device_owner="compute:nova",
            fixed_ips=[
                {"ip_address": "fd00::5", "subnet_id": "s6"},
                {"ip_address": f"10.0.0.{len(name)}", "subnet_id": "s"},
            ],
            security_groups=["default"],
        )
    return [port for port in cloud.networks.ports() if port.server_id]


# -- addresses


def test_an_address_is_taken_once(fake, publishing, neutron, mark):
    first = publishing.create_address("outside", mark)
    assert publishing.create_address("outside", mark).id == first.id
    assert publishing.create_address("outside", Mark("other")).id != first.id
    raw = neutron.kept["floatingips"][first.id]
    assert raw["description"] == f"nova-multi:task={TASK}"
    assert f"nova-multi:environment={ENVIRONMENT}" in raw["tags"]


def test_no_address_is_left(fake, publishing, neutron, mark):
    error = neutron_error(409, "IpAddressGenerationFailure", "No more IP addresses")
    fake.on("network", "POST", "/floatingips", error)
    with pytest.raises(errors.Conflict, match="No more IP addresses"):
        publishing.create_address("outside", mark)


def test_everything_published_costs_one_request(
    fake, publishing, neutron, address, guests, mark
):
    for number in range(100):
        publishing.publish(
            address.id, Publish(9000 + number, number + 1), guests[0], mark
        )
    fake.calls.clear()
    (found,) = publishing.addresses()
    assert len(found.forwardings) == 100
    assert found.forwardings[3].port_id == guests[0].id
    assert found.forwardings[3].outside == 9003
    assert len(fake.calls) == 1
    assert publishing.addresses(tags=["other"]) == ()
    publishing.addresses(everywhere=True)
    assert fake.last().query == {}


def test_release(publishing, neutron, address, guests, mark):
    made = publishing.publish(address.id, HTTP, guests[0], mark)
    with pytest.raises(errors.Conflict):
        publishing.release_address(address.id)
    assert publishing.unpublish(address.id, made.id) is True
    assert publishing.unpublish(address.id, made.id) is False
    assert publishing.release_address(address.id) is True
    assert publishing.release_address(address.id) is False


# -- forwardings


def test_publish(fake, publishing, neutron, address, guests, mark):
    made = publishing.publish(address.id, HTTP, guests[0], mark)
    assert (made.protocol, made.outside, made.inside) == ("tcp", 8080, 80)
    assert fake.last().body == {
        "port_forwarding": {
            "protocol": "tcp",
            "external_port": 8080,
            "internal_port": 80,
            "internal_port_id": guests[0].id,
            "internal_ip_address": "10.0.0.3",
            "description": f"nova-multi:task={TASK}",
        }
    }
    udp = publishing.publish(address.id, DNS, guests[0], mark)
    assert udp.protocol == "udp"
    assert {each.id for each in publishing.forwardings(address.id)} == {made.id, udp.id}


def test_publish_again(fake, publishing, neutron, address, guests, mark):
    made = publishing.publish(address.id, HTTP, guests[0], mark)
    fake.calls.clear()
    assert publishing.publish(address.id, HTTP, guests[0], mark) == made
    free = publishing.publish(address.id, Publish(None, 22), guests[0], mark)
    assert publishing.publish(address.id, Publish(None, 22), guests[0], mark) == free
    assert len(neutron.forwardings[address.id]) == 2


def test_an_inside_port_has_one_outside(publishing, neutron, address, guests, mark):
    publishing.publish(address.id, HTTP, guests[0], mark)
    with pytest.raises(errors.Invalid, match="collision"):
        publishing.publish(address.id, Publish(8081, 80), guests[0], mark)


def test_tcp_and_udp_of_one_number(publishing, neutron, address, guests, mark):
    publishing.publish(address.id, Publish(53, 53), guests[0], mark)
    publishing.publish(address.id, DNS, guests[1], mark)
    with pytest.raises(PortTaken):
        publishing.publish(address.id, DNS, guests[0], mark)


def test_a_port_that_is_taken(publishing, neutron, address, guests, mark):
    made = publishing.publish(address.id, HTTP, guests[0], mark)
    with pytest.raises(PortTaken, match="tcp port 8080.*server-web") as caught:
        publishing.publish(address.id, HTTP, guests[1], mark)
    assert caught.value.server_id == "server-web"
    assert caught.value.forwarding == made
    assert caught.value.code == "port_taken"
    assert caught.value.field == "publish"
    assert publishing.holder(address.id, "tcp", 8080) == (made, "server-web")
    assert publishing.holder(address.id, "udp", 8080) is None


def test_a_port_that_is_taken_by_what_is_gone(
    publishing, neutron, address, guests, mark
):
    publishing.publish(address.id, HTTP, guests[0], mark)
    del neutron.kept["ports"][guests[0].id]
    with pytest.raises(PortTaken) as caught:
        publishing.publish(address.id, HTTP, guests[1], mark)
    assert caught.value.server_id is None


def first_another(fake, neutron, address, port, publish):
    """Before the next forwarding, somebody else makes one."""
    done = []

    def answer(call, number):
        if not done:
            done.append(True)
            asked = call.body["port_forwarding"]
            other = {
                **asked,
                "id": "theirs",
                "internal_port_id": port.id,
                "internal_port": publish.inside,
            }
            neutron.forwardings.setdefault(number, {})["theirs"] = other
        return neutron.forward(call, number)

    fake.on("network", "POST", "/floatingips/([^/]+)/port_forwardings", answer)


def test_a_port_that_is_taken_in_between(
    fake, publishing, neutron, address, guests, mark
):
    first_another(fake, neutron, address, guests[1], Publish(8080, 99))
    with pytest.raises(PortTaken) as caught:
        publishing.publish(address.id, HTTP, guests[0], mark)
    assert caught.value.server_id == "server-db"


def test_a_free_port_that_is_taken_in_between(
    fake, publishing, neutron, address, guests, mark
):
    first_another(fake, neutron, address, guests[1], Publish(None, 99))
    made = publishing.publish(
        address.id, Publish(None, 80), guests[0], mark, free=[7001, 7002]
    )
    theirs = neutron.forwardings[address.id]["theirs"]["external_port"]
    assert {made.outside, theirs} == {7001, 7002}


def test_free_ports(publishing, neutron, address, guests, mark):
    found = {
        publishing.publish(
            address.id, Publish(None, inside), guests[0], mark, free=range(7001, 7004)
        ).outside
        for inside in (1, 2, 3)
    }
    assert found == {7001, 7002, 7003}
    with pytest.raises(errors.Conflict) as caught:
        publishing.publish(
            address.id, Publish(None, 4), guests[0], mark, free=range(7001, 7004)
        )
    assert caught.value.code == "no_free_port"
    publishing.publish(
        address.id, Publish(None, 4, "udp"), guests[0], mark, free=range(7001, 7004)
    )


def test_a_guest_without_a_way_to_the_address(
    fake, publishing, neutron, address, guests, mark
):
    error = neutron_error(400, "BadRequest", "does not have a router")
    fake.on("network", "POST", "/floatingips/([^/]+)/port_forwardings", error)
    with pytest.raises(errors.Invalid, match="does not have a router"):
        publishing.publish(address.id, HTTP, guests[0], mark)
    with pytest.raises(errors.Invalid):
        publishing.publish(address.id, Publish(None, 80), guests[0], mark)
    assert len([c for c in fake.calls if c.method == "POST"]) == 3


def test_a_guest_with_an_address_of_its_own(publishing, neutron, address, guests, mark):
    own = publishing.create_address("outside", Mark("other"))
    publishing.bind_address(own.id, guests[0].id)
    with pytest.raises(errors.Conflict):
        publishing.publish(address.id, HTTP, guests[0], mark)
    publishing.bind_address(own.id, None)
    publishing.publish(address.id, HTTP, guests[0], mark)


def test_a_guest_without_ipv4(fake, cloud, publishing, neutron, address, mark):
    fixed = [{"ip_address": "fd00::1", "subnet_id": "s"}]
    raw = neutron.add("ports", network_id="n", fixed_ips=fixed)
    with pytest.raises(errors.Unsupported):
        publishing.publish(address.id, HTTP, cloud.networks.port(raw["id"]), mark)


def test_an_address_that_is_gone(publishing, neutron, guests, mark):
    with pytest.raises(errors.NotFound):
        publishing.publish("none", HTTP, guests[0], mark)


def test_a_cloud_that_can_not_forward(fake, cloud, guests, mark):
    neutron = Neutron(fake, forwards=False)
    neutron.add("floatingips", floating_ip_address="x", floating_network_id="o")
    with pytest.raises(errors.Unsupported, match="can't forward"):
        cloud.publishing.publish("floatingip-1", HTTP, guests[0], mark)
    (found,) = cloud.publishing.addresses()
    assert found.forwardings is None


# -- letting the traffic in


def rules(neutron):
    return [
        (r["security_group_id"], r["protocol"], r["port_range_min"])
        for r in neutron.kept["security-group-rules"].values()
    ]


def groups(neutron):
    return set(neutron.kept["security-groups"]) - {"default"}


def test_open_and_close(publishing, neutron, guests, mark):
    web, db = guests
    group = publishing.open(web.id, HTTP, mark, ENVIRONMENT)
    assert rules(neutron) == [(group.id, "tcp", 80)]
    port = neutron.kept["ports"][web.id]
    assert set(port["security_groups"]) == {"default", group.id}
    assert neutron.kept["ports"][db.id]["security_groups"] == ["default"]
    publishing.close(web.id, HTTP, ENVIRONMENT)
    assert port["security_groups"] == ["default"]
    assert not groups(neutron)


def test_guests_share_a_group_while_one_needs_it(publishing, neutron, guests, mark):
    web, db = guests
    one = publishing.open(web.id, HTTP, mark, ENVIRONMENT)
    two = publishing.open(db.id, Publish(8081, 80), Mark("other"), ENVIRONMENT)
    assert one == two
    assert len(rules(neutron)) == 1
    publishing.close(web.id, HTTP, ENVIRONMENT)
    assert groups(neutron) == {one.id}
    publishing.close(db.id, Publish(8081, 80), ENVIRONMENT)
    assert not groups(neutron)


def test_environments_share_nothing(publishing, neutron, guests, mark):
    one = publishing.open(guests[0].id, HTTP, mark, "e1")
    two = publishing.open(guests[1].id, HTTP, mark, "e2")
    assert one != two


def test_closing_leaves_other_environments_alone(publishing, neutron, guests, mark):
    # A group of another environment that is not in use just now.
    name = publishing.open(guests[0].id, HTTP, mark, "e1").name
    other = neutron.add(
        "security-groups", name=name, description="nova-multi:environment=e2"
    )
    publishing.close(guests[0].id, HTTP, "e1")
    assert groups(neutron) == {other["id"]}


def test_open_twice_and_close_twice(publishing, neutron, guests, mark):
    for _ in range(2):
        publishing.open(guests[0].id, DNS, mark, ENVIRONMENT)
    assert len(groups(neutron)) == len(rules(neutron)) == 1
    for _ in range(2):
        publishing.close(guests[0].id, DNS, ENVIRONMENT)
    assert not groups(neutron)


def test_close_after_the_guest_has_gone(publishing, neutron, guests, mark):
    publishing.open(guests[0].id, HTTP, mark, ENVIRONMENT)
    del neutron.kept["ports"][guests[0].id]
    publishing.close(guests[0].id, HTTP, ENVIRONMENT)
    assert not groups(neutron)
    publishing.close(None, HTTP, ENVIRONMENT)


def test_open_while_the_last_other_closes(publishing, neutron, guests, mark):
    first = publishing.open(guests[0].id, HTTP, mark, ENVIRONMENT)

    def other_closes(call):
        neutron.before_put = lambda call: None
        neutron.kept["ports"][guests[0].id]["security_groups"] = ["default"]
        del neutron.kept["security-groups"][first.id]

    neutron.before_put = other_closes
    second = publishing.open(guests[1].id, HTTP, mark, ENVIRONMENT)
    assert second.id != first.id
    port = neutron.kept["ports"][guests[1].id]
    assert set(port["security_groups"]) == {"default", second.id}


@pytest.mark.parametrize("moment", ["before_post", "before_put"])
@pytest.mark.parametrize("before", [True, False])
def test_open_while_another_makes_the_group(
    publishing, neutron, guests, mark, moment, before
):
    """The first made one is that of all; nothing is left of the other."""
    web, db = guests
    name, description = (
        "nova-multi-publish-tcp-80",
        f"nova-multi:environment={ENVIRONMENT}",
    )
    made = []

    def other_makes(call):
        setattr(neutron, moment, lambda call: None)
        at = "2026-01-01T00:00:00Z" if before else "2026-01-01T00:00:09Z"
        made.append(
            neutron.add(
                "security-groups", name=name, description=description, created_at=at
            )
        )

    neutron.created_at = "2026-01-01T00:00:05Z"
    setattr(neutron, moment, other_makes)
    group = publishing.open(web.id, HTTP, mark, ENVIRONMENT)
    (other,) = made
    assert (group.id == other["id"]) is before
    port = neutron.kept["ports"][web.id]
    assert set(port["security_groups"]) == {"default", group.id}
    # Who made the other one does the same.
    assert publishing.open(db.id, HTTP, mark, ENVIRONMENT) == group
    assert (group.id, "tcp", 80) in rules(neutron)
    expected = {group.id} if before else {group.id, other["id"]}
    assert groups(neutron) == expected
    for guest in guests:
        publishing.close(guest.id, HTTP, ENVIRONMENT)
    assert not groups(neutron)


def test_open_for_a_guest_that_is_gone(publishing, neutron, mark):
    with pytest.raises(errors.NotFound):
        publishing.open("none", HTTP, mark, ENVIRONMENT)
