# SPDX-License-Identifier: Apache-2.0
"""Nova's ComputeManager with what several computes on one node need.

It is named in ``nova.service.SERVICE_MANAGERS`` by :mod:`nova_multi.cmd.compute`.
"""

from __future__ import annotations

from typing import Any

import nova.conf
from nova.compute import build_results
from nova.network import constants
from nova.network import model as network_model
from oslo_log import log as logging

from nova_multi.conf import network as network_conf
from nova_multi.virt import refusals
from nova_multi.virt.chassis import ChassisMap
from nova_multi.virt.driver import ContainerDriver
from nova_multi.virt.network_api import ChassisNetworkAPI

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

_BROKEN_VIF_TYPES = (
    network_model.VIF_TYPE_UNBOUND,
    network_model.VIF_TYPE_BINDING_FAILED,
)


class ComputeManager(refusals.Refusals):
    """ComputeManager whose ports are bound to the node's OVN chassis."""

    def __init__(self, compute_driver: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(compute_driver, *args, **kwargs)
        network_conf.register_opts(CONF)
        self._chassis_map = ChassisMap(
            suffixes=tuple(CONF.nova_multi.chassis_suffixes),
            overrides=CONF.nova_multi.chassis_hosts,
        )
        self.network_api = ChassisNetworkAPI(self._chassis_map)
        if isinstance(self.driver, ContainerDriver):
            self.driver.bound_ports = self.network_api.bound_ports
            self.network_api.tells_boots = True
        LOG.info(
            "Ports of host %s are bound to OVN chassis %s",
            self.host,
            self._chassis_map.chassis(self.host),
        )

    def _require_nw_info_update(self, context: Any, instance: Any) -> bool:
        """Whether a port of the instance is bound elsewhere or not at all.

        As Nova's, but against the chassis: it would otherwise find every port of ours
        on the wrong host. (``_heal_instance_info_cache``, which asks, can't be
        overridden: the periodic task keeps the function of the base class.)
        """
        if self.driver.manages_network_binding_host_id():
            return False
        ports = self.network_api.list_ports(
            context,
            device_id=instance.uuid,
            fields=[constants.BINDING_HOST_ID, "binding:vif_type"],
        )["ports"]
        chassis = self._chassis_map.chassis(self.host)
        return any(
            port.get(constants.BINDING_HOST_ID) != chassis
            or port.get("binding:vif_type") in _BROKEN_VIF_TYPES
            for port in ports
        )

    def _do_build_and_run_instance(
        self,
        context: Any,
        instance: Any,
        image: Any,
        request_spec: Any,
        filter_properties: Any,
        admin_password: Any,
        injected_files: Any,
        requested_networks: Any,
        security_groups: Any,
        block_device_mapping: Any,
        node: Any = None,
        limits: Any = None,
        host_list: Any = None,
        accel_uuids: Any = None,
    ) -> Any:
        """Build; where no other host is left to try, say why it failed here.

        Nova would hand the server back to the conductor, which has no host either and
        replaces this host's reason by "exhausted all hosts". And Nova deletes the
        allocation of every build that fails except one that a policy refused, which
        keeps the room taken until somebody deletes the server.
        """
        if host_list is not None and not host_list:
            filter_properties = {**(filter_properties or {}), "retry": None}
        result = super()._do_build_and_run_instance(
            context,
            instance,
            image,
            request_spec,
            filter_properties,
            admin_password,
            injected_files,
            requested_networks,
            security_groups,
            block_device_mapping,
            node=node,
            limits=limits,
            host_list=host_list,
            accel_uuids=accel_uuids,
        )
        if result == build_results.FAILED_BY_POLICY:
            self.reportclient.delete_allocation_for_instance(
                context, instance.uuid, force=True
            )
        return result
