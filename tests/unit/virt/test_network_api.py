# SPDX-License-Identifier: Apache-2.0
"""Every way in which Nova names a host to Neutron, at Neutron's client."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from neutronclient.common import exceptions as neutron_exception
from nova.network import neutron

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


def test_a_boot_is_told_when_its_ports_are_bound() -> None:
    api = ChassisNetworkAPI(ChassisMap(suffixes=("-docker",)))
    instance = types.SimpleNamespace(uuid="0b5fbd67-7a4b-4d31-9e54-b52e3ccd4d4d")
    port = {"id": PORT, "network_id": "net", "mac_address": "fa:16:3e:00:00:01"}
    port["binding:vif_type"] = "ovs"
    client = mock.Mock()
    client.update_port.return_value = {"port": port}

    def update(*args: Any) -> str:
        api._update_port(client, instance, PORT, {"port": {}})
        return "done"

    def allocate(*args: Any, **kwargs: Any) -> Any:
        networks = {"net": {"mtu": 1342}}
        arguments = (None, client, [], networks, CHASSIS, {}, None)
        return api._update_ports_for_instance(CONTEXT, instance, *arguments)

    with (
        mock.patch.object(
            neutron.API, "_update_ports_for_instance", side_effect=update
        ),
        mock.patch.object(neutron.API, "allocate_for_instance", side_effect=allocate),
        mock.patch.object(api.bound, "tell", wraps=api.bound.tell) as tell,
    ):
        assert api.allocate_for_instance(CONTEXT, instance, None) == "done"
    uuid, (vif,) = tell.call_args.args
    assert (uuid, vif["id"], vif["network"].get_meta("mtu")) == (
        instance.uuid,
        PORT,
        1342,
    )
    assert api.bound.wait(instance.uuid) is None


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
