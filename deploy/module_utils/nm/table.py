# SPDX-License-Identifier: Apache-2.0
"""One entry of the table of services, checked.

The table itself is deploy/services.yml, whose head describes each field. Here its
entries have been rendered: no templates, no YAML, plain values.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import paths


class TableError(Exception):
    """An entry of the table of services is wrong; the message names all faults."""


@dataclasses.dataclass(frozen=True)
class Service:
    """A daemon (or a step at boot) of the deployment. Times are in seconds."""

    name: str
    role: str
    description: str
    command: tuple[str, ...]
    user: str = "root"
    group: str = ""
    extra_groups: tuple[str, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    needs: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    bounding: tuple[str, ...] | None = None
    ready: tuple[Mapping[str, Any], ...] = ()
    ready_timeout: float = 120
    stop_timeout: float = 30
    stop_signal: str = "TERM"
    config: tuple[str, ...] = ()
    memory: int = 0
    hide_kvm: bool = False
    writable: tuple[str, ...] = ()
    type: str = "simple"
    kill_mode: str = "control-group"
    protect: str = "strict"
    adopt: bool = False
    directories: tuple[Mapping[str, str], ...] = ()
    open_files: int = 0
    working_directory: str = "/"

    @property
    def log(self) -> Path:
        return paths.LOG / f"{self.name}.log"

    @property
    def state(self) -> Path:
        return paths.STATE / self.name

    @property
    def effective_group(self) -> str:
        return self.group or self.user

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


_TUPLES = (
    "extra_groups",
    "needs",
    "local",
    "capabilities",
    "config",
    "writable",
    "directories",
)
_CHOICES = {
    "type": ("simple", "oneshot"),
    "kill_mode": ("control-group", "process"),
    "protect": ("strict", "full", "off"),
}
_READY_KINDS = {
    "http": "url",
    "tcp": "port",
    "unix": "path",
    "command": "command",
    "file": "path",
    "none": None,
}


def service(name: str, entry: Mapping[str, Any]) -> Service:
    """Check an entry whose templates have been rendered.

    :raises TableError: all that is wrong with it, at once.
    """
    faults: list[str] = []
    fields = {field.name for field in dataclasses.fields(Service)}
    unknown = sorted(set(entry) - fields)
    if unknown:
        faults.append(f"unknown fields: {', '.join(unknown)}")
    values: dict[str, Any] = {
        key: value
        for key, value in entry.items()
        if key in fields and value is not None
    }
    for field in ("role", "description", "command"):
        if not values.get(field):
            faults.append(f"{field} is missing")
            values[field] = ""
    values["command"] = _words(values["command"])
    for field in _TUPLES:
        value = values.get(field, ())
        values[field] = (value,) if isinstance(value, str) else tuple(value)
    if far := sorted(set(values["local"]) - set(values["needs"])):
        faults.append(f"local, but not needed: {', '.join(far)}")
    if "bounding" in values:
        values["bounding"] = tuple(values["bounding"])
        if values.get("user", "root") != "root":
            faults.append("bounding is for root; others have their capabilities")
    values["environment"] = {
        key: str(value) for key, value in (values.get("environment") or {}).items()
    }
    ready = values.get("ready") or {"kind": "none"}
    values["ready"] = (ready,) if isinstance(ready, Mapping) else tuple(ready)
    faults.extend(_check_ready(values["ready"]))
    for field in ("ready_timeout", "stop_timeout"):
        if field in values:
            values[field] = float(values[field])
    for field in ("memory", "open_files"):
        values[field] = int(values.get(field) or 0)
    for field in ("hide_kvm", "adopt"):
        values[field] = str(values.get(field, False)).lower() in ("true", "yes", "1")
    for field, choices in _CHOICES.items():
        if values.get(field, choices[0]) not in choices:
            faults.append(f"{field} must be one of {', '.join(choices)}")
    if faults:
        raise TableError(f"service {name}: {'; '.join(faults)}")
    return Service(name=name, **values)


def _words(command: Any) -> tuple[str, ...]:
    if isinstance(command, str):
        return tuple(shlex.split(command))
    return tuple(str(word) for word in command)


def _check_ready(checks: tuple[Any, ...]) -> list[str]:
    faults = []
    for check in checks:
        kind = check.get("kind") if isinstance(check, Mapping) else None
        if kind not in _READY_KINDS:
            faults.append(f"ready: unknown kind {kind!r}")
            continue
        field = _READY_KINDS[kind]
        if field and field not in check:
            faults.append(f"ready: {kind} needs {field}")
    return faults
