# SPDX-License-Identifier: Apache-2.0
"""What became of servers, asked of Nova: all that there is where no bus can be listened
to, and the safety net where there is one."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Sequence

from nova_multi.cloud.clouds import Cloud
from nova_multi.cloud.values import Action, Server
from nova_multi.domain.task import TaskStatus
from nova_multi.provision.tools import Tools

#: What Nova calls the part of a boot that a compute does.
BUILD_EVENT = "compute__do_build_and_run_instance"
_CREATE = "create"

#: What a server's task state says of its boot.
TASK_STATES: dict[str, TaskStatus] = {
    "networking": TaskStatus.SETTING_UP,
    "block_device_mapping": TaskStatus.SETTING_UP,
    "spawning": TaskStatus.CREATING,
}

#: Seconds after which a list of servers is thrown away.
_KEPT = 60.0

Change = tuple[TaskStatus, datetime.datetime | None, str]


def from_action(action: Action) -> list[Change]:
    """What the action of a boot tells, with the times at which it happened."""
    found: list[Change] = []
    for event in action.events:
        if event.name == BUILD_EVENT and event.start:
            found.append((TaskStatus.DISPATCHED, event.start, event.host or ""))
            if event.finish and event.result == "Success":
                found.append((TaskStatus.CREATED, event.finish, ""))
    return found


def from_server(server: Server) -> list[Change]:
    """What a server's state tells of its boot just now."""
    status = TASK_STATES.get(server.task_state or "")
    return [(status, server.updated, "")] if status else []


def boot_action(cloud: Cloud, server_id: str) -> Action | None:
    """The action of a server's boot, with its events."""
    for action in cloud.servers.actions(server_id):
        if action.name == _CREATE:
            return cloud.servers.action(server_id, action.request_id)
    return None


class Board:
    """Servers as they were a moment ago: many tasks that wait cost one request.

    :ivar fresh: seconds for which a list serves.
    """

    fresh = 0.8

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._lock = threading.Lock()
        self._lists: dict[str, tuple[float, dict[str, Server]]] = {}
        self._asking: dict[str, threading.Lock] = {}

    def server(self, project_id: str, server_id: str, waiting: int) -> Server:
        """A server.

        :param waiting: how many tasks wait; one alone asks for its server only.
        :raises NotFound: there is none.
        """
        cloud = self._tools.clouds.project(project_id)
        if waiting < 2:
            return cloud.servers.server(server_id)
        found = self._list(project_id, cloud).get(server_id)
        # Younger than the list, or gone: only Nova knows.
        return found or cloud.servers.server(server_id)

    def _list(self, project_id: str, cloud: Cloud) -> dict[str, Server]:
        with self._lock:
            asking = self._asking.setdefault(project_id, threading.Lock())
        with asking:
            kept = self._lists.get(project_id)
            if kept and time.monotonic() - kept[0] < self.fresh:
                return kept[1]
            found = {server.id: server for server in _page(cloud)}
            with self._lock:
                now = time.monotonic()
                # Of a project that nobody waits in any more nothing is kept.
                self._lists = {
                    key: each
                    for key, each in self._lists.items()
                    if now - each[0] < _KEPT
                }
                self._lists[project_id] = (now, found)
            return found


def _page(cloud: Cloud) -> Sequence[Server]:
    return cloud.servers.servers()
