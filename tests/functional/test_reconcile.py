# SPDX-License-Identifier: Apache-2.0
"""The compute service is killed, or down while its servers are deleted."""

from __future__ import annotations

import os
import pathlib
import shutil
import time
import uuid as uuid_module
from collections.abc import Callable
from typing import Any
from unittest import mock

import nova.conf
from nova import context as nova_context
from nova import objects

from nova_multi import exception
from nova_multi.virt import spawn
from nova_multi.virt.engine import LABEL_HOST, ContainerSpec, GuestState
from tests.functional import base

CONF = nova.conf.CONF

#: Calls before which a boot is killed: of the machine's network, else of the engine.
NETWORK_CALLS = ("create_veth", "plug")
SECONDS = 20


class Killed(BaseException):
    """Caught by nobody, as little as SIGKILL."""


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class ReconcileCase(base.ContainerCloud):
    """Services that can be killed, stopped and started again."""

    def stop(self, host: str = base.HOST) -> None:
        """Stop a service; the API then deletes its servers in the database alone."""
        self.computes[host].stop()
        self._set_down(host, True)

    def start(self, host: str = base.HOST) -> None:
        self._set_down(host, False)
        self.computes[host] = self.restart_compute_service(
            self.computes[host], keep_hypervisor_state=False
        )

    @staticmethod
    def _set_down(host: str, down: bool) -> None:
        context = nova_context.get_admin_context()
        service = objects.Service.get_by_compute_host(context, host)
        service.forced_down = down
        service.save()

    def boot_killed(self, point: str) -> Any:
        """A server whose boot ended before this call, with nothing undone."""
        with (
            mock.patch("nova_multi.virt.spawn.Steps.undo"),
            mock.patch("nova.compute.claims.Claim.abort"),
        ):
            if point in NETWORK_CALLS:
                self.host_network.fail(point, Killed())  # type: ignore[arg-type]
                faults: Any = self.host_network._failures
            else:
                self.engine.fail(point, Killed())  # type: ignore[arg-type]
                faults = self.engine._faults
            server = self.request()
            wait_until(lambda: point not in faults)
            # The rest of Nova's own work with what it was told.
            time.sleep(0.3)
        return server

    def folder(self, server: Any) -> pathlib.Path:
        return pathlib.Path(CONF.instances_path) / server["id"]


class KilledTest(ReconcileCase):
    """SIGKILL between the steps of a boot."""

    def _assert_can_be_deleted(self, point: str) -> None:
        server = self.boot_killed(point)
        self.start()
        api, uuid = self.admin_api, server["id"]
        wait_until(lambda: api.get_server(uuid)["status"] == "ERROR")
        self._delete_server(api.get_server(uuid))
        self.assert_nothing_left()

    def _assert_deleted_meanwhile(self, point: str) -> None:
        server = self.boot_killed(point)
        self.stop()
        self._delete_server(server)
        self.start()
        self.assert_nothing_left()

    def test_between_create_and_prepare(self) -> None:
        self._assert_can_be_deleted("prepare")

    def test_between_veth_and_switch(self) -> None:
        self._assert_can_be_deleted("plug")

    def test_before_the_start(self) -> None:
        self._assert_can_be_deleted("start")

    def test_deleted_after_a_kill_between_folder_and_create(self) -> None:
        self._assert_deleted_meanwhile("create")

    def test_deleted_after_a_kill_between_create_and_prepare(self) -> None:
        self._assert_deleted_meanwhile("prepare")

    def test_deleted_after_a_kill_between_prepare_and_veth(self) -> None:
        self._assert_deleted_meanwhile("create_veth")

    def test_deleted_after_a_kill_between_veth_and_switch(self) -> None:
        self._assert_deleted_meanwhile("plug")

    def test_deleted_after_a_kill_between_switch_and_connect(self) -> None:
        self._assert_deleted_meanwhile("connect")

    def test_deleted_after_a_kill_before_the_start(self) -> None:
        self._assert_deleted_meanwhile("start")


class LocalDeleteTest(ReconcileCase):
    """Servers are deleted while their compute service is down."""

    hosts = (base.HOST, base.SIBLING)

    def test_nothing_of_it_is_left(self) -> None:
        server = self.boot(host=base.HOST, config_drive=True)
        self.stop()
        self._delete_server(server)
        self.assertEqual(GuestState.RUNNING, self.guest_state(server))
        self.assertEqual(1, len(self.host_network.ports))

        self.start()

        self.assert_nothing_left()

    def test_other_servers_are_left_alone(self) -> None:
        kept = self.boot(host=base.HOST)
        stopped = self.boot(host=base.HOST)
        self._stop_server(stopped)
        siblings = self.boot(host=base.SIBLING)
        deleted = self.boot(host=base.HOST)
        self.stop()
        self._delete_server(deleted)

        self.start()

        self.assertEqual(GuestState.RUNNING, self.guest_state(kept))
        self.assertEqual(GuestState.STOPPED, self.guest_state(stopped))
        self.assertTrue(self.folder(stopped).is_dir())
        sibling = self.engine_of(base.SIBLING)
        self.assertEqual(GuestState.RUNNING, sibling.guest(siblings["id"]).state)
        self.assertEqual(3, len(self.host_network.ports))

    def test_a_siblings_remains_are_the_siblings_to_remove(self) -> None:
        server = self.boot(host=base.SIBLING)
        self.stop(base.SIBLING)
        self._delete_server(server)

        self.start(base.HOST)
        self.assertEqual(1, len(self.host_network.ports))
        self.start(base.SIBLING)

        self.assert_nothing_left()

    def test_a_server_in_doubt_keeps_what_it_has(self) -> None:
        server = self.boot(host=base.HOST)
        unknown = str(uuid_module.uuid4())
        self._make_guest(unknown, like=server)
        folder = pathlib.Path(CONF.instances_path) / unknown
        folder.mkdir()
        self.engine.foreign["somebody-elses"] = True
        moved = self._move_in_the_database(self.boot(host=base.HOST))

        self.start()

        for uuid in (server["id"], unknown, moved):
            self.assertIn(uuid, self.engine.owners())
        self.assertTrue(folder.is_dir())
        self.assertEqual({"somebody-elses": True}, self.engine.foreign)
        self.assertEqual(2, len(self.host_network.ports))

    def _make_guest(self, uuid: str, like: Any) -> None:
        spec = self.engine.spec(like["id"])
        changed: dict[str, Any] = {
            field: getattr(spec, field) for field in ContainerSpec.__dataclass_fields__
        }
        changed |= {"uuid": uuid, "name": "unknown", "labels": {LABEL_HOST: base.HOST}}
        self.engine.create(ContainerSpec(**changed))

    @staticmethod
    def _move_in_the_database(server: Any) -> str:
        context = nova_context.get_admin_context()
        instance = objects.Instance.get_by_uuid(context, server["id"])
        instance.host = base.SIBLING
        instance.save()
        return str(instance.uuid)

    def test_a_port_that_was_given_to_another_server(self) -> None:
        port = self.neutron.port_1["id"]
        networks = [{"port": port}]
        deleted = self.boot(host=base.HOST, networks=networks)
        self.stop()
        self._delete_server(deleted)
        other = self.boot(host=base.SIBLING, networks=networks)

        self.start()

        self.assertEqual([], list(self.engine.guests()))
        self.assertEqual(other["id"], self.host_network.owners[port])
        self.assertIn(port, self.host_network.ports)

    def test_a_port_whose_server_has_no_folder_any_more(self) -> None:
        server = self.boot(host=base.HOST)
        self.stop()
        self._delete_server(server)
        self.engine.remove(server["id"])
        shutil.rmtree(self.folder(server))

        self.start()

        self.assert_nothing_left()

    def test_what_fails_is_tried_again_by_the_next_start(self) -> None:
        server = self.boot(host=base.HOST)
        self.stop()
        self._delete_server(server)
        self.host_network.fail("unplug", exception.NetworkSetupError("busy"))

        self.start()
        self.assertTrue(os.path.exists(self.folder(server) / spawn.NAMES_FILE))
        self.start()

        self.assert_nothing_left()

    def test_a_switch_that_is_away_keeps_no_service_from_starting(self) -> None:
        server = self.boot(host=base.HOST)
        self.stop()
        self._delete_server(server)
        error = exception.NetworkSetupError("no such socket")

        with mock.patch("nova_multi.virt.reconcile.switch_ports", side_effect=error):
            self.start()

        self.assertEqual(GuestState.RUNNING, self.guest_state(server))
