# SPDX-License-Identifier: Apache-2.0
"""supervisord as the manager of services, where PID 1 is not systemd."""

from __future__ import annotations

import contextlib
import http.client
import inspect
import os
import socket
import subprocess
import threading
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

from . import files, manifest, paths, processes, supervisord, units
from .backend import ServiceError
from .table import Service

_FOLDER = paths.ETC / "supervisor"
_CONFIG = _FOLDER / "supervisord.conf"
_DAEMON = _FOLDER / "supervisord.py"
_PROGRAMS = _FOLDER / "programs"
_LAUNCHERS = _FOLDER / "launchers"
_SOCKET = paths.RUN / "supervisor.sock"
_BIN = paths.ROOT / "deploy-venv" / "bin"

_CONFIG_TEXT = f"""\
; SPDX-License-Identifier: Apache-2.0
[unix_http_server]
file={_SOCKET}
chmod=0700

[supervisord]
logfile={paths.LOG}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=1
pidfile={paths.RUN}/supervisord.pid
childlogdir={paths.LOG}
umask=022
user=root

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{_SOCKET}

[include]
files = {_PROGRAMS}/*.conf
"""

# What supervisord answers when asked to stop a program that does not run, or about
# one that it does not know.
_NOT_RUNNING = 70
_BAD_NAME = 10
_ALREADY_STARTED = 60
_ALREADY_ADDED = 90
_STILL_RUNNING = 91

_STATES = {
    "STARTING": "starting",
    "BACKOFF": "starting",
    "RUNNING": "running",
    "STOPPING": "starting",
    "FATAL": "failed",
}


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(_SOCKET))


class _Transport(xmlrpc.client.Transport):
    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection("localhost", timeout=30)


class Supervisor:
    """Programs of one supervisord of our own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: set[str] = set()

    def prepare(self) -> bool:
        changed = files.ensure_directory(_PROGRAMS, 0o755)
        # Launchers hold the environment of services, which may hold secrets.
        changed |= files.ensure_directory(_LAUNCHERS, 0o700)
        files.ensure_directory(paths.RUN)
        files.ensure_directory(units.PIDS)
        configured = files.ensure_file(_CONFIG, _CONFIG_TEXT, 0o600)
        configured |= files.ensure_file(_DAEMON, inspect.getsource(supervisord), 0o644)
        alive = self._alive()
        if alive and not configured:
            return changed
        manifest.record("supervisor")
        if not alive:
            self._start_daemon()
        return True

    def definition(self, service: Service) -> str:
        program = units.supervisor_program(service, str(_LAUNCHERS / service.name))
        return program + units.launcher(service)

    def write(self, service: Service) -> bool:
        manifest.record("service", name=service.name)
        launcher = _LAUNCHERS / service.name
        changed = files.ensure_file(launcher, units.launcher(service), 0o700)
        program = units.supervisor_program(service, str(launcher))
        path = _PROGRAMS / f"{service.name}.conf"
        if files.ensure_file(path, program):
            self._written.add(service.name)
            changed = True
        return changed

    def state(self, name: str) -> str:
        try:
            info = self._call("getProcessInfo", name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _BAD_NAME:
                return "stopped"
            raise ServiceError(f"supervisord: {fault.faultString}") from fault
        if info["statename"] == "EXITED":
            return "done" if info["exitstatus"] == 0 else "failed"
        return _STATES.get(info["statename"], "stopped")

    def pid(self, name: str) -> int:
        try:
            return int(self._call("getProcessInfo", name)["pid"])
        except xmlrpc.client.Fault:
            return 0

    def start(self, service: Service) -> None:
        self._end_orphans(service)
        with self._lock:
            self._add(service.name)
        try:
            self._call("startProcess", service.name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _ALREADY_STARTED:
                raise ServiceError(
                    f"{service.name} cannot be started: {fault.faultString}"
                ) from fault

    def stop(self, name: str, timeout: float) -> None:
        try:
            self._call("stopProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in (_NOT_RUNNING, _BAD_NAME):
                return
            raise ServiceError(f"supervisord: {fault.faultString}") from fault
        except OSError:
            return  # no supervisord, so nothing that it looks after
        deadline = time.monotonic() + timeout + 10
        while self.state(name) in ("running", "starting"):
            if time.monotonic() > deadline:
                raise ServiceError(f"{name} has not stopped within {timeout:g} s")
            time.sleep(0.1)

    def remove(self, name: str) -> None:
        # It may be neither known nor needed any more.
        with contextlib.suppress(xmlrpc.client.Fault, OSError):
            self._call("removeProcessGroup", name)
        (_PROGRAMS / f"{name}.conf").unlink(missing_ok=True)
        (_LAUNCHERS / name).unlink(missing_ok=True)

    def hint(self, name: str) -> str:
        return f"{_BIN}/supervisorctl -c {_CONFIG} status {name}"

    def shut_down(self) -> None:
        """End supervisord itself, after its programs."""
        try:
            self._call("shutdown")
        except (xmlrpc.client.Fault, OSError):
            return
        deadline = time.monotonic() + 30
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _add(self, name: str) -> None:
        """Make supervisord know the program as it is written now."""
        self._call("reloadConfig")
        if name in self._written:
            try:
                self._call("removeProcessGroup", name)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode == _STILL_RUNNING:
                    raise ServiceError(f"{name} still runs") from fault
                if fault.faultCode != _BAD_NAME:
                    raise ServiceError(f"{name}: {fault.faultString}") from fault
            self._written.discard(name)
        try:
            self._call("addProcessGroup", name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _ALREADY_ADDED:
                raise ServiceError(f"{name}: {fault.faultString}") from fault

    def _end_orphans(self, service: Service) -> None:
        """End what a killed supervisord left behind of this service.

        Where guests outlive their daemon, only the daemon itself is ended.
        """
        found = processes.of_service(service.name)
        if service.kill_mode == "process":
            # A shell may stand before the daemon: any word may be its name.
            words = {
                Path(word).name for text in service.command for word in text.split()
            }
            found = {pid for pid in found if words & processes.program_names(pid)}
        if found:
            processes.end(found, service.stop_timeout)

    def _alive(self) -> bool:
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def _start_daemon(self) -> None:
        # In a session of its own: the end of the deployment's terminal or shell
        # must not reach it.
        subprocess.Popen(
            [
                *(str(_BIN / "python"), str(_DAEMON)),
                *("--nodaemon", f"--configuration={_CONFIG}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={
                "PATH": os.defpath + ":/usr/sbin:/sbin",
                "LANG": "C.UTF-8",
                "HOME": "/root",
                # What descends from it is ours.
                units.MARK: "supervisord",
            },
        )
        deadline = time.monotonic() + 20
        while not self._alive():
            if time.monotonic() > deadline:
                raise ServiceError(
                    "supervisord does not answer; look further with: "
                    f"tail {paths.LOG}/supervisord.log"
                )
            time.sleep(0.1)

    def _call(self, method: str, *arguments: Any) -> Any:
        # A connection for each call: the object is used by several threads.
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_Transport())
        with proxy:
            return getattr(proxy.supervisor, method)(*arguments)
