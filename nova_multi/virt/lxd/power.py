# SPDX-License-Identifier: Apache-2.0
"""Starting, ending and freezing guests, patiently with what LXD does meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from oslo_log import log as logging

from nova_multi import exception
from nova_multi.privsep import files as privsep_files
from nova_multi.virt.engine import ContainerState, GuestState
from nova_multi.virt.lxd import mapping, network
from nova_multi.virt.lxd.client import ENGINE, LXDClient
from nova_multi.virt.lxd.records import Records
from nova_multi.virt.power import settle_time

LOG = logging.getLogger(__name__)

#: Seconds that LXD may take to clean up behind a guest that ended by itself.
CLEANUP_TIME = 10
#: Errors of liblxc that go into the message about a guest that did not start.
LOG_LINES = 4
#: Bytes of the console that go into the message about a guest that ended at once.
LAST_WORDS = 1000

STOPPED = (GuestState.STOPPED, GuestState.CRASHED)
ALIVE = (GuestState.RUNNING, GuestState.PAUSED)


class Power:
    """Power states of guests.

    :param client: connection to LXD.
    :param records: the guests.
    :param console: gives the end of a guest's console, for messages.
    """

    def __init__(
        self,
        client: LXDClient,
        records: Records,
        console: Callable[[str, int], bytes],
    ) -> None:
        self._client = client
        self._records = records
        self._console = console

    def _guest(self, uuid: str) -> ContainerState:
        return mapping.container_state(self._records.get(uuid))

    def start(self, uuid: str) -> None:
        """Start a guest that is connected; see Engine."""
        record = self._records.get(uuid)
        name = record["name"]
        state = mapping.container_state(record).state
        if state is GuestState.RUNNING:
            return
        if state is GuestState.PAUSED:
            raise exception.EngineConflict(f"{name} is paused", engine=ENGINE)
        if mapping.INTERFACES not in record["config"]:
            raise exception.NetworkSetupError(
                f"{name} was not connected: it must not start without its network"
            )
        uid, gid = mapping.root_ids(record)
        for folder in mapping.mounted_folders(record):
            privsep_files.chown_tree(folder, uid, gid)
        try:
            self.after_its_end(uuid, lambda: self._set_state(name, "start"))
        except (exception.EngineUnavailable, exception.EngineTimeout):
            raise
        except exception.EngineError as error:
            raise exception.EngineError(
                f"{error}{self._liblxc_says(name)}", engine=ENGINE, status=error.status
            ) from error
        self._check_it_lasts(uuid)

    def _check_it_lasts(self, uuid: str) -> None:
        time.sleep(settle_time())
        now = self._guest(uuid)
        if now.state in STOPPED:
            words = self._console(uuid, LAST_WORDS).decode(errors="replace").strip()
            raise exception.EngineError(
                f"{now.name} ended right after its start; its console says:"
                f" {words or 'nothing'}",
                engine=ENGINE,
            )

    def stop(self, uuid: str, timeout: int) -> None:
        """Ask a guest to end, then end it; see Engine."""
        guest = self._guest(uuid)
        if guest.state in STOPPED:
            return
        if timeout > 0:
            if guest.state is GuestState.PAUSED:
                self._set_state(guest.name, "unfreeze")
            try:
                self._set_state(guest.name, "stop", timeout=timeout)
            except exception.EngineUnavailable:
                raise
            except exception.EngineError as error:
                LOG.info("%s does not end by itself: %s", guest.name, error)
        self.kill(uuid)

    def kill(self, uuid: str) -> None:
        """End a guest at once; one that has ended already is fine."""
        guest = self._guest(uuid)
        if guest.state in STOPPED:
            return
        try:
            self._set_state(guest.name, "stop", force=True)
        except (exception.EngineUnavailable, exception.EngineTimeout):
            raise
        except exception.EngineError:
            # It may have ended in between, which LXD takes as an error.
            if self._guest(uuid).state not in STOPPED:
                raise

    def restart(self, uuid: str, timeout: int) -> None:
        """Stop and start in place; see Engine."""
        guest = self._guest(uuid)
        if guest.state not in ALIVE:
            raise exception.EngineConflict(
                f"{guest.name} does not run: its network may be gone", engine=ENGINE
            )
        self.stop(uuid, timeout)
        interfaces = mapping.interfaces_of(self._records.get(uuid))
        missing = [each.inner for each in interfaces if not network.is_present(each)]
        if missing:
            raise exception.EngineConflict(
                f"interfaces of {guest.name} are gone: {', '.join(missing)}",
                engine=ENGINE,
            )
        self.start(uuid)

    def pause(self, uuid: str) -> None:
        """Freeze all processes; see Engine."""
        guest = self._guest(uuid)
        if guest.state is GuestState.PAUSED:
            return
        if guest.state is not GuestState.RUNNING:
            raise exception.EngineConflict(
                f"{guest.name} does not run: it can't be paused", engine=ENGINE
            )
        self._set_state(guest.name, "freeze")

    def unpause(self, uuid: str) -> None:
        """Undo ``pause``; see Engine."""
        guest = self._guest(uuid)
        if guest.state is GuestState.RUNNING:
            return
        if guest.state is not GuestState.PAUSED:
            raise exception.EngineConflict(f"{guest.name} is not paused", engine=ENGINE)
        self._set_state(guest.name, "unfreeze")

    def after_its_end(self, uuid: str, request: Callable[[], Any]) -> None:
        """Make a request to a guest that may just be ending by itself.

        Until LXD has cleaned up behind such a guest, it refuses everything. When it
        has, it notes the new power state.
        """
        try:
            request()
            return
        except (exception.EngineUnavailable, exception.EngineTimeout):
            raise
        except exception.EngineError:
            if mapping.has_settled(self._records.get(uuid)):
                raise
        deadline = time.monotonic() + CLEANUP_TIME
        while time.monotonic() < deadline:
            time.sleep(settle_time())
            if mapping.has_settled(self._records.get(uuid)):
                break
        request()

    def _liblxc_says(self, name: str) -> str:
        """Last errors in liblxc's log of a guest: LXD often says a status only."""
        try:
            log = self._client.read("instances", name, "logs", "lxc.log")
        except exception.EngineError:
            return ""
        lines = log.decode(errors="replace").splitlines()
        errors = [line for line in lines if " ERROR " in line]
        return f"; liblxc: {' | '.join(errors[-LOG_LINES:])}" if errors else ""

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """A running guest does nothing meanwhile."""
        self._set_state(name, "freeze")
        try:
            yield
        finally:
            self._set_state(name, "unfreeze")

    def _set_state(
        self, name: str, action: str, *, timeout: int = -1, force: bool = False
    ) -> None:
        self._client.change(
            "put",
            "instances",
            name,
            "state",
            json={"action": action, "timeout": timeout, "force": force},
            wait=max(timeout, 0),
        )
