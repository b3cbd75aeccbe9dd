# SPDX-License-Identifier: Apache-2.0
"""What a boot is told of its ports while Nova still asks for their addresses."""

import threading

import pytest
from nova.network import model
from os_vif import objects as os_vif_objects

from nova_multi.virt import vif
from nova_multi.virt.engine import Route
from nova_multi.virt.ports import BoundPorts, early_vif

UUID = "0b5fbd67-7a4b-4d31-9e54-b52e3ccd4d4d"
PORT = {
    "id": "aaaaaaaa-1111-4222-8333-444444444444",
    "network_id": "cccccccc-1111-4222-8333-444444444444",
    "mac_address": "fa:16:3e:00:00:01",
    "admin_state_up": True,
    "status": "DOWN",
    "fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.7"}],
    "binding:vif_type": "ovs",
    "binding:vnic_type": "normal",
    "binding:vif_details": {"bridge_name": "br-int", "datapath_type": "netdev"},
}
NETWORK = {"id": PORT["network_id"], "name": "private", "mtu": 1342}


def subnets():
    gateway = model.IP("10.0.0.1", "gateway")
    return [
        model.Subnet(cidr="10.0.0.0/24", gateway=gateway, enable_dhcp=True),
        model.Subnet(cidr="fd00::/64", gateway=model.IP(None)),
    ]


def test_an_early_vif_can_be_plugged():
    os_vif_objects.register_all()
    made = early_vif(PORT, NETWORK, subnets(), preserve=False)
    (interface,) = vif.interfaces([made], {PORT["id"]: "eth0"})
    assert (interface.mac, interface.mtu) == ("fa:16:3e:00:00:01", 1342)
    assert (interface.tap, interface.inner) == ("tapaaaaaaaa-11", "innaaaaaaaa-11")
    assert interface.addresses == ("10.0.0.7/24",)
    assert interface.gateways == ("10.0.0.1",)
    assert interface.routes == (Route(vif.METADATA, ""),)
    converted = vif._osvif(made)
    assert converted.network.bridge == "br-int"
    assert converted.network.mtu == 1342
    assert converted.port_profile.datapath_type == "netdev"
    assert converted.port_profile.interface_id == PORT["id"]


@pytest.mark.parametrize(
    ("changes", "active"),
    [
        ({}, False),
        ({"status": "ACTIVE"}, True),
        ({"admin_state_up": False}, True),  # never becomes active: not waited for
    ],
)
def test_what_is_waited_for(changes, active):
    made = early_vif(PORT | changes, NETWORK, [], preserve=False)
    assert made["active"] is active


def test_a_bridge_is_named_by_nova_where_neutron_does_not():
    made = early_vif(PORT | {"binding:vif_details": None}, {}, [], preserve=True)
    assert made["network"]["bridge"] == "br-int"
    assert isinstance(made, model.VIF)
    assert made["preserve_on_delete"]


def test_nobody_allocates():
    assert BoundPorts().wait(UUID) is None


def test_ports_are_told_while_they_are_allocated():
    ports = BoundPorts()
    with ports.allocating(UUID):
        ports.tell(UUID, ["port"])
        assert ports.wait(UUID) == ["port"]
        assert ports.wait("another") is None
    assert ports.wait(UUID) is None
    ports.tell(UUID, ["late"])
    assert ports.wait(UUID) is None


@pytest.mark.parametrize("told", [True, False])
def test_a_boot_waits_for_the_ports_or_their_failure(told):
    ports, found, begun = BoundPorts(), [], threading.Event()

    def boot():
        begun.set()
        found.append(ports.wait(UUID))

    thread = threading.Thread(target=boot)
    try:
        with ports.allocating(UUID):
            thread.start()
            begun.wait(10)
            if told:
                ports.tell(UUID, ["port"])
                thread.join(10)
            else:
                assert not found
                raise LookupError("no address left")
    except LookupError:
        thread.join(10)
    assert found == [["port"] if told else None]
