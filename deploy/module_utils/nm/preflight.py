# SPDX-License-Identifier: Apache-2.0
"""Everything that would keep the deployment from working here, found beforehand."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import adopted, detect, manifest, mirrors, paths, ports, ranges, variables

# Distribution and version on which the whole has been proved.
SUPPORTED = {("debian", "12")}

# OVN's databases listen there only for other machines; on one, sockets do.
_BETWEEN_MACHINES = ("ovn_nb_port", "ovn_sb_port")


def check(deploy: Path, inventory: Path, extra_vars: Iterable[str]) -> list[str]:
    """All faults of this machine at once; none if the deployment can begin."""
    values = variables.read(deploy, inventory, extra_vars)
    numbers = {
        "required_memory_mb": 0,
        "required_disk_gb": 0,
        **variables.numbers(values),
    }
    faults = [
        *_check_root(os.geteuid()),
        *check_system(detect.distribution()),
        *check_memory(detect.memory_mb(), numbers["required_memory_mb"]),
        *_check_disk(numbers["required_disk_gb"]),
        *_check_hostname(socket.gethostname()),
        *_check_bridges(),
    ]
    if os.geteuid() == 0:
        # Only root sees whose the ports are.
        wanted = {
            value: name
            for name, value in numbers.items()
            if name.endswith("_port") and name not in _BETWEEN_MACHINES
        }
        faults += check_ports(wanted, ports.listeners(set(wanted)))
    if not has_begun():
        faults += [
            *_check_open_vswitch(),
            *adopted.check(values),
            *ranges.check(values, ranges.uses()),
            *mirrors.check(),
        ]
    return faults


def has_begun() -> bool:
    """Whether a deployment has made anything here, beyond a Python to run with."""
    return any(entry["kind"] != "python" for entry in manifest.entries())


def check_system(distribution: tuple[str, str]) -> list[str]:
    if distribution in SUPPORTED:
        return []
    names = ", ".join(f"{name} {version}" for name, version in sorted(SUPPORTED))
    found = " ".join(distribution).strip() or "an unknown system"
    return [f"this is {found}; supported: {names}"]


def check_memory(present_mb: int, required_mb: int) -> list[str]:
    if present_mb >= required_mb:
        return []
    return [f"{present_mb} MB of memory; the cloud needs {required_mb} MB"]


def check_ports(
    wanted: Mapping[int, str], listeners: Iterable[ports.Listener]
) -> list[str]:
    """Ports that others hold, with who it is and which variable moves ours."""
    return [
        f"port {listener.port} is taken by "
        + (
            f"{listener.name} (process {listener.pid})"
            if listener.pid
            else "a process that cannot be seen from here"
        )
        + f"; end it, or set {wanted[listener.port]} in the inventory"
        for listener in listeners
        if not listener.ours
    ]


def _check_root(uid: int) -> list[str]:
    return [] if uid == 0 else ["not root; run it with sudo"]


def _check_disk(required_gb: int) -> list[str]:
    if has_begun():
        return []  # what it takes, it has taken already
    path = paths.STATE
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free // 2**30
    if free >= required_gb:
        return []
    return [f"{free} GB of disk are free at {path}; the cloud needs {required_gb} GB"]


def _check_hostname(name: str) -> list[str]:
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return [
            f"the node's name {name} does not resolve; add it to /etc/hosts "
            f"(127.0.1.1 {name})"
        ]
    return []


def _check_bridges() -> list[str]:
    """A br-int or br-ex that is none of ours: another cloud lives here."""
    if has_begun():
        return []
    return [
        f"there is a network interface {name} already, which the cloud's network "
        "would take over; is another cloud on this machine?"
        for _, name in socket.if_nameindex()
        if name in ("br-int", "br-ex")
    ]


def _check_open_vswitch() -> list[str]:
    """An Open vSwitch that follows somebody else's OVN."""
    vsctl = shutil.which("ovs-vsctl", path="/usr/bin:/usr/sbin")
    if vsctl is None:
        return []
    query = ["--if-exists", "get", "Open_vSwitch", ".", "external_ids:ovn-remote"]
    done = subprocess.run(
        [vsctl, "--timeout=3", *query], capture_output=True, text=True, check=False
    )
    remote = done.stdout.strip().strip('"')
    if done.returncode or not remote:
        return []
    return [f"this machine's Open vSwitch belongs to the OVN at {remote} already"]
