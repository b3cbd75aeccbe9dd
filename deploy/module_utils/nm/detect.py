# SPDX-License-Identifier: Apache-2.0
"""What a machine is and can do: the variable `nm` of the roles."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import kvm, paths

# Where glibc looks for name servers, and where systemd-resolved, whose own address in
# the first one means nothing to a guest, keeps those that it asks.
_RESOLVER_FILES = (
    Path("/etc/resolv.conf"),
    Path("/run/systemd/resolve/resolv.conf"),
)

# linux/sockios.h
_SIOCGIFMTU = 0x8921


def facts() -> dict[str, Any]:
    """Everything that roles ask about; takes well under a second."""
    interface = outer_interface()
    return {
        "hostname": socket.gethostname().split(".")[0],
        "init": "systemd" if Path("/run/systemd/system").is_dir() else "supervisor",
        "kvm": kvm.works(),
        "kvm_device": Path("/dev/kvm").exists(),
        "datapath": datapath(),
        "cgroup": 2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1,
        "outer_interface": interface,
        "mtu": mtu(interface),
        "dns_servers": dns_servers(),
        "memory_mb": memory_mb(),
        "vcpus": len(os.sched_getaffinity(0)),
        "disk_gb": disk_gb(),
        "distribution": " ".join(distribution()),
    }


def distribution(path: Path = Path("/etc/os-release")) -> tuple[str, str]:
    """ID and VERSION_ID of os-release, empty where unknown."""
    values = {}
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition("=")
            values[key] = value.strip("\"'")
    except OSError:
        pass
    return values.get("ID", ""), values.get("VERSION_ID", "")


def datapath() -> str:
    """ "system" where the kernel has Open vSwitch, else "netdev" (in user space)."""
    loaded = Path("/sys/module/openvswitch")
    modprobe = shutil.which("modprobe", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if not loaded.exists() and modprobe:
        subprocess.run([modprobe, "--quiet", "openvswitch"], check=False)
    return "system" if loaded.exists() else "netdev"


def outer_interface(routes: Path = Path("/proc/net/route")) -> str:
    """The interface of the IPv4 default route; empty where there is none."""
    best: tuple[int, str] | None = None
    for line in routes.read_text().splitlines()[1:]:
        name, destination, _, flags, _, _, metric, mask = line.split()[:8]
        up = int(flags, 16) & 1
        if destination == "00000000" and mask == "00000000" and up:
            best = min(best or (int(metric), name), (int(metric), name))
    return best[1] if best else ""


def mtu(interface: str) -> int:
    """Of an interface, in bytes; 1500 where there is no such interface."""
    # Asked of the kernel: in a container /sys may show another network namespace.
    request = struct.pack("16s16x", interface.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _SIOCGIFMTU, request)
        except OSError:
            return 1500
    return int(struct.unpack_from("16si", answer)[1])


def dns_servers(files: Sequence[Path] = _RESOLVER_FILES) -> list[str]:
    """IPv4 addresses of name servers that guests can ask too; none on loopback."""
    found: list[str] = []
    for file in files:
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if len(words) < 2 or words[0] != "nameserver":
                continue
            try:
                address = ipaddress.IPv4Address(words[1])
            except ValueError:
                continue
            if not address.is_loopback and words[1] not in found:
                found.append(words[1])
        if found:
            break
    return found


def memory_mb(meminfo: Path = Path("/proc/meminfo")) -> int:
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def disk_gb(path: Path = paths.STATE) -> int:
    """Size of the file system that will hold the state, in GiB."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).total // 2**30
