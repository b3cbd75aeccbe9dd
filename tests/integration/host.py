# SPDX-License-Identifier: Apache-2.0
"""What a server leaves on the machine, read from where it lies."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from collections.abc import Callable, Sequence

DOCKER_SOCKET = "unix:///run/nova-multi/docker/docker.sock"
LXD_DIR = "/var/lib/lxd"
LXD_PROJECT = "nova-multi"
STATE = pathlib.Path("/var/lib/nova-multi")


def _run(*command: str, **environment: str) -> str:
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def _docker_guests(uuid: str) -> list[str]:
    label = f"label=nova-multi.instance-uuid={uuid}"
    docker = ["docker", "--host", DOCKER_SOCKET, "ps", "--all", "--quiet"]
    return _run(*docker, "--filter", label).split()


def _lxd_guests(uuid: str) -> list[str]:
    command = ["lxc", "--project", LXD_PROJECT, "list", "--format", "json"]
    listed = json.loads(_run(*command, LXD_DIR=LXD_DIR))
    key = "user.nova-multi.instance-uuid"
    return [guest["name"] for guest in listed if guest["config"].get(key) == uuid]


def _libvirt_guests(uuid: str) -> list[str]:
    command = ["virsh", "--connect", "qemu:///system", "list", "--all", "--uuid"]
    return [found for found in _run(*command).split() if found == uuid]


GUESTS: dict[str, Callable[[str], list[str]]] = {
    "docker": _docker_guests,
    "lxd": _lxd_guests,
    "libvirt": _libvirt_guests,
}


def _links(ports: Sequence[str]) -> list[str]:
    names = {f"{prefix}{port[:11]}" for port in ports for prefix in ("tap", "inn")}
    return sorted(
        names & {path.name for path in pathlib.Path("/sys/class/net").iterdir()}
    )


def switch_ports(port: str) -> list[str]:
    """Interfaces of Open vSwitch that belong to a Neutron port."""
    command = ["ovs-vsctl", "--bare", "--columns=name", "find", "Interface"]
    return _run(*command, f"external_ids:iface-id={port}").split()


def traces(hypervisor: str, uuid: str, ports: Sequence[str]) -> dict[str, list[str]]:
    """All that there is of a server on the machine; empty lists if there is nothing."""
    found = {
        "guests": GUESTS[hypervisor](uuid),
        "interfaces": _links(ports),
        "switch ports": [name for port in ports for name in switch_ports(port)],
        "files": [str(path) for path in STATE.glob(f"compute-*/**/*{uuid}*")],
    }
    return found
