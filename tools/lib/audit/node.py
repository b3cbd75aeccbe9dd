# SPDX-License-Identifier: Apache-2.0
"""What there is on this node, read from the engines and the system themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from audit.findings import Found
from nova_multi.virt.engine import LABEL_ROLE, LABEL_UUID

ETC = Path(os.environ.get("NOVA_MULTI_ETC", "/etc/nova-multi"))
RUN = Path(os.environ.get("NOVA_MULTI_RUN", "/run/nova-multi"))
STATE = Path(os.environ.get("NOVA_MULTI_STATE", "/var/lib/nova-multi"))
TIMEOUT = 60
#: Seconds after which a file that is being staged must be in its place.
STAGING_AGE = 3600
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class AuditError(Exception):
    """Something can't be looked at, so nothing can be said of it."""


def guests() -> Iterator[Found]:
    """Guests and their sandboxes in the engines that this node has."""
    if (ETC / "compute-docker").is_dir():
        yield from _docker()
    if (ETC / "compute-lxd").is_dir():
        yield from _lxd()
    if (ETC / "compute-libvirt").is_dir():
        yield from _libvirt()


def _docker() -> Iterator[Found]:
    host = f"--host=unix://{RUN}/docker/docker.sock"
    form = f'{{{{.Names}}}} {{{{.Label "{LABEL_UUID}"}}}} {{{{.Label "{LABEL_ROLE}"}}}}'
    text = _run("docker", host, "ps", "--all", "--format", form)
    for line in text.splitlines():
        name, *marks = line.split()
        if marks:
            yield Found(f"Docker {' '.join(marks[1:])}", name, marks[0])


def _lxd() -> Iterator[Found]:
    setup = json.loads((ETC / "lxd" / "setup.json").read_text())
    path = f"/1.0/instances?recursion=1&project={setup['project']}"
    text = _run(
        "lxc", "query", path, LXD_DIR=setup["root"], LXD_CONF=str(RUN / "audit")
    )
    for record in json.loads(text):
        owner = record["config"].get(f"user.{LABEL_UUID}")
        if owner:
            yield Found("LXD guest", record["name"], owner)


def _libvirt() -> Iterator[Found]:
    system = ("virsh", "--connect=qemu:///system")
    for line in _run(*system, "list", "--all", "--uuid", "--name").splitlines():
        words = line.split()
        # Nova's names; another tenant of the same libvirt is none of our business.
        if len(words) == 2 and words[1].startswith("instance-"):
            yield Found("libvirt guest", words[1], words[0])


def folders() -> Iterator[Found]:
    """Folders of servers."""
    for path in STATE.glob("compute-*/instances/*"):
        if _UUID.fullmatch(path.name):
            yield Found("folder", str(path), path.name)


def stale_staging() -> list[str]:
    """Files of transfers that ended long ago."""
    oldest = time.time() - STAGING_AGE
    return sorted(
        str(path)
        for path in STATE.glob("compute-*/instances/_staging/*")
        if path.stat().st_mtime < oldest
    )


def interfaces() -> list[str]:
    """Names of the machine's network interfaces."""
    return os.listdir("/sys/class/net")


def switch_ports() -> list[str]:
    """Names of the ports of the integration bridge."""
    if not (ETC / "chassis").is_dir():
        return []
    return _run("ovs-vsctl", "--timeout=10", "list-ports", "br-int").split()


def _run(*command: str, **environment: str) -> str:
    try:
        done = subprocess.run(
            command,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AuditError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise AuditError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
