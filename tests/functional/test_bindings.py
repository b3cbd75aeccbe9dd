# SPDX-License-Identifier: Apache-2.0
"""Ports are bound to the node's chassis, whichever way Nova takes."""

from __future__ import annotations

from nova import context as nova_context

from tests.functional import base


class BindingTest(base.ContainerCloud):
    hosts = (base.HOST, base.SIBLING)

    def assert_bound(self) -> None:
        """Every binding that was ever asked for was for the chassis."""
        asked = {host for hosts in self.neutron.hosts.values() for host in hosts}
        self.assertEqual({base.CHASSIS}, asked)
        self.assertEqual({base.CHASSIS}, self.neutron.bound_to)

    def test_boot_on_either_sibling(self) -> None:
        for host in self.hosts:
            server = self.boot(host=host)
            self.assertEqual(host, server["OS-EXT-SRV-ATTR:host"])
        self.assert_bound()

    def test_attach(self) -> None:
        server = self.boot(networks="none")
        self._attach_interface(server, self.neutron.port_1["id"])
        self.assert_bound()

    def test_rebuild(self) -> None:
        server = self.boot()
        self._rebuild_server(server, self.add_image())
        self.assert_bound()

    def test_unshelve(self) -> None:
        self.flags(shelved_offload_time=0)
        server = self.boot()
        self._shelve_server(server)
        self._unshelve_server(server)
        self.assert_bound()

    def test_heal(self) -> None:
        server = self.boot()
        manager = self.computes[server["OS-EXT-SRV-ATTR:host"]].manager
        before = len(self.neutron.hosts)

        manager._heal_instance_info_cache(nova_context.get_admin_context())

        self.assertEqual(before, len(self.neutron.hosts))
        self.assert_bound()

    def test_broken_binding_is_healed(self) -> None:
        server = self.boot()
        (port,) = self.neutron.hosts
        self.neutron.update_port(port, {"port": {"binding:host_id": base.HOST}})
        manager = self.computes[server["OS-EXT-SRV-ATTR:host"]].manager

        manager._heal_instance_info_cache(nova_context.get_admin_context())

        self.assertEqual(base.CHASSIS, self.neutron.hosts[port][-1])
        self.assertEqual(base.CHASSIS, self.neutron.active_host(port))
