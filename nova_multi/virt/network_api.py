# SPDX-License-Identifier: Apache-2.0
"""Nova's Neutron client with host names mapped to OVN chassis at the boundary.

Nova writes the compute's own host name into port bindings. Where several computes share
one chassis, OVN finds no chassis of that name and the port ends as ``binding_failed``,
mostly in silence. ``ComputeDriver.network_binding_host_id`` covers a first boot and an
attach only; unshelve, evacuate, resize and their ways back do not ask it.

Besides, a boot is told of its ports as soon as they are bound.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from neutronclient.common import exceptions as neutron_exception
from nova.compute import vm_states
from nova.network import constants, model, neutron
from nova.objects import instance_info_cache
from oslo_log import log as logging

from nova_multi.virt.chassis import ChassisMap
from nova_multi.virt.ports import BoundPorts, early_vif

LOG = logging.getLogger(__name__)


class _MappedMigration:
    """A migration whose destination is read as its chassis.

    The migration itself must keep the compute's name: it is saved and compared.
    """

    def __init__(self, migration: Any, dest_compute: str) -> None:
        self._migration = migration
        self.dest_compute = dest_compute

    def __getattr__(self, name: str) -> Any:
        return getattr(self._migration, name)


class _NoDHCPAgents:
    """A client that looks for no agents: OVN answers DHCP itself."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def list_subnets(self, **options: Any) -> Any:
        return self._client.list_subnets(**options)

    @staticmethod
    def list_ports(**_: Any) -> Any:
        return {"ports": []}


class ChassisNetworkAPI(neutron.API):
    """``nova.network.neutron.API`` for computes that share a chassis.

    Methods whose host only ends in a Neutron request are mapped; those that compare it
    with ``instance.host`` first are not, they call the mapped ones.
    """

    def __init__(self, chassis_map: ChassisMap) -> None:
        super().__init__()
        self._map = chassis_map
        #: Whether boots want to be told of their ports early.
        self.tells_boots = False
        self._bound = BoundPorts()
        self._updated = threading.local()

    def allocate_for_instance(
        self,
        context: Any,
        instance: Any,
        requested_networks: Any,
        security_groups: Any = None,
        bind_host_id: str | None = None,
        resource_provider_mapping: Any = None,
        network_arqs: Any = None,
    ) -> Any:
        if bind_host_id:
            bind_host_id = self._map.chassis(bind_host_id)
        with self._bound.allocating(instance.uuid):
            return super().allocate_for_instance(
                context,
                instance,
                requested_networks,
                security_groups=security_groups,
                bind_host_id=bind_host_id,
                resource_provider_mapping=resource_provider_mapping,
                network_arqs=network_arqs,
            )

    def _update_ports_for_instance(
        self,
        context: Any,
        instance: Any,
        neutron: Any,
        admin_client: Any,
        requests_and_created_ports: Any,
        nets: Any,
        bind_host_id: Any,
        requested_ports_dict: Any,
        network_arqs: Any,
    ) -> Any:
        self._updated.ports = []
        done = super()._update_ports_for_instance(
            context,
            instance,
            neutron,
            admin_client,
            requests_and_created_ports,
            nets,
            bind_host_id,
            requested_ports_dict,
            network_arqs,
        )
        if self.tells_boots and instance.vm_state == vm_states.BUILDING:
            # Before Nova goes on, so that what it will know is written last.
            self._tell(context, instance, nets, preexisting=done[2])
        return done

    def _tell(
        self, context: Any, instance: Any, networks: Any, preexisting: Any
    ) -> None:
        """Tell a server's boot of its ports, and Nova's metadata service, too.

        The guest may ask for its metadata before Nova knows all about its network.
        """
        try:
            client = _NoDHCPAgents(neutron.get_client(context, admin=True))
            vifs = [
                early_vif(
                    port,
                    networks[port["network_id"]],
                    self._get_subnets_from_port(context, port, client),
                    preserve=port["id"] in preexisting,
                )
                for port in self._updated.ports
            ]
            self._bound.tell(instance.uuid, vifs)
            cache = instance_info_cache.InstanceInfoCache(
                context, instance_uuid=instance.uuid
            )
            cache.network_info = model.NetworkInfo(vifs)
            cache.save()
        except Exception as error:
            # Nova asks for the same, and its own error is the one that counts.
            LOG.warning("Its addresses come later: %s", error, instance=instance)

    def _update_port(
        self, port_client: Any, instance: Any, port_id: str, port_req_body: Any
    ) -> Any:
        port = super()._update_port(port_client, instance, port_id, port_req_body)
        self._updated.ports.append(port)
        return port

    def bound_ports(self, instance: Any) -> Sequence[Any] | None:
        """A server's ports with their addresses, as soon as they are bound.

        :returns: VIFs; None if Nova is not at it (any more), or they can't be had: then
            its network information tells, or says why not.
        """
        return self._bound.wait(instance.uuid)

    def list_ports(self, context: Any, **search_opts: Any) -> Any:
        host = search_opts.get(constants.BINDING_HOST_ID)
        if host:
            search_opts[constants.BINDING_HOST_ID] = self._map.chassis(host)
        return super().list_ports(context, **search_opts)

    def setup_networks_on_host(
        self,
        context: Any,
        instance: Any,
        host: str | None = None,
        teardown: bool = False,
    ) -> None:
        # A move between siblings is none for Neutron: with a host, Nova would mark the
        # ports as migrating, or delete the one binding that they have.
        if self._map.same(host, instance.host):
            host = None
        super().setup_networks_on_host(context, instance, host=host, teardown=teardown)

    def _setup_migration_port_profile(
        self, context: Any, instance: Any, host: str, admin_client: Any, ports: Any
    ) -> None:
        super()._setup_migration_port_profile(
            context, instance, self._map.chassis(host), admin_client, ports
        )

    def _delete_port_bindings(self, context: Any, ports: Any, host: str) -> None:
        # Nova deletes the bindings of a host that it has left. After a move between
        # siblings that host's chassis is still the present one: keep what is active.
        chassis = self._map.chassis(host)
        client = neutron.get_client(context, admin=True)
        left = [port for port in ports if not self._is_active(client, port, chassis)]
        super()._delete_port_bindings(context, left, chassis)

    @staticmethod
    def _is_active(client: Any, port: Any, chassis: str) -> bool:
        try:
            binding = client.show_port_binding(port["id"], chassis)["binding"]
        except neutron_exception.NeutronClientException as error:
            if error.status_code != 404:
                # Kept rather than lost: a binding too many is only untidy.
                LOG.warning(
                    "The binding of port %s on host %s is kept, because Neutron did "
                    "not say whether it is in use: %s",
                    port["id"],
                    chassis,
                    error,
                )
                return True
            return False
        return bool(binding["status"] == "ACTIVE")

    def bind_ports_to_host(
        self,
        context: Any,
        instance: Any,
        host: str,
        vnic_types: Any = None,
        port_profiles: Any = None,
    ) -> Any:
        return super().bind_ports_to_host(
            context,
            instance,
            self._map.chassis(host),
            vnic_types=vnic_types,
            port_profiles=port_profiles,
        )

    def delete_port_binding(self, context: Any, port_id: str, host: str) -> None:
        chassis = self._map.chassis(host)
        if chassis != host:
            client = neutron.get_client(context, admin=True)
            if self._is_active(client, {"id": port_id}, chassis):
                return
        super().delete_port_binding(context, port_id, chassis)

    def migrate_instance_start(
        self, context: Any, instance: Any, migration: Any
    ) -> None:
        mapped = _MappedMigration(migration, self._map.chassis(migration.dest_compute))
        super().migrate_instance_start(context, instance, mapped)

    def _update_port_binding_for_instance(
        self,
        context: Any,
        instance: Any,
        host: str,
        migration: Any = None,
        provider_mappings: Any = None,
    ) -> None:
        super()._update_port_binding_for_instance(
            context,
            instance,
            self._map.chassis(host),
            migration=migration,
            provider_mappings=provider_mappings,
        )
