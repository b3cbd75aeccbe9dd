# SPDX-License-Identifier: Apache-2.0
"""Between our values and Docker's: pure functions and tables."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nova_multi.virt.engine import (
    LABEL_HOST,
    LABEL_IMAGE,
    LABEL_NAME,
    LABEL_ROLE,
    LABEL_UUID,
    ContainerSpec,
    GuestState,
    ImageKey,
)

ROLE_GUEST = "guest"
ROLE_SANDBOX = "sandbox"

#: What the guest calls itself; its sandbox, made at each start, needs to know.
LABEL_HOSTNAME = "nova-multi.hostname"
#: Begins the mark of a connected network; the names of its interfaces follow.
MARK = "nova-multi:"
#: Our labels begin so; an image can't bring such labels along.
LABEL_PREFIX = "nova-multi."

#: Repository of imported images is this and the Glance UUID, their tag the checksum.
IMAGE_REPOSITORY = "nova-multi/"
SANDBOX_REPOSITORY = "nova-multi/sandbox"
SNAPSHOT_REPOSITORY = "nova-multi/snapshot"

#: Capabilities of a guest's root: Docker's default without MKNOD (no device is made in
#: a guest) and SETPCAP. All are confined to the guest's user namespace where the daemon
#: remaps users. NET_RAW is kept for ping and DHCP clients: OVN lets only the port's own
#: addresses out. AUDIT_WRITE is kept for sshd.
CAPABILITIES = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETUID",
    "SYS_CHROOT",
)

#: Where the static binary that does nothing is found in a guest that needs it. ``/dev``
#: is not part of the root file system, so that no trace is left in a snapshot.
HOLD_PATH = "/dev/nova-multi-hold"
HOLD_COMMAND = (HOLD_PATH, "-P")

#: Programs that must be process 1; any other runs below Docker's own small init, which
#: passes signals on and buries orphans.
_INITS = frozenset(
    {"init", "systemd", "runit-init", "s6-svscan", "openrc-init", "tini"}
)
#: Interactive shells ignore SIGTERM, and the guest would wait for its kill.
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh"})

#: Bytes kept of a console: LOG_FILES files of this size.
LOG_SIZE = "1m"
#: With one file nearly everything would be lost at each rotation.
LOG_FILES = "2"

#: A sandbox is one process that sleeps; its memory limit in bytes, and processes.
_SANDBOX_MEMORY = 32 * 1024 * 1024
_SANDBOX_PIDS = 8

_STATES = {
    "created": GuestState.STOPPED,
    "running": GuestState.RUNNING,
    "paused": GuestState.PAUSED,
    "restarting": GuestState.CHANGING,
    "removing": GuestState.CHANGING,
    "stopping": GuestState.CHANGING,
    "dead": GuestState.CRASHED,
}


def state(word: str, *, sandbox_runs: bool, exit_code: int | None) -> GuestState:
    """State of a guest.

    An end that we asked for takes the sandbox along. So a guest that has ended while
    its sandbox runs ended by itself; with an error or for lack of memory (never with
    exit code 0), it crashed.

    :param word: ``State.Status`` of Docker.
    :param exit_code: None if it isn't known to be 0.
    """
    if word == "exited":
        crashed = sandbox_runs and exit_code != 0
        return GuestState.CRASHED if crashed else GuestState.STOPPED
    return _STATES.get(word, GuestState.UNKNOWN)


def image_name(key: ImageKey) -> str:
    """Name of an imported image: only ever given by us, and different for each key."""
    return f"{IMAGE_REPOSITORY}{key.image_id.lower()}:{key.checksum}"


def image_key(name: str) -> ImageKey | None:
    """The key in a name that :func:`image_name` made; None for any other name."""
    repository, _, tag = name.rpartition(":")
    if not repository.startswith(IMAGE_REPOSITORY) or not tag:
        return None
    if repository in (SANDBOX_REPOSITORY, SNAPSHOT_REPOSITORY):
        return None
    return ImageKey(repository.removeprefix(IMAGE_REPOSITORY), tag)


def sandbox_name(uuid: str) -> str:
    """Name of the container that owns a guest's network."""
    return f"nova-multi-net-{uuid}"


def snapshot_name(uuid: str) -> str:
    """Name of the image that exists while a guest is exported."""
    return f"{SNAPSHOT_REPOSITORY}:{uuid}"


def guest_labels(spec: ContainerSpec, host: str) -> dict[str, str]:
    """Labels of a guest; ours win over what the specification says."""
    return {
        **spec.labels,
        LABEL_UUID: spec.uuid,
        LABEL_HOST: host,
        LABEL_NAME: spec.name,
        LABEL_IMAGE: spec.image.image_id,
        LABEL_ROLE: ROLE_GUEST,
        LABEL_HOSTNAME: spec.hostname,
    }


def program(command: Sequence[str]) -> str:
    """Name of the program of a command, without its folder."""
    return posixpath.basename(command[0]) if command else ""


def arguments(spec: ContainerSpec, image_command: Sequence[str]) -> list[str]:
    """The whole argument list of the guest's first process."""
    command = list(spec.command or image_command or HOLD_COMMAND)
    if spec.bootstrap:
        return ["/bin/sh", spec.bootstrap, *command]
    return command


def guest_config(
    spec: ContainerSpec,
    image_command: Sequence[str],
    *,
    host: str,
    hold_binary: str,
    disk_limits: bool,
    no_new_privileges: bool,
) -> dict[str, Any]:
    """Body of ``POST /containers/create`` for a guest.

    It has a terminal that is kept open: a shell as the image's command then waits for
    input instead of ending, and what is written appears line by line.

    :param hold_binary: on the host; runs where no command is named.
    :param disk_limits: whether the storage driver takes a size.
    """
    own = spec.command or image_command
    argv = arguments(spec, image_command)
    mounts = [_mount(m.source, m.target, m.read_only) for m in spec.mounts]
    if not own:
        mounts.append(_mount(hold_binary, HOLD_PATH, True))
    memory = spec.memory_mb * 1024 * 1024
    host_config: dict[str, Any] = {
        "NetworkMode": f"container:{sandbox_name(spec.uuid)}",
        "Memory": memory,
        "MemorySwap": memory,  # the sum of both: no swap
        "NanoCpus": spec.vcpus * 1_000_000_000,
        "PidsLimit": spec.pids,
        "RestartPolicy": {"Name": "no"},
        "CapDrop": ["ALL"],
        "CapAdd": list(CAPABILITIES),
        "SecurityOpt": ["no-new-privileges"] if no_new_privileges else [],
        "Init": bool(own) and program(own) not in _INITS,
        "Mounts": mounts,
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": LOG_SIZE, "max-file": LOG_FILES},
        },
    }
    if disk_limits and spec.disk_gb:
        host_config["StorageOpt"] = {"size": f"{spec.disk_gb}G"}
    config: dict[str, Any] = {
        "Image": image_name(spec.image),
        "Entrypoint": argv,
        "Cmd": [],
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "Labels": guest_labels(spec, host),
        "Tty": True,
        "OpenStdin": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host_config,
    }
    if program(own) in _SHELLS and len(own) == 1:
        config["StopSignal"] = "SIGHUP"
    return config


def _mount(source: str, target: str, read_only: bool) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": source,
        "Target": target,
        "ReadOnly": read_only,
        "BindOptions": {"Propagation": "rprivate"},
    }


def sandbox_config(
    uuid: str, guest: Mapping[str, str], *, image: str, ipv6: bool
) -> dict[str, Any]:
    """Body of ``POST /containers/create`` for the owner of a guest's network.

    :param guest: labels of the guest.
    :param image: name of the image whose entry point sleeps.
    :param ipv6: whether the machine's kernel has IPv6.
    """
    labels = {
        name: guest[name]
        for name in (LABEL_UUID, LABEL_HOST, LABEL_NAME)
        if name in guest
    }
    labels[LABEL_ROLE] = ROLE_SANDBOX
    return {
        "Image": image,
        "Hostname": guest.get(LABEL_HOSTNAME, ""),
        "Labels": labels,
        "HostConfig": {
            "NetworkMode": "none",
            # Until it is connected nobody answers; without these, Docker would copy
            # the machine's own resolver.
            "Dns": ["127.0.0.1"],
            "DnsSearch": ["."],
            "Sysctls": sysctls(ipv6),
            # Only the driver starts it, so that it never runs without its interfaces.
            "RestartPolicy": {"Name": "no"},
            "Memory": _SANDBOX_MEMORY,
            "MemorySwap": _SANDBOX_MEMORY,
            "PidsLimit": _SANDBOX_PIDS,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            # Not read-only, for that would hold for its /etc/hosts and resolver too,
            # which are written when it is connected.
            "LogConfig": {"Type": "none", "Config": {}},
        },
    }


def sysctls(ipv6: bool) -> dict[str, str]:
    """Kernel settings of the guest's network.

    Addresses are Neutron's and configured from outside: router advertisements are not
    listened to. Anyone in the guest may ping.
    """
    found = {"net.ipv4.ping_group_range": "0 65535"}
    if ipv6:
        for scope in ("all", "default"):
            found[f"net.ipv6.conf.{scope}.disable_ipv6"] = "0"
            found[f"net.ipv6.conf.{scope}.accept_ra"] = "0"
    return found


def version(text: str) -> tuple[int, ...]:
    """Leading numbers of a version such as ``20.10.24+dfsg1``."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(n) for n in found[0].split(".")) if found else (0,)
