# SPDX-License-Identifier: Apache-2.0
"""Brings a set of services to where the table wants them, in the order of needs."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import glob
import hashlib
import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from . import files, paths, processes, ready, table, units
from .backend import Backend, ServiceError
from .table import Service

_LOG_LINES = 20
# Seconds for which a service that runs but does not answer is given the benefit of
# the doubt before it is restarted; longer if it has just been started.
_PATIENCE = 10.0
_POLL = 0.15
# Seconds for which a service that can't be asked anything has to stay up after its
# start to count as ready.
_SETTLE = 6.0
# A process that is younger than our own record of its start by this was started by the
# machine, or by somebody else.
_START_SLACK = 5.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was done about one service: unchanged, adopted, started or restarted."""

    name: str
    action: str
    seconds: float

    @property
    def changed(self) -> bool:
        return self.action in ("started", "restarted", "rewritten")


class ServiceSet:
    """Services of one machine that are to run, and to run with what is configured."""

    def __init__(self, backend: Backend, services: Iterable[Service]) -> None:
        self._backend = backend
        self._services = {service.name: service for service in services}
        self._done = {name: threading.Event() for name in self._services}
        self._failed: set[str] = set()

    def ensure(self, restart: Iterable[str] = (), wait: bool = True) -> list[Outcome]:
        """Have all of them running and ready, in parallel where needs allow.

        :param restart: names to restart whatever their state.
        :param wait: False if readiness is waited for only where another one of them
            needs it. A later call with the same names waits.
        :raises ServiceError: for all that failed; those that need them were not tried.
        """
        self._check_order()
        self._backend.prepare()
        files.ensure_directory(paths.STARTED, 0o700)
        files.ensure_directory(paths.SERVICES, 0o700)
        self._wait = wait
        self._needed = {
            need for service in self._services.values() for need in service.needs
        }
        outcomes: list[Outcome] = []
        faults: list[str] = []
        workers = max(1, len(self._services))
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            tasks = [
                pool.submit(self._when_possible, service, service.name in set(restart))
                for service in self._services.values()
            ]
            for task in tasks:
                try:
                    outcomes.append(task.result())
                except (ServiceError, OSError) as error:
                    faults.append(str(error))
        if faults:
            raise ServiceError("\n".join(faults))
        return outcomes

    def _check_order(self) -> None:
        waiting = {
            name: {need for need in service.needs if need in self._services}
            for name, service in self._services.items()
        }
        while waiting:
            free = [name for name, needs in waiting.items() if not needs]
            if not free:
                circle = ", ".join(sorted(waiting))
                raise ServiceError(f"these services need each other: {circle}")
            for name in free:
                del waiting[name]
            for needs in waiting.values():
                needs.difference_update(free)

    def _when_possible(self, service: Service, restart: bool) -> Outcome:
        begin = time.monotonic()
        try:
            for need in service.needs:
                if need in self._done:
                    self._done[need].wait()
                else:
                    self._await_other(service, need)
                if need in self._failed:
                    raise ServiceError(f"{service.name}: not tried, it needs {need}")
            action = self._ensure(service, restart)
        except BaseException:
            self._failed.add(service.name)
            raise
        finally:
            self._done[service.name].set()
        return Outcome(service.name, action, round(time.monotonic() - begin, 1))

    def _ensure(self, service: Service, restart: bool) -> str:
        changed = self._directories(service)
        record = paths.SERVICES / f"{service.name}.json"
        text = json.dumps(service.as_dict(), sort_keys=True)
        changed |= files.ensure_file(record, text, 0o600)
        if service.adopt and self._is_foreign(service):
            return "adopted"
        changed |= self._backend.write(service)
        digest = self._digest(service)
        started = paths.STARTED / service.name
        state = self._backend.state(service.name)
        runs = state in ("running", "starting", "done")
        same = started.exists() and started.read_text() == digest
        same = same and not self._has_read_other(service, started)
        if runs and same and not restart:
            if not self._wait and service.name not in self._needed:
                return "rewritten" if changed else "unchanged"
            if self._answers(service, state):
                return "rewritten" if changed else "unchanged"
        started.unlink(missing_ok=True)
        if state != "stopped":
            self._backend.stop(service.name, service.stop_timeout)
        self._start(service, started, digest)
        if (self._wait or service.name in self._needed) and not self._came_up(service):
            # Some daemons refuse a first start beside the remains of a killed one.
            self._backend.stop(service.name, service.stop_timeout)
            self._start(service, started, digest)
            if not self._came_up(service):
                started.unlink(missing_ok=True)
                raise ServiceError(self._report(service, "does not stay up"))
        # Some mount over their folder when they start.
        self._directories(service)
        return "restarted" if runs else "started"

    def _start(self, service: Service, started: Path, digest: str) -> None:
        self._backend.start(service)
        # Its time is that of the start: so long it may take to become ready.
        _write_private(started, digest)

    def _came_up(self, service: Service) -> bool:
        """Wait for readiness; False if the process ends by itself.

        :raises ServiceError: it runs but is not ready in time.
        """
        if self._is_mute(service):
            return self._settles(service)
        deadline = time.monotonic() + service.ready_timeout
        found: str | None = None
        while time.monotonic() < deadline:
            state = self._backend.state(service.name)
            if state == "failed" or (state == "done" and service.type != "oneshot"):
                return False
            finished = service.type != "oneshot" or state == "done"
            if finished and state != "stopped":
                found = self._fault(service)
                if found is None:
                    return True
            time.sleep(_POLL)
        raise ServiceError(
            self._report(
                service,
                f"is not ready after {service.ready_timeout:g} s"
                + (f" ({found})" if found else ""),
            )
        )

    def _await_other(self, service: Service, need: str) -> None:
        """Wait for a need that an earlier call has started, if it is of this machine.

        :raises ServiceError: it does not become ready, or another machine's won't do.
        """
        try:
            entry = json.loads((paths.SERVICES / f"{need}.json").read_text())
        except FileNotFoundError:
            if need in service.local:
                raise ServiceError(
                    f"{service.name} needs {need} on its own machine, which has none: "
                    "is it in that role's group of the inventory?"
                ) from None
            return  # it belongs to another machine
        other = table.service(entry.pop("name"), entry)
        if not self._answers(other, self._backend.state(need)):
            fault = self._fault(other) or "it does not run"
            raise ServiceError(
                self._report(other, f"is needed by {service.name}, but: {fault}")
            )

    def _answers(self, service: Service, state: str) -> bool:
        """Whether a service that has been started works, or soon does."""
        if state == "failed":
            return False
        if self._is_mute(service):
            return self._settles(service)
        patience = max(_PATIENCE, service.ready_timeout - self._age(service))
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            runs = service.type != "oneshot" or state == "done"
            if runs and self._fault(service) is None:
                return True
            time.sleep(_POLL)
            state = self._backend.state(service.name)
            if state == "failed":
                return False
        return False

    def _age(self, service: Service) -> float:
        """Seconds since it was started, by us or by the machine itself."""
        starts = [0.0]
        if pid := self._backend.pid(service.name):
            starts.append(processes.began(pid))
        record = paths.STARTED / service.name
        if record.exists():
            starts.append(record.stat().st_mtime)
        # One that seems to begin in the future has a clock of its own (as with lxcfs).
        now = time.time()
        return now - max(start for start in starts if start <= now)

    @staticmethod
    def _is_mute(service: Service) -> bool:
        checks = any(check["kind"] != "none" for check in service.ready)
        return service.type != "oneshot" and not checks

    def _settles(self, service: Service) -> bool:
        """Whether one process of a service is up for a while since its start."""
        pid = self._backend.pid(service.name)
        while self._age(service) < _SETTLE:
            time.sleep(_POLL)
            now = self._backend.pid(service.name)
            if (pid and now != pid) or self._backend.state(service.name) == "failed":
                return False
            pid = now
        return self._backend.state(service.name) == "running"

    def _is_foreign(self, service: Service) -> bool:
        """Whether somebody else runs this daemon, of which a machine has one."""
        if not any(check["kind"] != "none" for check in service.ready):
            return False
        ours = self._backend.state(service.name) != "stopped"
        if ours or processes.of_service(service.name):
            return False
        return self._fault(service) is None

    def _fault(self, service: Service) -> str | None:
        for check in service.ready:
            found = ready.fault(check)
            if found is not None:
                return found
        return None

    def _directories(self, service: Service) -> bool:
        changed = files.ensure_directory(paths.LOG)
        if service.user != "root":
            # Before the folder itself: a killed run begins with it again.
            files.hand_over(service.state, service.user, service.effective_group)
        for entry in service.directories:
            changed |= files.ensure_directory(
                entry["path"], int(entry["mode"], 8), entry["owner"], entry["group"]
            )
        if service.hide_kvm and not units.HIDDEN_DEVICE.exists():
            files.ensure_directory(paths.RUN)
            units.HIDDEN_DEVICE.touch(mode=0o444)
        return changed

    def _has_read_other(self, service: Service, started: Path) -> bool:
        """Whether the machine started it again by itself, and with other files.

        So it is where somebody changes a file and reboots, and we put the file right.
        """
        pid = self._backend.pid(service.name)
        start = processes.began(pid) if pid else 0
        if not start or start < started.stat().st_mtime + _START_SLACK:
            return False
        return any(path.stat().st_mtime > start for path in _config(service))

    def _digest(self, service: Service) -> str:
        """Of all that makes a restart necessary when it differs."""
        digest = hashlib.sha256(self._backend.definition(service).encode())
        for path in _config(service):
            digest.update(str(path).encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def _report(self, service: Service, fault: str) -> str:
        lines = tail(service.log, _LOG_LINES)
        said = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return (
            f"service {service.name} {fault}\n"
            f"  the last lines of {service.log}:\n{said}\n"
            f"  look further with: tail -n 200 {service.log}; "
            f"{self._backend.hint(service.name)}"
        )


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log; none if it is not there."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 400 * lines))
            content = file.read().decode(errors="replace")
    except OSError:
        return []
    return content.splitlines()[-lines:]


def _config(service: Service) -> list[Path]:
    """The files that it reads when it starts."""
    names = {
        name
        for pattern in service.config
        for name in glob.glob(pattern, recursive=True)
    }
    return [Path(name) for name in sorted(names) if Path(name).is_file()]


def _write_private(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(0o600)
    new.replace(path)
