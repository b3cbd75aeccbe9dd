# SPDX-License-Identifier: Apache-2.0
"""Requests that meet each other."""

from __future__ import annotations

import time

from tests.functional import base


class RaceTest(base.ContainerCloud):
    def test_many_boots_of_one_image_import_it_once(self) -> None:
        gate = self.engine.hang("import_image")
        servers = [self.request(networks="none") for _ in range(4)]
        self.assertTrue(gate.reached.wait(20))
        # All the others come to wait for this one import.
        time.sleep(1)

        gate.release()

        for server in servers:
            self.wait(server, status="ACTIVE")
        self.assertEqual(1, self.engine.called()["import_image"])
        for server in servers:
            self._delete_server(server)
        self.assert_nothing_left()

    def _delete_during(self, method: str) -> None:
        gate = self.engine.hang(method)
        server = self.request()
        self.assertTrue(gate.reached.wait(20))

        self.api.delete_server(server["id"])
        time.sleep(0.5)
        gate.release()

        self._wait_until_deleted(server)
        self.assert_nothing_left()

    def test_delete_during_import(self) -> None:
        self._delete_during("import_image")

    def test_delete_during_create(self) -> None:
        self._delete_during("create")

    def test_delete_during_start(self) -> None:
        self._delete_during("start")

    def test_delete_during_snapshot(self) -> None:
        server = self.boot()
        gate = self.engine.hang("export")
        self._snapshot_server(server, "copy")
        self.assertTrue(gate.reached.wait(20))

        self.api.delete_server(server["id"])
        time.sleep(0.5)
        gate.release()

        self._wait_until_deleted(server)
        self.assert_nothing_left()

    def test_guest_deleted_behind_novas_back(self) -> None:
        server = self.boot()
        self.engine.remove(server["id"])

        self._delete_server(server)

        self.assert_nothing_left()
