# SPDX-License-Identifier: Apache-2.0
"""systemd as the manager of services."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from . import files, manifest, paths, units
from .backend import ServiceError
from .table import Service

_UNITS = Path("/etc/systemd/system")
_TMPFILES = Path("/etc/tmpfiles.d")
_LOGROTATE = Path("/etc/logrotate.d/nova-multi")
_LOGROTATE_TEXT = f"""\
# SPDX-License-Identifier: Apache-2.0
{paths.LOG}/*.log {{
    size 20M
    rotate 2
    compress
    missingok
    notifempty
    copytruncate
}}
"""


class Systemd:
    """Units of systemd, and tmpfiles.d for what lies below /run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reload = False

    def prepare(self) -> bool:
        return files.ensure_file(_LOGROTATE, _LOGROTATE_TEXT)

    def definition(self, service: Service) -> str:
        return units.systemd_unit(service)

    def write(self, service: Service) -> bool:
        name = units.unit_name(service.name)
        manifest.record("service", name=service.name)
        with self._lock:
            changed = files.ensure_file(_UNITS / name, self.definition(service))
            self._reload |= changed
            lines = [
                f"d {entry['path']} {entry['mode']} {entry['owner']} {entry['group']}"
                for entry in service.directories
                if entry["path"].startswith(("/run/", "/var/run/"))
            ]
            if service.hide_kvm:
                lines.append(f"f {units.HIDDEN_DEVICE} 0444 root root")
            if lines:
                rules = _TMPFILES / f"nova-multi-{service.name}.conf"
                changed |= files.ensure_file(rules, "\n".join([*lines, ""]))
            wanted = _UNITS / "multi-user.target.wants" / name
            changed |= files.ensure_link(wanted, _UNITS / name)
        return changed

    def state(self, name: str) -> str:
        self._reload_once()
        shown = _systemctl(
            "show", "--property=ActiveState,SubState", units.unit_name(name)
        ).stdout
        values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        if values.get("SubState") == "exited":
            return "done"
        if values.get("SubState") == "auto-restart":
            return "failed"
        return {
            "active": "running",
            "reloading": "running",
            "activating": "starting",
            "deactivating": "starting",
            "failed": "failed",
        }.get(values.get("ActiveState", ""), "stopped")

    def pid(self, name: str) -> int:
        shown = _systemctl("show", "--property=MainPID", units.unit_name(name)).stdout
        return int(shown.partition("=")[2].strip() or 0)

    def start(self, service: Service) -> None:
        self._reload_once()
        unit = units.unit_name(service.name)
        _systemctl("reset-failed", unit)
        done = _systemctl("start", "--no-block", unit)
        if done.returncode:
            raise ServiceError(f"{unit} cannot be started: {done.stderr.strip()}")

    def stop(self, name: str, timeout: float) -> None:
        self._reload_once()
        # systemd itself keeps to TimeoutStopSec; the margin is for its own work.
        _systemctl("stop", units.unit_name(name), timeout=timeout + 30)

    def remove(self, name: str) -> None:
        unit = units.unit_name(name)
        (_UNITS / "multi-user.target.wants" / unit).unlink(missing_ok=True)
        (_UNITS / unit).unlink(missing_ok=True)
        (_TMPFILES / f"nova-multi-{name}.conf").unlink(missing_ok=True)
        _systemctl("reset-failed", unit)
        _systemctl("daemon-reload")

    def hint(self, name: str) -> str:
        return f"systemctl status {units.unit_name(name)}"

    def _reload_once(self) -> None:
        with self._lock:
            if self._reload:
                _systemctl("daemon-reload")
                self._reload = False


def _systemctl(
    *arguments: str, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["systemctl", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(
            f"systemctl {' '.join(arguments)} took longer than {timeout:g} s"
        ) from error
