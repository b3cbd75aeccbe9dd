# SPDX-License-Identifier: Apache-2.0
"""Network interfaces of containers: veth pairs, moves between namespaces, addresses.

Written with ``ip -batch``: one process for many changes, with the kernel's own words on
an error. Every function may be repeated.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from collections.abc import Sequence

from nova_multi import exception
from nova_multi.privsep import network_context
from nova_multi.privsep.children import inherit_capabilities

#: Seconds; netlink answers in milliseconds, more means that something is stuck.
TIMEOUT = 30


def _ended(
    command: Sequence[str], *, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a tool of iproute2 or ethtool to its end.

    :raises NetworkSetupError: it can't be started, or does not end.
    """
    inherit_capabilities()
    try:
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise exception.NetworkSetupError(f"{command[0]}: {error}") from error


def _run(command: Sequence[str], *, stdin: str | None = None) -> str:
    """Run a tool and return what it printed.

    :raises NetworkSetupError: with the command and its error output.
    """
    done = _ended(command, stdin=stdin)
    if done.returncode:
        what = " ".join(command) + (f" <<< {stdin!r}" if stdin else "")
        raise exception.NetworkSetupError(f"{what}: {done.stderr.strip()}")
    return done.stdout


def _batch(lines: Sequence[str], namespace: str | None = None) -> None:
    enter = ["nsenter", f"--net={namespace}"] if namespace else []
    _run([*enter, "ip", "-batch", "-"], stdin="\n".join(lines) + "\n")


def link_exists(name: str) -> bool:
    """Whether the host's namespace has this interface (needs no rights)."""
    return os.path.exists(f"/sys/class/net/{name}")


#: Files of a process's /etc that may be written from outside.
_ETC = ("hosts", "resolv.conf")


def _link_in_namespace(namespace: str, name: str) -> bool:
    """:raises NetworkSetupError: it can't be found out in time."""
    enter = ["nsenter", f"--net={namespace}", "ip", "link", "show", "dev", name]
    return not _ended(enter).returncode


@network_context.entrypoint
def create_veth(tap: str, inner: str, mac: str, mtu: int) -> None:
    """Make the pair of a guest's interface, the host's end up, the guest's end down.

    Transmit checksum offload is off on the guest's end: the userspace datapath of Open
    vSwitch passes unfinished checksums on, and everything but ping fails. The host's
    end never speaks for itself (no IPv6 address), so that the machine is not on the
    guest's network.
    """
    lines = [f"link set dev {tap} addrgenmode none up"]
    if not link_exists(tap):
        peer = f"peer name {inner} address {mac} mtu {mtu}"
        lines.insert(0, f"link add name {tap} mtu {mtu} type veth {peer}")
    _batch(lines)
    disable_ipv6 = f"/proc/sys/net/ipv6/conf/{tap}/disable_ipv6"
    if os.path.exists(disable_ipv6):
        with open(disable_ipv6, "w", encoding="ascii") as control:
            control.write("1")
    if link_exists(inner):
        _run(["ethtool", "-K", inner, "tx", "off"])


@network_context.entrypoint
def set_link(name: str, up: bool) -> None:
    """Switch an interface of the host's namespace on or off; absent is fine."""
    if link_exists(name):
        _batch([f"link set dev {name} {'up' if up else 'down'}"])


@network_context.entrypoint
def delete_link(name: str) -> None:
    """Delete an interface of the host's namespace, with its peer; absent is fine."""
    if not link_exists(name):
        return
    try:
        _batch([f"link delete dev {name}"])
    except exception.NetworkSetupError:
        # A guest that ends at this moment takes its end of the pair along.
        if link_exists(name):
            raise


@network_context.entrypoint
def move_to_namespace(
    inner: str,
    namespace: str,
    name: str,
    mtu: int,
    addresses: Sequence[str],
    gateways: Sequence[str],
    routes: Sequence[tuple[str, str]],
    mark: str = "",
) -> None:
    """Move ``inner`` into the namespace as ``name`` and configure it there.

    :param namespace: path, such as ``/proc/42/ns/net``.
    :param addresses: with prefix length.
    :param routes: pairs of destination and gateway, which is empty for on the link.
    :param mark: left there at the end, as by :func:`set_mark`.
    :raises NetworkSetupError: also when neither ``inner`` nor ``name`` is there.
    """
    # Each look costs a process: none where the end that waits tells enough.
    if link_exists(inner) or not _link_in_namespace(namespace, name):
        _batch([f"link set dev {inner} netns {namespace} name {name}"])
    lines = ["link set dev lo up", f"link set dev {name} mtu {mtu} up"]
    for address in addresses:
        # The port's owner vouches for the address: no duplicate detection, which
        # would leave an IPv6 address unusable for the first second of the guest.
        nodad = " nodad" if ":" in address else ""
        lines.append(f"address replace {address} dev {name}{nodad}")
    for destination, gateway in [("default", g) for g in gateways] + list(routes):
        if not gateway:
            lines.append(f"route replace {destination} dev {name}")
            continue
        family = ipaddress.ip_address(gateway).version
        if destination == "default":
            destination = "default" if family == 4 else "::/0"
        lines.append(f"route replace {destination} via {gateway} dev {name} onlink")
    if mark:
        lines.append(_mark_line(mark))
    _batch(lines, namespace)


@network_context.entrypoint
def delete_in_namespace(namespace: str, name: str) -> None:
    """Delete an interface inside a namespace; absent is fine."""
    if _link_in_namespace(namespace, name):
        _batch([f"link delete dev {name}"], namespace)


@network_context.entrypoint
def set_mark(namespace: str, text: str) -> None:
    """Leave a word of ours in a namespace, which goes where the namespace goes.

    It is the alias of the loopback interface: at most 255 characters without blanks.
    """
    _batch([_mark_line(text)], namespace)


def _mark_line(text: str) -> str:
    return f"link set dev lo alias {text}"


@network_context.entrypoint
def mark(namespace: str) -> str:
    """What :func:`set_mark` left; empty if nothing, or if the namespace is gone.

    :raises NetworkSetupError: it is there, and can't be asked.
    """
    command = ["nsenter", f"--net={namespace}", "ip", "-json", "link", "show", "lo"]
    try:
        (link,) = json.loads(_run(command))
    except exception.NetworkSetupError:
        if os.path.exists(namespace):
            raise
        return ""
    return str(link.get("ifalias", ""))


@network_context.entrypoint
def write_etc(pid: int, name: str, content: str) -> None:
    """Write a file below ``/etc`` of a process whose program and root are ours.

    In place, for the file is shared with others by mounts.

    :param name: ``hosts`` or ``resolv.conf``.
    :raises NetworkSetupError: the process is gone, or has no such file.
    """
    if name not in _ETC:
        raise exception.NetworkSetupError(f"/etc/{name} is not ours to write")
    path = f"/proc/{int(pid)}/root/etc/{name}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
        with open(descriptor, "w", encoding="utf-8") as target:
            target.write(content)
    except OSError as error:
        raise exception.NetworkSetupError(f"{path}: {error.strerror}") from error
