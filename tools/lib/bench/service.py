# SPDX-License-Identifier: Apache-2.0
"""The provisioning service, as measurements ask it."""

from __future__ import annotations

import time
from typing import Any

from keystoneauth1.adapter import Adapter

from bench.errors import BenchError

#: Seconds that any work may take.
TIMEOUT = 600.0


class Service:
    """The provisioning API as an administrator has it.

    :param cloud: openstacksdk's connection of that account.
    :param endpoint: of the API, if it is not the catalog's.
    """

    def __init__(self, cloud: Any, endpoint: str | None = None) -> None:
        self._adapter = Adapter(
            cloud.session,
            service_type="provisioning",
            interface="public",
            endpoint_override=endpoint,
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """An answer as JSON."""
        return self._adapter.request(path, method, json=body).json()

    def accept(self, body: Any) -> tuple[str, float, float]:
        """Have an instance made.

        :returns: its task; seconds that the answer took but for waiting for OpenStack;
            those of them in which the service had the processor.
        """
        response = self._adapter.request("/instances", "POST", json=body)
        told = {
            name: float(duration) / 1000
            for part in response.headers["Server-Timing"].split(", ")
            for name, duration in [part.split(";dur=")]
        }
        own = told["total"] - told["openstack"]
        return response.json()["task"], own, told["cpu"]

    def ended(self, task: str) -> Any:
        """A task, after its end."""
        deadline = time.monotonic() + TIMEOUT
        while not (found := self.ask("GET", f"/tasks/{task}"))["ended"]:
            if time.monotonic() > deadline:
                raise BenchError(f"task {task}: not within {TIMEOUT:g} s")
            time.sleep(0.2)
        return found

    def do(self, method: str, path: str, body: Any = None) -> None:
        """Have something done, and wait for it."""
        found = self.ended(self.ask(method, path, body)["task"])
        if found["status"] == "error":
            message = found["status_history"][-1]["message"]
            raise BenchError(f"task {found['uuid']}: {message}")
