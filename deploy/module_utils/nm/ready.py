# SPDX-License-Identifier: Apache-2.0
"""Is a service doing its work? Asked of the service itself, never of a pid file."""

from __future__ import annotations

import http.client
import shlex
import socket
import subprocess
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Seconds that one question may take.
PROBE_TIMEOUT = 5.0


def fault(check: Mapping[str, Any], timeout: float = PROBE_TIMEOUT) -> str | None:
    """Make one check; None if all is well, else what was found instead."""
    kind = check["kind"]
    try:
        return _CHECKS[kind](check, timeout)
    except (OSError, http.client.HTTPException) as error:
        return f"{describe(check)}: {error}"


def describe(check: Mapping[str, Any]) -> str:
    """What the check looks at, for people."""
    kind = check["kind"]
    if kind == "http":
        return str(check["url"])
    if kind == "tcp":
        return f"{check.get('address', '127.0.0.1')}:{check['port']}"
    if kind == "command":
        return shlex.join(_command(check))
    return str(check.get("path", kind))


def _http(check: Mapping[str, Any], timeout: float) -> str | None:
    url = urllib.parse.urlsplit(check["url"])
    # http.client, not urllib: no proxy of the environment stands between.
    connection = http.client.HTTPConnection(url.netloc, timeout=timeout)
    try:
        if "socket" in check:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(timeout)
            connection.sock.connect(str(check["socket"]))
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = {"Connection": "close", **check.get("headers", {})}
        connection.request("GET", target, headers=headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    expected = check.get("status") or range(200, 500)
    expected = [expected] if isinstance(expected, int) else expected
    return None if status in expected else f"{check['url']} answers {status}"


def _tcp(check: Mapping[str, Any], timeout: float) -> str | None:
    address = (check.get("address", "127.0.0.1"), int(check["port"]))
    socket.create_connection(address, timeout=timeout).close()
    return None


def _unix(check: Mapping[str, Any], timeout: float) -> str | None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(str(check["path"]))
    return None


def _command_check(check: Mapping[str, Any], timeout: float) -> str | None:
    try:
        done = subprocess.run(
            _command(check),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=float(check.get("timeout", 2 * timeout)),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return f"{describe(check)}: no answer within {error.timeout:g} s"
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        return f"{describe(check)}: exit {done.returncode}: {last}"
    wanted = check.get("contains")
    if wanted and wanted not in done.stdout:
        return f"{describe(check)}: {wanted!r} is not in the answer"
    return None


def _file(check: Mapping[str, Any], _timeout: float) -> str | None:
    return None if Path(check["path"]).exists() else f"{check['path']} is missing"


def _none(_check: Mapping[str, Any], _timeout: float) -> str | None:
    return None


def _command(check: Mapping[str, Any]) -> list[str]:
    command = check["command"]
    return shlex.split(command) if isinstance(command, str) else list(command)


_CHECKS = {
    "http": _http,
    "tcp": _tcp,
    "unix": _unix,
    "command": _command_check,
    "file": _file,
    "none": _none,
}
