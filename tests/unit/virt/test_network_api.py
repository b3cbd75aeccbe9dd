# SPDX-License-Identifier: Apache-2.0
"""Every way in which Nova names a host to Neutron, at Neutron's client."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import oslo_messaging as messaging
import pytest
from keystoneauth1 import exceptions as auth_exceptions
from neutronclient.common import exceptions as neutron_exception
from nova import exception as nova_exception
from nova.network import neutron

from nova_multi.virt import network_api
from nova_multi.virt.chassis import ChassisMap
from nova_multi.virt.network_api import ChassisNetworkAPI

PORT = "aaaaaaaa-1111-4222-8333-444444444444"
HOST, SIBLING, CHASSIS = "node-docker", "node-lxd", "node"
OTHER, OTHER_CHASSIS = "other-docker", "other"
CONTEXT = mock.sentinel.context


class Client:
    """Neutron as far as bindings go: one port with bindings by host."""

    def __init__(self) -> None:
        self.bindings = {CHASSIS: "ACTIVE"}
        self.asked: list[tuple[str, Any]] = []
        self.port: dict[str, Any] = {
            "id": PORT,
            "binding:host_id": CHASSIS,
            "binding:vif_type": "ovs",
            "binding:profile": {},
            "resource_request": None,
        }
        self.away = False

    def show_port_binding(self, port: str, host: str) -> Any:
        if self.away:
            raise neutron_exception.ServiceUnavailable()
        if host not in self.bindings:
            raise neutron_exception.PortNotFoundClient()
        return {"binding": {"host": host, "status": self.bindings[host]}}

    def delete_port_binding(self, port: str, host: str) -> None:
        self.asked.append(("delete", host))
        self.bindings.pop(host, None)

    def create_port_binding(self, port: str, body: Any) -> Any:
        self.asked.append(("create", body["binding"]["host"]))
        return {"binding": body["binding"]}

    def activate_port_binding(self, port: str, host: str) -> None:
        self.asked.append(("activate", host))

    def list_ports(self, **options: Any) -> Any:
        self.asked.append(("list", options.get("binding:host_id")))
        return {"ports": [self.port]}

    def update_port(self, port: str, body: Any) -> Any:
        values = body["port"]
        migrating = values.get("binding:profile", {}).get("migrating_to")
        self.asked.append(("update", values.get("binding:host_id", migrating)))
        return body

    def list_extensions(self, **_: Any) -> Any:
        return {"extensions": [{"alias": "binding-extended", "name": "x"}]}


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    with mock.patch.object(neutron, "get_client", return_value=made):
        yield made


@pytest.fixture
def api(client: Client) -> ChassisNetworkAPI:
    return ChassisNetworkAPI(ChassisMap(suffixes=("-docker", "-lxd")))


def _instance(host: str) -> Any:
    vif = {"id": PORT, "vnic_type": "normal", "profile": {}}
    return types.SimpleNamespace(
        uuid="0b5fbd67-7a4b-4d31-9e54-b52e3ccd4d4d",
        project_id="p",
        host=host,
        availability_zone="nova",
        get_network_info=lambda: [vif],
    )


def _hosts(client: Client, *verbs: str) -> list[str]:
    return [host for verb, host in client.asked if verb in verbs]


def test_allocate() -> None:
    api = ChassisNetworkAPI(ChassisMap(suffixes=("-docker",)))
    with mock.patch.object(neutron.API, "allocate_for_instance") as base:
        api.allocate_for_instance(CONTEXT, mock.Mock(), None, bind_host_id=HOST)
        assert base.call_args.kwargs["bind_host_id"] == CHASSIS
        api.allocate_for_instance(CONTEXT, mock.Mock(), None)
        assert base.call_args.kwargs["bind_host_id"] is None


class Allocating:
    """Nova on its way to a server's network information; the boot asks meanwhile."""

    def __init__(self, api: ChassisNetworkAPI) -> None:
        self.api = api
        api.tells_boots = True
        self.instance = types.SimpleNamespace(
            uuid="0b5fbd67-7a4b-4d31-9e54-b52e3ccd4d4d", vm_state="building"
        )
        self.preexisting: list[str] = []
        self.neutron = mock.Mock()
        self.neutron.update_port.return_value = {
            "port": {
                "id": PORT,
                "network_id": "net",
                "mac_address": "fa:16:3e:00:00:01",
                "binding:vif_type": "ovs",
                "fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.7"}],
            }
        }
        self.neutron.list_subnets.return_value = {
            "subnets": [
                {
                    "id": "s",
                    "network_id": "net",
                    "cidr": "10.0.0.0/24",
                    "gateway_ip": "10.0.0.1",
                    "enable_dhcp": True,
                    "dns_nameservers": ["10.0.0.2"],
                }
            ]
        }
        self.told: Any = None

    def _update(self, *args: Any) -> Any:
        self.api._update_port(self.neutron, self.instance, PORT, {"port": {}})
        return [], [PORT], self.preexisting, []

    def _allocate(self, *args: Any, **kwargs: Any) -> Any:
        networks = {"net": {"mtu": 1342}}
        arguments = (None, self.neutron, [], networks, CHASSIS, {}, None)
        self.api._update_ports_for_instance(CONTEXT, self.instance, *arguments)
        # The boot would wait for what it is never told.
        told = self.api._bound._ports[self.instance.uuid]
        self.told = self.api.bound_ports(self.instance) if told else None
        return self.told

    def run(self) -> Any:
        update, allocate = "_update_ports_for_instance", "allocate_for_instance"
        with (
            mock.patch.object(neutron, "get_client", return_value=self.neutron),
            mock.patch.object(neutron.API, update, side_effect=self._update),
            mock.patch.object(neutron.API, allocate, side_effect=self._allocate),
        ):
            return self.api.allocate_for_instance(CONTEXT, self.instance, None)


@pytest.fixture
def cache() -> Iterator[Any]:
    """Nova's record of a server's network."""
    module = network_api.instance_info_cache
    with mock.patch.object(module, "InstanceInfoCache") as made:
        yield made.return_value


@pytest.fixture
def allocating() -> Allocating:
    return Allocating(ChassisNetworkAPI(ChassisMap(suffixes=("-docker",))))


def test_a_boot_is_told_when_its_ports_are_bound(
    allocating: Allocating, cache: Any
) -> None:
    (vif,) = allocating.run()
    (subnet,) = vif["network"]["subnets"]
    assert (vif["id"], vif["network"].get_meta("mtu")) == (PORT, 1342)
    assert [each["address"] for each in subnet["ips"]] == ["10.0.0.7"]
    assert [each["address"] for each in subnet["dns"]] == ["10.0.0.2"]
    # One request, and what Nova will ask for anyway is left to it.
    assert [name for name, *_ in allocating.neutron.mock_calls] == [
        "update_port",
        "list_subnets",
    ]
    assert list(cache.network_info) == [vif]
    cache.save.assert_called_once_with()
    assert allocating.api.bound_ports(allocating.instance) is None
    assert not vif["preserve_on_delete"]


def test_a_port_of_the_users_own_outlives_the_server(
    allocating: Allocating, cache: Any
) -> None:
    """Nova takes that from what is written here."""
    allocating.preexisting = [PORT]
    (vif,) = allocating.run()
    assert vif["preserve_on_delete"]
    assert list(cache.network_info) == [vif]


def test_attaching_tells_nobody(allocating: Allocating, cache: Any) -> None:
    allocating.instance.vm_state = "active"
    assert allocating.run() is None
    cache.save.assert_not_called()


def test_virtual_machines_wait_for_nova(allocating: Allocating, cache: Any) -> None:
    allocating.api.tells_boots = False
    assert allocating.run() is None
    cache.save.assert_not_called()


@pytest.mark.parametrize(
    "error",
    [
        neutron_exception.ServiceUnavailable(),
        nova_exception.Unauthorized(),
        auth_exceptions.ConnectFailure("away"),
        messaging.MessagingTimeout(),
    ],
)
def test_a_boot_waits_for_nova_where_neutron_does_not_answer(
    allocating: Allocating, cache: Any, error: Exception
) -> None:
    allocating.neutron.list_subnets.side_effect = error
    assert allocating.run() is None


def test_list_ports(api: ChassisNetworkAPI, client: Client) -> None:
    api.list_ports(CONTEXT, **{"binding:host_id": HOST})
    api.list_ports(CONTEXT, device_id="x")
    assert _hosts(client, "list") == [CHASSIS, None]


def test_setup_for_a_sibling_marks_nothing(
    api: ChassisNetworkAPI, client: Client
) -> None:
    api.setup_networks_on_host(CONTEXT, _instance(HOST), SIBLING)
    assert client.asked == []


def test_setup_for_another_node_marks_its_chassis(
    api: ChassisNetworkAPI, client: Client
) -> None:
    api.setup_networks_on_host(CONTEXT, _instance(HOST), OTHER)
    assert client.asked == [("list", CHASSIS), ("update", OTHER_CHASSIS)]


def test_teardown_on_a_sibling_keeps_the_binding(
    api: ChassisNetworkAPI, client: Client
) -> None:
    api.setup_networks_on_host(CONTEXT, _instance(HOST), SIBLING, teardown=True)
    assert client.bindings == {CHASSIS: "ACTIVE"}


def test_teardown_on_another_node_deletes_its_binding(
    api: ChassisNetworkAPI, client: Client
) -> None:
    client.bindings[OTHER_CHASSIS] = "INACTIVE"
    api.setup_networks_on_host(CONTEXT, _instance(HOST), OTHER, teardown=True)
    assert client.bindings == {CHASSIS: "ACTIVE"}


def test_cleanup_keeps_what_is_active(api: ChassisNetworkAPI, client: Client) -> None:
    api.cleanup_instance_network_on_host(CONTEXT, _instance(SIBLING), HOST)
    assert client.bindings == {CHASSIS: "ACTIVE"}


def test_cleanup_keeps_what_neutron_does_not_tell(
    api: ChassisNetworkAPI, client: Client
) -> None:
    client.bindings[OTHER_CHASSIS] = "INACTIVE"
    client.away = True
    api.cleanup_instance_network_on_host(CONTEXT, _instance(HOST), OTHER)
    assert OTHER_CHASSIS in client.bindings


def test_update_binding(api: ChassisNetworkAPI, client: Client) -> None:
    api.setup_instance_network_on_host(CONTEXT, _instance(HOST), SIBLING)
    assert _hosts(client, "update") == []
    api.setup_instance_network_on_host(CONTEXT, _instance(HOST), OTHER)
    assert _hosts(client, "update") == [OTHER_CHASSIS]


def test_bind_and_unbind(api: ChassisNetworkAPI, client: Client) -> None:
    api.bind_ports_to_host(CONTEXT, _instance(HOST), OTHER)
    assert _hosts(client, "create") == [OTHER_CHASSIS]
    client.bindings[OTHER_CHASSIS] = "INACTIVE"
    api.delete_port_binding(CONTEXT, PORT, OTHER)
    api.delete_port_binding(CONTEXT, PORT, SIBLING)
    assert client.bindings == {CHASSIS: "ACTIVE"}


def test_migration_starts_on_the_chassis(
    api: ChassisNetworkAPI, client: Client
) -> None:
    client.bindings[OTHER_CHASSIS] = "INACTIVE"
    migration = types.SimpleNamespace(dest_compute=OTHER, source_compute=HOST)

    api.migrate_instance_start(CONTEXT, _instance(HOST), migration)

    assert _hosts(client, "activate") == [OTHER_CHASSIS]
    # The record of the migration keeps the compute's own name.
    assert migration.dest_compute == OTHER


def test_migration_to_a_sibling_activates_nothing(
    api: ChassisNetworkAPI, client: Client
) -> None:
    migration = types.SimpleNamespace(dest_compute=SIBLING, source_compute=HOST)
    api.migrate_instance_start(CONTEXT, _instance(HOST), migration)
    assert client.asked == []
