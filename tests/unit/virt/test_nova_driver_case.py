# SPDX-License-Identifier: Apache-2.0
"""Nova's own test case for drivers, run on the container driver.

It lets a driver pass that does not implement a method; which those are is held here, so
that a method can't get lost unseen.
"""

from __future__ import annotations

import pathlib
import re
from typing import Any

import fixtures
from nova import test
from nova.tests.unit.virt import test_virt_drivers

from nova_multi.virt.engine import ImageFacts
from tests.fixtures import container_driver, fake_engine, probe
from tests.fixtures.nova_case import NovaCase

#: Methods that the driver has not got (yet); see the support matrix.
NOT_IMPLEMENTED = {
    "active_migrations",
    "attach_volume",
    "block_stats",
    "detach_volume",
    "get_device_name_for_instance",
    "get_diagnostics",
    "get_host_cpu_stats",
    "get_instance_diagnostics",
    "get_instance_disk_info",
    "get_mks_console",
    "get_serial_console",
    "get_spice_console",
    "get_vnc_console",
    "get_volume_connector",
    "host_power_action",
    "live_migration",
    "live_migration_abort",
    "live_migration_force_complete",
    "migrate_disk_and_power_off",
    "poll_rebooting_instances",
    "rescue",
    "restore",
    "resume",
    "set_admin_password",
    "set_host_enabled",
    "soft_delete",
    "suspend",
    "swap_volume",
    "trigger_crash_dump",
    "unrescue",
}


class ContainerDriverTest(
    NovaCase, test_virt_drivers._VirtDriverTestCase, test.TestCase
):
    driver_module = f"{container_driver.__name__}.FakeContainerDriver"

    def setUp(self) -> None:
        container_driver.FakeContainerDriver.engines.clear()
        super().setUp()
        self.useFixture(container_driver.machine())
        self.useFixture(container_driver.HostNetwork())
        glance = self.useFixture(container_driver.Glance(self))
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / "image"
        facts = ImageFacts(shell=True, cloud_init=False, command=probe.STAY)
        fake_engine.write_image(path, facts)
        # The instances of this case name an image of Nova's; let it be one of ours.
        for image in glance.images:
            glance.fill(image, path)
        self.image_service = glance

    def tearDown(self) -> None:
        said = self.stdlog.logger.output
        super().tearDown()
        missing = set(re.findall(r"does not implement (\w+) required", said))
        self.assertEqual(set(), missing - NOT_IMPLEMENTED)

    def _driver_has(self, method: str) -> bool:
        return method in vars(type(self.connection).__mro__[1])

    def test_list_of_what_is_missing_is_true(self) -> None:
        """What is implemented by now is struck from the list."""
        self.assertEqual(set(), {m for m in NOT_IMPLEMENTED if self._driver_has(m)})

    def test_snapshot_not_running(self) -> None:
        self.skipTest("A container that is not running can be exported as well")

    def test_live_migration(self) -> None:
        self.skipTest("Not implemented, and this one test of Nova's minds")

    def test_live_migration_force_complete(self) -> None:
        self.skipTest("Needs an attribute of Nova's FakeDriver")

    def test_get_console_output(self) -> None:
        # Bytes, as libvirt's: Nova's manager decodes them. Its test wants text.
        instance, _ = self._get_running_instance()
        output = self.connection.get_console_output(self.ctxt, instance)
        self.assertIn(b"probe", output)

    def test_power_on_leaves_a_running_guest_alone(self) -> None:
        instance, network_info = self._get_running_instance()
        engine = self.connection.engine

        self.connection.power_on(self.ctxt, instance, network_info)

        console = engine.console(instance.uuid, 100_000)
        self.assertEqual(1, len(probe.reports(console)))

    def _get_running_instance(self, obj: bool = True) -> Any:
        # Always an object, as the manager hands it on in this release.
        return super()._get_running_instance(obj=True)
