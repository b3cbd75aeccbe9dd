# SPDX-License-Identifier: Apache-2.0
"""Nova's network information as interfaces, and their names over time."""

from types import SimpleNamespace
from unittest import mock

import pytest
from nova.network import model
from os_vif import exception as os_vif_exception
from os_vif import objects as os_vif_objects

from nova_multi import exception
from nova_multi.virt import vif
from nova_multi.virt.engine import Route

PORT_A = "aaaaaaaa-1111-4222-8333-444444444444"
PORT_B = "bbbbbbbb-1111-4222-8333-444444444444"


def subnet(cidr, gateway, address, routes=(), dns=()):
    return model.Subnet(
        cidr=cidr,
        gateway=model.IP(gateway) if gateway else model.IP(None),
        ips=[model.FixedIP(address=address)],
        dns=[model.IP(server) for server in dns],
        routes=[model.Route(cidr=c, gateway=model.IP(g)) for c, g in routes],
    )


def nova_vif(port, *subnets, mtu=1342, kind=model.VIF_TYPE_OVS, active=True):
    network = model.Network(
        id="cccccccc-1111-4222-8333-444444444444",
        bridge="br-int",
        subnets=list(subnets),
        mtu=mtu,
    )
    return model.VIF(
        id=port,
        address="fa:16:3e:00:00:01",
        network=network,
        type=kind,
        vnic_type=model.VNIC_TYPE_NORMAL,
        details={},
        active=active,
    )


def test_addresses_routes_and_resolvers():
    a = nova_vif(
        PORT_A,
        subnet(
            "10.0.0.0/24",
            "10.0.0.1",
            "10.0.0.7",
            routes=[("192.0.2.0/24", "10.0.0.9")],
            dns=["10.0.0.2", "10.0.0.2"],
        ),
        subnet("fd00::/64", "fd00::1", "fd00::7"),
    )
    (interface,) = vif.interfaces([a], {PORT_A: "eth0"})
    assert interface.addresses == ("10.0.0.7/24", "fd00::7/64")
    assert interface.gateways == ("10.0.0.1", "fd00::1")
    assert interface.routes == (Route("192.0.2.0/24", "10.0.0.9"),)
    assert interface.nameservers == ("10.0.0.2",)
    assert (interface.mtu, interface.mac) == (1342, "fa:16:3e:00:00:01")
    assert interface.tap == "tapaaaaaaaa-11"
    assert interface.inner == "innaaaaaaaa-11"


def test_only_the_first_gateway_of_a_family_is_the_default_route():
    a = nova_vif(PORT_A, subnet("10.0.0.0/24", None, "10.0.0.7"))
    b = nova_vif(PORT_B, subnet("10.1.0.0/24", "10.1.0.1", "10.1.0.7"))
    c = nova_vif("c", subnet("10.2.0.0/24", "10.2.0.1", "10.2.0.7"))
    names = {PORT_A: "eth0", PORT_B: "eth1", "c": "eth2"}
    assert [i.gateways for i in vif.interfaces([a, b, c], names)] == [
        (),
        ("10.1.0.1",),
        (),
    ]


def test_a_port_without_addresses():
    (interface,) = vif.interfaces([nova_vif(PORT_A, mtu=None)], {PORT_A: "eth0"})
    assert interface.addresses == ()
    assert interface.mtu == vif.DEFAULT_MTU


def test_names_last():
    first = vif.assign_names(["a", "b"], {})
    assert first == {"a": "eth0", "b": "eth1"}
    assert vif.assign_names(["b"], first) == {"b": "eth1"}
    assert vif.assign_names(["b", "c"], {"b": "eth1"}) == {"b": "eth1", "c": "eth0"}
    assert vif.assign_names(["c", "b", "d"], {"b": "eth1"}) == {
        "b": "eth1",
        "c": "eth0",
        "d": "eth2",
    }


def test_names_survive_in_a_file(tmp_path):
    path = str(tmp_path / "names.json")
    assert vif.load_names(path) == {}
    vif.save_names(path, {"a": "eth0"})
    assert vif.load_names(path) == {"a": "eth0"}
    (tmp_path / "names.json").write_text("{ half")
    assert vif.load_names(path) == {}


@pytest.fixture
def privsep():
    with mock.patch.object(vif, "privsep") as fake:
        fake.link_exists.return_value = False
        yield fake


@pytest.fixture
def instance():
    return mock.Mock(uuid=PORT_B, project_id="p", **{"name": "instance-00000001"})


@pytest.fixture
def os_vif():
    with mock.patch.object(vif, "os_vif") as fake:
        yield fake


@pytest.fixture(autouse=True)
def instance_info():
    os_vif_objects.register_all()
    with mock.patch.object(vif.os_vif_util, "nova_to_osvif_instance"):
        yield


@pytest.fixture
def port():
    return nova_vif(PORT_A, subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.7"))


@pytest.fixture
def interface(port):
    return vif.interfaces([port], {PORT_A: "eth0"})[0]


@pytest.mark.parametrize("kind", ["binding_failed", "unbound", "bridge"])
def test_a_port_that_is_not_on_our_switch_is_refused(
    kind, instance, privsep, os_vif, interface
):
    bad = nova_vif(PORT_A, subnet("10.0.0.0/24", None, "10.0.0.7"), kind=kind)
    with pytest.raises(exception.NetworkSetupError, match=kind):
        vif.plug(instance, bad, interface)
    privsep.create_veth.assert_not_called()
    os_vif.plug.assert_not_called()


def test_os_vif_makes_the_port(instance, port, privsep, os_vif, interface):
    vif.plug(instance, port, interface)
    converted = os_vif.plug.call_args.args[0]
    assert converted.port_profile.create_port
    assert converted.vif_name == interface.tap
    privsep.create_veth.assert_called_once_with(
        interface.tap, interface.inner, interface.mac, interface.mtu
    )


@pytest.fixture
def host_links(privsep, interface):
    """Links of the host's namespace; as in the kernel, an end takes the other along."""
    links = set()

    def create(tap, inner, mac, mtu):
        if tap not in links:
            links.update((tap, inner))

    def delete(name):
        if name in links:
            links.difference_update((interface.tap, interface.inner))

    privsep.link_exists.side_effect = links.__contains__
    privsep.create_veth.side_effect = create
    privsep.delete_link.side_effect = delete
    return links


def test_a_pair_whose_other_end_outlived_its_guest_is_made_anew(
    instance, port, os_vif, interface, host_links
):
    host_links.add(interface.tap)
    vif.plug(instance, port, interface)
    assert host_links == {interface.tap, interface.inner}
    # The switch would stay with the device that is gone.
    os_vif.unplug.assert_called_once()


def test_a_pair_that_a_guest_holds_is_kept(
    instance, port, privsep, os_vif, interface, host_links
):
    host_links.add(interface.tap)
    vif.plug(instance, port, interface, alive=True)
    privsep.delete_link.assert_not_called()
    os_vif.unplug.assert_not_called()
    os_vif.plug.assert_called_once()


def test_a_pair_that_waits_is_kept(
    instance, port, privsep, os_vif, interface, host_links
):
    host_links.update((interface.tap, interface.inner))
    vif.plug(instance, port, interface)
    privsep.delete_link.assert_not_called()
    os_vif.unplug.assert_not_called()


@pytest.fixture
def ovs_vsctl(tmp_path, monkeypatch):
    """A program of this name that notes its arguments and ends as it is told."""
    plugin = SimpleNamespace(ovsdb_connection="unix:/db.sock")
    monkeypatch.setattr(vif, "CONF", SimpleNamespace(os_vif_ovs=plugin))

    def make(status):
        program = tmp_path / "ovs-vsctl"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/args\nexit {status}\n')
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    make.said = lambda: (tmp_path / "args").read_text().strip()
    return make


def test_all_ports_are_waited_for_at_once(ovs_vsctl):
    ovs_vsctl(0)
    assert vif.flows_installed([PORT_A, PORT_B], 3.2)
    mark = "external_ids:ovn-installed=true"
    assert ovs_vsctl.said() == (
        "--db=unix:/db.sock --timeout=4"
        f" -- wait-until Interface tapaaaaaaaa-11 {mark}"
        f" -- wait-until Interface {vif.tap_name(PORT_B)} {mark}"
    )


def test_a_switch_that_does_not_say_is_not_believed(ovs_vsctl, monkeypatch, tmp_path):
    ovs_vsctl(142)
    assert not vif.flows_installed([PORT_A], 1)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert not vif.flows_installed([PORT_A], 1)


@pytest.mark.parametrize("there_before", [False, True])
def test_a_failed_plug_takes_back_only_what_it_made(
    instance, port, privsep, os_vif, interface, there_before
):
    privsep.link_exists.return_value = there_before
    os_vif.plug.side_effect = os_vif_exception.PlugException(vif="x", err="no switch")
    with pytest.raises(exception.NetworkSetupError, match="no switch"):
        vif.plug(instance, port, interface)
    assert privsep.delete_link.called is not there_before


def test_a_failed_unplug_is_told(instance, port, privsep, os_vif):
    privsep.delete_link.side_effect = exception.NetworkSetupError("busy")
    with pytest.raises(exception.NetworkSetupError, match="busy"):
        vif.unplug(instance, port)


def test_a_port_that_was_never_bound_loses_its_veth(instance, privsep, os_vif):
    vif.unplug(instance, nova_vif(PORT_A, kind="binding_failed"))
    os_vif.unplug.assert_not_called()
    privsep.delete_link.assert_called_once_with("tapaaaaaaaa-11")


def dhcp_subnet(cidr, address, **more):
    made = subnet(cidr, None, address, **more)
    made["meta"]["enable_dhcp"] = True
    return made


def test_first_interface_knows_the_way_to_the_metadata_service():
    a = nova_vif(PORT_A, dhcp_subnet("10.0.0.0/24", "10.0.0.7"))
    b = nova_vif(PORT_B, dhcp_subnet("10.1.0.0/24", "10.1.0.7"))
    names = {PORT_A: "eth0", PORT_B: "eth1"}
    routes = [interface.routes for interface in vif.interfaces([a, b], names)]
    assert routes == [(Route(vif.METADATA, ""),), ()]


def test_a_route_to_the_metadata_service_that_neutron_gave_is_kept():
    given = (vif.METADATA, "10.0.0.2")
    a = nova_vif(PORT_A, dhcp_subnet("10.0.0.0/24", "10.0.0.7", routes=[given]))
    (interface,) = vif.interfaces([a], {PORT_A: "eth0"})
    assert interface.routes == (Route(*given),)
