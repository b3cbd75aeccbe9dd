# SPDX-License-Identifier: Apache-2.0
"""Each step of a boot fails in turn: nothing is left, and the user is told why."""

from __future__ import annotations

from os_vif import exception as os_vif_exception

from nova_multi import exception
from tests.functional import base

#: Steps of a boot that end in a call of the engine, by that call.
ENGINE_STEPS = {
    "import_image": "image",
    "create": "create",
    "prepare": "prepare",
    "connect": "connect",
    "start": "start",
}


class LastHostTest(base.ContainerCloud):
    """There is no other host: the server ends in ERROR."""

    def _assert_fails(self, step: str, evidence: str) -> None:
        server = self.boot("ERROR")

        fault = self.fault(server)
        self.assertIn(f"'{step}'", fault)
        self.assertIn(evidence, fault)
        self.assertIn(base.HOST, fault)
        self.assert_nothing_left()
        self._delete_server(server)
        # And the host is as good as before.
        self._delete_server(self.boot())
        self.assert_nothing_left()

    def _assert_engine_step(self, method: str, *, after: bool) -> None:
        error = exception.EngineError("engine says: no cgroup", engine="fake")
        self.engine.fail(method, error, after=after)
        self._assert_fails(ENGINE_STEPS[method], "no cgroup")

    def test_import_fails(self) -> None:
        self._assert_engine_step("import_image", after=False)

    def test_create_fails(self) -> None:
        self._assert_engine_step("create", after=False)

    def test_create_answer_is_lost(self) -> None:
        self._assert_engine_step("create", after=True)

    def test_prepare_fails(self) -> None:
        self._assert_engine_step("prepare", after=False)

    def test_prepare_answer_is_lost(self) -> None:
        self._assert_engine_step("prepare", after=True)

    def test_connect_fails(self) -> None:
        self._assert_engine_step("connect", after=False)

    def test_connect_answer_is_lost(self) -> None:
        self._assert_engine_step("connect", after=True)

    def test_start_fails(self) -> None:
        self._assert_engine_step("start", after=False)

    def test_start_answer_is_lost(self) -> None:
        self._assert_engine_step("start", after=True)

    def test_engine_never_answers(self) -> None:
        gate = self.engine.hang("create")
        self.addCleanup(gate.release)
        self._assert_fails("create", "no answer within")

    def test_veth_can_not_be_made(self) -> None:
        self.host_network.fail(
            "create_veth", exception.NetworkSetupError("ip: Operation not permitted")
        )
        self._assert_fails("plug", "Operation not permitted")

    def test_switch_refuses_the_port(self) -> None:
        self.host_network.fail(
            "plug", os_vif_exception.PlugException(vif="tap", err="no br-int")
        )
        self._assert_fails("plug", "no br-int")

    def test_undo_fails_too(self) -> None:
        self.engine.fail("start", exception.EngineError("no cgroup"))
        self.engine.fail("remove", exception.EngineTimeout("busy"))

        server = self.boot("ERROR")

        self.assertIn("no cgroup", self.fault(server))
        # Nova cleans up after the driver once more, and that time it works.
        self.assert_nothing_left()


class RefusalTest(base.ContainerCloud):
    """What no host would do is refused with the reason, and not tried elsewhere."""

    hosts = (base.HOST, base.SIBLING)

    def _assert_refused(self, image: str, reason: str) -> None:
        server = self.boot("ERROR", image_uuid=image)

        self.assertIn(reason, self.fault(server))
        created = [self.engine_of(host).called()["create"] for host in self.hosts]
        self.assertEqual([0, 0], created)
        self.assert_nothing_left()

    def test_image_for_another_hypervisor(self) -> None:
        image = self.add_image()
        del self.glance.images[image]["properties"]["img_hv_type"]
        self._assert_refused(image, "img_hv_type")

    def test_image_in_another_format(self) -> None:
        image = self.add_image()
        self.glance.images[image]["disk_format"] = "qcow2"
        self._assert_refused(image, "qcow2")

    def test_image_that_is_not_what_glance_recorded(self) -> None:
        image = self.add_image()
        self.glance._imagedata[image] += b"x"
        self._assert_refused(image, "Glance recorded")

    def test_image_that_the_engine_rejects(self) -> None:
        for host in self.hosts:
            self.engine_of(host).fail(
                "import_image", exception.ImageRejected("a device node: /dev/sda")
            )
        self._assert_refused(self.image, "a device node")


class RescheduleTest(base.ContainerCloud):
    """There is another host: the server ends up there."""

    hosts = (base.HOST, base.SIBLING)

    def _assert_moves_on(self, method: str) -> None:
        # Which host comes first is the scheduler's choice: break the one that does.
        faults = [(method, exception.EngineError("disk full"))]
        for host in self.hosts:
            self.engine_of(host).shared_faults = faults

        server = self.boot()

        there = server["OS-EXT-SRV-ATTR:host"]
        (first,) = set(self.hosts) - {there}
        self.assertEqual([], faults)
        self.assertEqual(1, self.engine_of(first).called()[method])
        self.assertEqual([], list(self.engine_of(first).guests()))
        self.assertEqual(0, self.usage(first)["VCPU"])
        self.assertEqual(1, self.usage(there)["VCPU"])
        self.assertEqual({base.CHASSIS}, self.neutron.bound_to)
        self._delete_server(server)
        self.assert_nothing_left()

    def test_import_fails(self) -> None:
        self._assert_moves_on("import_image")

    def test_create_fails(self) -> None:
        self._assert_moves_on("create")

    def test_connect_fails(self) -> None:
        self._assert_moves_on("connect")

    def test_start_fails(self) -> None:
        self._assert_moves_on("start")
