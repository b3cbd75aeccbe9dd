# SPDX-License-Identifier: Apache-2.0
"""The two service managers behind one interface."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from .table import Service


class ServiceError(Exception):
    """A service does not start, stop or answer; the message says what to look at."""


class Backend(Protocol):
    """What is asked of systemd or the supervisor. Times are in seconds."""

    def prepare(self) -> bool:
        """Have the manager itself running; say whether that changed anything."""

    def definition(self, service: Service) -> str:
        """The text that defines the service, for comparison."""

    def write(self, service: Service) -> bool:
        """Write the definition; say whether it differed."""

    def state(self, name: str) -> str:
        """One of running, starting, stopped, failed; done for a finished oneshot."""

    def pid(self, name: str) -> int:
        """The main process of a service; 0 if it has none."""

    def start(self, service: Service) -> None:
        """Start and return at once."""

    def stop(self, name: str, timeout: float) -> None:
        """Stop and wait; a service that is not known or does not run is fine."""

    def remove(self, name: str) -> None:
        """Forget a stopped service."""

    def hint(self, name: str) -> str:
        """The command with which a person looks further."""


def detect() -> Backend:
    """The manager of this machine: systemd only where it really is PID 1."""
    # Imported here: each of them imports ServiceError from this module.
    if Path("/run/systemd/system").is_dir():
        from .backend_systemd import Systemd

        return Systemd()
    from .backend_supervisor import Supervisor

    return Supervisor()
