# SPDX-License-Identifier: Apache-2.0
"""What the driver does not do yet is refused, and the server stays as it is."""

from __future__ import annotations

from typing import Any

from nova.tests import fixtures as nova_fixtures
from nova.tests.functional.api import client

from nova_multi.virt.engine import GuestState
from tests.functional import base


class RefusalTest(base.ContainerCloud):
    hosts = (base.HOST, base.SIBLING)

    def setUp(self) -> None:
        super().setUp()
        self.server = self.boot()
        self.engine = self.engine_of(self.server["OS-EXT-SRV-ATTR:host"])
        self.usage_before = [self.usage(host) for host in self.hosts]

    def _assert_refused(self, action: str, arguments: Any = None) -> None:
        try:
            self.act(self.server, action, arguments)
        except client.OpenStackApiException as error:
            self.assertLess(error.response.status_code, 600)
        server = self.wait(self.server)

        self.assertEqual("ACTIVE", server["status"])
        self.assertEqual(GuestState.RUNNING, self.guest_state(server))
        self.assertEqual(1, len(self.host_network.ports))
        self.assertEqual(self.usage_before, [self.usage(h) for h in self.hosts])
        # It is as good as before.
        self._reboot_server(server, hard=True)
        self._delete_server(server)
        self.assert_nothing_left()

    def test_suspend(self) -> None:
        self._assert_refused("suspend")

    def test_rescue(self) -> None:
        self._assert_refused("rescue")

    def test_migrate(self) -> None:
        self._assert_refused("migrate")

    def test_resize(self) -> None:
        bigger = self._create_flavor(memory_mb=512, vcpu=1, disk=1, ephemeral=0)
        self._assert_refused("resize", {"flavorRef": bigger})

    def test_live_migrate(self) -> None:
        arguments = {"host": None, "block_migration": "auto"}
        self._assert_refused("os-migrateLive", arguments)

    def test_change_password(self) -> None:
        self._assert_refused("changePassword", {"adminPass": "secret"})

    def test_trigger_crash_dump(self) -> None:
        self._assert_refused("trigger_crash_dump")

    def test_console(self) -> None:
        body = {"remote_console": {"protocol": "serial", "type": "serial"}}
        with self.assertRaises(client.OpenStackApiException):
            self.api.api_post(f"/servers/{self.server['id']}/remote-consoles", body)
        self.assertEqual(GuestState.RUNNING, self.guest_state(self.server))

    def test_diagnostics(self) -> None:
        with self.assertRaises(client.OpenStackApiException):
            self.api.api_get(f"/servers/{self.server['id']}/diagnostics")
        self.assertEqual(GuestState.RUNNING, self.guest_state(self.server))

    def test_attach_volume(self) -> None:
        volume = nova_fixtures.CinderFixture.IMAGE_BACKED_VOL
        self.api.post_server_volume(
            self.server["id"], {"volumeAttachment": {"volumeId": volume}}
        )
        # Its end is the compute's; the API has said yes long before.
        self._wait_for_action_fail_completion(
            self.server, "attach_volume", "compute_attach_volume"
        )
        self.wait(
            self.server,
            status="ACTIVE",
            **{"os-extended-volumes:volumes_attached": []},
        )
        self.assertEqual(GuestState.RUNNING, self.guest_state(self.server))
