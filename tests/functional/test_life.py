# SPDX-License-Identifier: Apache-2.0
"""A server's life through the API: each verb does what it says, in the engine too."""

from __future__ import annotations

import base64
import pathlib

import nova.conf
from nova.compute import power_state

from nova_multi import exception
from nova_multi.virt import userdata
from nova_multi.virt.engine import GuestState
from tests.fixtures import probe
from tests.functional import base

CONF = nova.conf.CONF


class LifeTest(base.ContainerCloud):
    def test_boot_and_delete(self) -> None:
        server = self.boot()

        self.assertEqual(base.HOST, server["OS-EXT-SRV-ATTR:host"])
        self.assertEqual(power_state.RUNNING, server["OS-EXT-STS:power_state"])
        self.assertEqual(GuestState.RUNNING, self.guest_state(server))
        self.assertEqual(1, len(self.host_network.ports))
        self.assertEqual({"VCPU": 1, "MEMORY_MB": 256, "DISK_GB": 1}, self.usage())
        spec = self.engine.spec(server["id"])
        self.assertEqual((1, 256, 1), (spec.vcpus, spec.memory_mb, spec.disk_gb))
        self.assertEqual(server["OS-EXT-SRV-ATTR:instance_name"], spec.name)
        self.assertEqual(server["OS-EXT-SRV-ATTR:hostname"], spec.hostname)

        self._delete_server(server)

        self.assert_nothing_left()

    def test_boot_without_network(self) -> None:
        server = self.boot(networks="none")

        self.assertEqual([], self.engine.interfaces(server["id"]))
        self._delete_server(server)
        self.assert_nothing_left()

    def test_image_is_imported_once(self) -> None:
        first, second = self.boot(), self.boot()

        self.assertEqual(1, self.engine.called()["import_image"])
        self._delete_server(first)
        self._delete_server(second)
        self.assert_nothing_left()

    def test_stop_and_start(self) -> None:
        server = self.boot()

        self._stop_server(server)
        self.assertEqual(GuestState.STOPPED, self.guest_state(server))
        self._start_server(server)

        self.assertEqual(GuestState.RUNNING, self.guest_state(server))
        self.assertEqual(1, len(self.engine.interfaces(server["id"])))

    def test_reboot_soft_restarts_in_place(self) -> None:
        server = self.boot()
        connects = self.engine.called()["connect"]

        self._reboot_server(server)

        self.assertEqual(1, self.engine.called()["restart"])
        self.assertEqual(connects, self.engine.called()["connect"])
        self.assertEqual(GuestState.RUNNING, self.guest_state(server))

    def test_reboot_hard_makes_the_network_anew(self) -> None:
        server = self.boot()
        connects = self.engine.called()["connect"]

        self._reboot_server(server, hard=True)

        self.assertEqual(connects + 1, self.engine.called()["connect"])
        self.assertEqual(GuestState.RUNNING, self.guest_state(server))

    def test_pause_and_unpause(self) -> None:
        server = self.boot()

        self.act(server, "pause")
        self.wait(server, status="PAUSED")
        self.assertEqual(GuestState.PAUSED, self.guest_state(server))
        self.act(server, "unpause")
        self.wait(server, status="ACTIVE")

        self.assertEqual(GuestState.RUNNING, self.guest_state(server))

    def test_console_output(self) -> None:
        server = self.boot()

        answer = self.api.post_server_action(
            server["id"], {"os-getConsoleOutput": {"length": 3}}
        )

        self.assertIn("probe", answer["output"])
        self.assertLessEqual(answer["output"].count("\n"), 3)

    def test_rebuild_with_another_image(self) -> None:
        server = self.boot()
        other = self.add_image()

        self._rebuild_server(server, other)

        self.assertEqual(other, self.engine.spec(server["id"]).image.image_id)
        self.assertEqual(GuestState.RUNNING, self.guest_state(server))
        self.assertEqual(1, len(self.host_network.ports))
        self._delete_server(server)
        self.assert_nothing_left()

    def test_snapshot_boots_again(self) -> None:
        server = self.boot()

        self._snapshot_server(server, "copy")
        self.wait(server, status="ACTIVE")

        (image,) = [i for i in self.glance.images.values() if i["name"] == "copy"]
        self.assertEqual("active", image["status"])
        self.assertEqual("docker", image["properties"]["img_hv_type"])
        again = self.boot(image_uuid=image["id"])
        self.assertEqual(GuestState.RUNNING, self.guest_state(again))

    def test_interface_is_attached_and_detached(self) -> None:
        server = self.boot()
        port = self.neutron.port_1["id"]

        self._attach_interface(server, port)
        names = {i.port_id: i.name for i in self.engine.interfaces(server["id"])}
        self.assertEqual("eth1", names[port])
        self.assertIn(port, self.host_network.ports)
        self._stop_server(server)
        self._start_server(server)
        self.assertEqual(2, len(self.engine.interfaces(server["id"])))

        self._detach_interface(server, port)

        self.assertEqual(1, len(self.engine.interfaces(server["id"])))
        self.assertNotIn(port, self.host_network.ports)
        self._delete_server(server)
        self.assert_nothing_left()

    def test_config_drive(self) -> None:
        server = self.boot(config_drive=True)

        folder = pathlib.Path(CONF.instances_path) / server["id"]
        (metadata,) = folder.glob("**/openstack/latest/meta_data.json")
        self.assertIn(server["id"], metadata.read_text())
        self.assertTrue(self.engine.spec(server["id"]).mounts)
        self._delete_server(server)
        self.assert_nothing_left()

    def test_user_data_runs_before_the_command(self) -> None:
        script = base64.b64encode(b"#!/bin/sh\necho hello\n").decode()
        server = self.boot(user_data=script)

        spec = self.engine.spec(server["id"])
        self.assertTrue(spec.bootstrap)
        (mount,) = spec.mounts
        self.assertTrue(mount.read_only)
        self.assertTrue((pathlib.Path(mount.source) / userdata.BOOTSTRAP).exists())
        self._delete_server(server)
        self.assert_nothing_left()

    def test_cloud_config_without_cloud_init_is_refused(self) -> None:
        config = base64.b64encode(b"#cloud-config\npackages: [vim]\n").decode()

        server = self.boot("ERROR", user_data=config)

        self.assertIn("cloud-init", self.fault(server))
        self.assert_nothing_left()

    def test_guest_that_ended_by_itself_is_seen_as_stopped(self) -> None:
        server = self.boot()
        self.engine.kill_guest(server["id"])
        self.flags(sync_power_state_interval=1)
        manager = self.computes[base.HOST].manager

        manager._sync_power_states(nova_context())

        self.wait(server, status="SHUTOFF")
        self._start_server(server)

    def test_server_is_deleted_in_every_state(self) -> None:
        for prepare in ("os-stop", "pause", None):
            server = self.boot()
            if prepare:
                self.act(server, prepare)
                self.wait(server)
            self._delete_server(server)
        self.assert_nothing_left()

    def test_hypervisor_is_listed(self) -> None:
        (listed,) = self.admin_api.api_get("/os-hypervisors/detail").body["hypervisors"]

        self.assertEqual("docker", listed["hypervisor_type"])
        self.assertEqual(base.HOST, listed["hypervisor_hostname"])
        self.assertIn("load average", listed["uptime"])
        provider = self._get_provider_uuid_by_host(base.HOST)
        traits = self._get_provider_traits(provider)
        self.assertIn("CUSTOM_HYPERVISOR_DOCKER", traits)

    def test_stop_that_the_engine_refuses(self) -> None:
        server = self.boot()
        self.engine.fail("stop", exception.EngineError("no", engine="fake"))

        self.act(server, "os-stop")
        self.wait(server)

        self.assertEqual(GuestState.RUNNING, self.guest_state(server))
        self._delete_server(server)
        self.assert_nothing_left()

    def test_compute_starts_again_and_finds_its_guests(self) -> None:
        server = self.boot()

        self.computes[base.HOST] = self.restart_compute_service(
            self.computes[base.HOST], keep_hypervisor_state=False
        )

        self.assertEqual(GuestState.RUNNING, self.guest_state(server))
        self._reboot_server(server)
        self._delete_server(server)
        self.assert_nothing_left()

    def test_engine_restarted_with_the_machine(self) -> None:
        self.flags(resume_guests_state_on_host_boot=True)
        server = self.boot()
        self.computes[base.HOST].stop()
        self.engine.restart_daemon()

        self.computes[base.HOST] = self.restart_compute_service(
            self.computes[base.HOST], keep_hypervisor_state=False
        )

        self.wait(server, status="ACTIVE")
        self.assertEqual(GuestState.RUNNING, self.guest_state(server))
        self.assertTrue(probe.reports(self.engine.console(server["id"], 10_000)))


def nova_context() -> object:
    """An administrator's context, as periodic tasks get it."""
    from nova import context

    return context.get_admin_context()
