# SPDX-License-Identifier: Apache-2.0
"""Our values as LXD's, and back. Pure functions.

Everything that reaches ``raw.lxc`` is checked word by word: that key is a file of
liblxc, in which one smuggled line break would be an order to the host.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from nova_multi import exception
from nova_multi.virt.engine import (
    LABEL_HOST,
    LABEL_UUID,
    ContainerSpec,
    ContainerState,
    GuestState,
    ImageKey,
    Interface,
    Mount,
    Route,
)

#: LXD keeps whatever begins with this for its users.
USER = "user."
#: Interfaces that ``connect`` and ``attach`` gave to the guest, as JSON.
INTERFACES = USER + "nova-multi.interfaces"
#: Status of a storage pool that is known, but not mounted.
POOL_UNAVAILABLE = "Unavailable"
#: Resolver configuration that was last written into the guest.
RESOLVER = USER + "nova-multi.resolver"
#: Names of our images, which LXD shows to administrators.
ALIAS_PREFIX = "nova-multi-"
INIT = "/sbin/init"
#: By this variable of the first process cloud-init knows OpenStack from inside a
#: container, where the firmware's words are those of the host (since nova-lxd).
CLOUD_MARK = "product_name"
CLOUD = "OpenStack Nova"
#: Size at which a console's file is put aside and begun anew, in liblxc's words.
CONSOLE_SIZE = "128KB"
#: What liblxc appends to the name of the file that was put aside.
ROTATED = ".1"
#: Holds a command whose words liblxc could not tell apart; see init_words.
COMMAND_FOLDER = "/etc/nova-multi"
COMMAND_FILE = f"{COMMAND_FOLDER}/command"
#: Beginning of the names of our network devices; their order is that of the interfaces.
NIC_PREFIX = "nova"

#: Every status code of LXD's documentation that a guest can have.
STATES = {
    100: GuestState.CHANGING,  # operation created
    101: GuestState.CHANGING,  # started: the request, not the guest
    102: GuestState.STOPPED,
    103: GuestState.RUNNING,
    104: GuestState.CHANGING,  # cancelling
    105: GuestState.CHANGING,  # pending
    106: GuestState.CHANGING,  # starting
    107: GuestState.CHANGING,  # stopping
    108: GuestState.CHANGING,  # aborting
    109: GuestState.CHANGING,  # freezing
    110: GuestState.PAUSED,  # frozen
    111: GuestState.RUNNING,  # thawed
    112: GuestState.CRASHED,  # error
    113: GuestState.RUNNING,  # ready
}

#: What liblxc takes as one word without any quoting (it has none).
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:=@%+,-]+\Z")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#: With dots since compute API 2.94; the kernel takes 64 characters.
_HOSTNAME = re.compile(rf"(?=.{{1,64}}\Z){_LABEL}(\.{_LABEL})*\Z")
_INTERFACE_NAME = re.compile(r"[a-z][a-z0-9]{0,14}\Z")

_Address = TypeVar("_Address", bound="ipaddress.IPv4Address | ipaddress.IPv6Address")


def alias(key: ImageKey) -> str:
    """LXD's name of an image of ours."""
    return f"{ALIAS_PREFIX}{key}"


def label(record: Mapping[str, Any], name: str) -> str:
    """A mark (LABEL_*) of an instance; empty without."""
    return str(record["config"].get(USER + name, ""))


def container_state(record: Mapping[str, Any]) -> ContainerState:
    """State of an instance as LXD lists it."""
    state = STATES.get(record["status_code"], GuestState.UNKNOWN)
    return ContainerState(
        uuid=label(record, LABEL_UUID),
        name=record["name"],
        state=state,
        detail=f"LXD status {record['status']} ({record['status_code']})",
    )


def has_settled(record: Mapping[str, Any]) -> bool:
    """Whether LXD is done with the end of a guest that does not run."""
    return bool(record["config"].get("volatile.last_state.power") != "RUNNING")


def is_ours(record: Mapping[str, Any], host: str) -> bool:
    """Whether the instance is a guest of this Nova host."""
    return label(record, LABEL_HOST) == host and bool(label(record, LABEL_UUID))


def command(spec: ContainerSpec) -> tuple[str, ...]:
    """First process of the guest in full; empty where LXD's own choice fits."""
    if spec.bootstrap:
        return (spec.bootstrap, *(spec.command or (INIT,)))
    return spec.command


def needs_command_file(words: Sequence[str]) -> bool:
    """Whether liblxc would get it wrong: it splits at blanks and knows no quotes."""
    return not all(_PLAIN_WORD.match(word) for word in words)


def command_file(words: Sequence[str]) -> str:
    """Script that becomes the command."""
    return f"#!/bin/sh\nexec {shlex.join(words)}\n"


def console_lines(log: str) -> list[str]:
    """Lines of ``raw.lxc`` that have the console written to a file.

    LXD's own way, a ring buffer, forgets what was read once and what was written before
    the guest's last start. An empty buffer size turns it off.
    """
    if not _PLAIN_WORD.match(log):
        raise exception.ConfigurationError(f"{log!r} can't be a console's file name")
    return [
        "lxc.console.buffer.size =",
        f"lxc.console.logfile = {log}",
        f"lxc.console.size = {CONSOLE_SIZE}",
        "lxc.console.rotate = 1",
    ]


def base_lines(spec: ContainerSpec, console_log: str) -> list[str]:
    """Lines of ``raw.lxc`` that stay the same for the guest's life.

    :param console_log: file to which liblxc writes the console.
    :raises EngineError: a host name that is none.
    """
    if not _HOSTNAME.match(spec.hostname):
        raise exception.EngineError(
            f"{spec.hostname!r} can't be the host name of a container", engine="lxd"
        )
    lines = [f"lxc.uts.name = {spec.hostname}", *console_lines(console_log)]
    words = command(spec)
    if words and needs_command_file(words):
        words = (COMMAND_FILE,)
    if words:
        lines.append(f"lxc.init.cmd = {' '.join(words)}")
    return lines


def network_lines(interfaces: Sequence[Interface]) -> list[str]:
    """Lines of ``raw.lxc`` that configure interfaces before the first process.

    liblxc numbers interfaces in the order of LXD's device names.
    """
    lines: list[str] = []
    routes: list[str] = []
    for number, interface in enumerate(interfaces):
        key = f"lxc.net.{number}"
        for address in interface.addresses:
            parsed = _unscoped(ipaddress.ip_interface(address))
            lines.append(f"{key}.ipv{parsed.version}.address = {parsed}")
        for gateway in interface.gateways:
            hop = _unscoped(ipaddress.ip_address(gateway))
            lines.append(f"{key}.ipv{hop.version}.gateway = {hop}")
        routes += [_route_command(interface.name, route) for route in interface.routes]
    if routes:
        # liblxc knows default routes only. The hook runs on the host, as root, when the
        # interfaces are in the guest and its first process is not yet there.
        lines.append(f"lxc.hook.start-host = /bin/sh -ec '{'; '.join(routes)}'")
    return lines


def _unscoped(address: _Address) -> _Address:
    """The address, unless a zone comes after it, in which any character may be.

    :raises ValueError: ``fe80::1%anything``
    """
    if getattr(address, "scope_id", None):
        raise ValueError(f"{str(address)!r} names a zone")
    return address


def _route_command(name: str, route: Route) -> str:
    if not _INTERFACE_NAME.match(name):
        raise exception.NetworkSetupError(f"{name!r} is no interface name")
    destination = ipaddress.ip_network(route.destination, strict=False)
    hop = ""
    if route.gateway:
        hop = f" via {_unscoped(ipaddress.ip_address(route.gateway))} onlink"
    return (
        f'nsenter --net="/proc/$LXC_PID/ns/net" ip route replace {destination}'
        f" dev {name}{hop}"
    )


def with_network(
    config: Mapping[str, str], interfaces: Sequence[Interface]
) -> dict[str, str]:
    """Configuration of an instance with the network's part replaced."""
    kept = [
        line
        for line in config.get("raw.lxc", "").splitlines()
        if not line.startswith(("lxc.net.", "lxc.hook.start-host"))
    ]
    changed = dict(config)
    changed["raw.lxc"] = "\n".join(kept + network_lines(interfaces)) + "\n"
    changed[INTERFACES] = json.dumps([_as_dict(each) for each in interfaces])
    return changed


def _as_dict(interface: Interface) -> dict[str, Any]:
    return {
        "port_id": interface.port_id,
        "name": interface.name,
        "mac": interface.mac,
        "mtu": interface.mtu,
        "tap": interface.tap,
        "inner": interface.inner,
        "addresses": interface.addresses,
        "gateways": interface.gateways,
        "routes": [[route.destination, route.gateway] for route in interface.routes],
        "nameservers": interface.nameservers,
        "search": interface.search,
    }


def interfaces_of(record: Mapping[str, Any]) -> tuple[Interface, ...]:
    """Interfaces that an instance was given."""
    return tuple(
        Interface(
            port_id=item["port_id"],
            name=item["name"],
            mac=item["mac"],
            mtu=item["mtu"],
            tap=item["tap"],
            inner=item["inner"],
            addresses=tuple(item["addresses"]),
            gateways=tuple(item["gateways"]),
            routes=tuple(Route(*route) for route in item["routes"]),
            nameservers=tuple(item["nameservers"]),
            search=tuple(item["search"]),
        )
        for item in json.loads(record["config"].get(INTERFACES, "[]"))
    )


def nic(interface: Interface) -> dict[str, str]:
    """Device that takes the guest's end of a veth pair into the guest.

    It fails closed: LXD starts no guest whose interface is missing. When the guest
    stops, LXD brings the interface back under its old name.
    """
    return {
        "type": "nic",
        "nictype": "physical",
        "parent": interface.inner,
        "name": interface.name,
        "hwaddr": interface.mac,
        "mtu": str(interface.mtu),
    }


def with_nics(
    devices: Mapping[str, Mapping[str, str]], interfaces: Sequence[Interface]
) -> dict[str, dict[str, str]]:
    """Devices of an instance with its interfaces replaced by these, in this order.

    An interface that is there already keeps its device name, so that a running guest
    does not lose it.
    """
    names = {
        device["parent"]: name
        for name, device in devices.items()
        if device["type"] == "nic" and "parent" in device
    }
    changed = {
        name: dict(device)
        for name, device in devices.items()
        if device["type"] != "nic"
    }
    last = -1
    for interface in interfaces:
        name = names.get(interface.inner, "")
        number = int(name.removeprefix(NIC_PREFIX)) if name else last + 1
        if number <= last:  # its place among the others has changed
            number = last + 1
        last = number
        changed[f"{NIC_PREFIX}{number:03d}"] = nic(interface)
    return changed


def _mount(mount: Mount) -> dict[str, str]:
    return {
        "type": "disk",
        "source": mount.source,
        "path": mount.target,
        "readonly": str(mount.read_only).lower(),
    }


def mounted_folders(record: Mapping[str, Any]) -> list[str]:
    """Folders of the host that an instance mounts."""
    return [
        device["source"]
        for name, device in sorted(record["devices"].items())
        if device["type"] == "disk" and "source" in device
    ]


def instance_request(
    spec: ContainerSpec,
    *,
    fingerprint: str,
    pool: str,
    console_log: str,
    disk_limits: bool,
    isolated: bool,
) -> dict[str, Any]:
    """Body of LXD's request that creates the guest.

    :param console_log: file to which liblxc writes the console.
    :param disk_limits: whether the pool enforces sizes; where not, none is given, since
        LXD would refuse it or pretend.
    :param isolated: own id range.
    """
    root = {"type": "disk", "path": "/", "pool": pool}
    if disk_limits and spec.disk_gb:
        root["size"] = f"{spec.disk_gb}GiB"
    config = {
        "boot.autostart": "false",  # Nova starts guests, after it connected them
        "limits.cpu.allowance": f"{spec.vcpus * 100}ms/100ms",
        "limits.memory": f"{spec.memory_mb}MiB",
        "limits.memory.swap": "false",
        "limits.processes": str(spec.pids),
        "security.devlxd": "false",
        "security.idmap.isolated": str(isolated).lower(),
        "security.nesting": "false",
        "security.privileged": "false",
        "raw.lxc": "\n".join(base_lines(spec, console_log)) + "\n",
    }
    environment = {CLOUD_MARK: CLOUD, **spec.environment}
    config |= {f"environment.{name}": v for name, v in environment.items()}
    config |= {USER + name: value for name, value in spec.labels.items()}
    devices = {"root": root}
    devices |= {f"mount{n}": _mount(mount) for n, mount in enumerate(spec.mounts)}
    return {
        "name": spec.name,
        "type": "container",
        "ephemeral": False,
        "profiles": [],
        "source": {"type": "image", "fingerprint": fingerprint},
        "config": config,
        "devices": devices,
    }


def root_ids(record: Mapping[str, Any]) -> tuple[int, int]:
    """User and group on the host of the guest's root.

    :raises EngineError: LXD did not say.
    """
    found = {}
    for entry in json.loads(record["config"].get("volatile.idmap.next", "[]")):
        if entry["Nsid"] == 0:
            for kind in ("Isuid", "Isgid"):
                if entry[kind]:
                    found[kind] = entry["Hostid"]
    try:
        return found["Isuid"], found["Isgid"]
    except KeyError:
        raise exception.EngineError(
            f"LXD names no id range for {record['name']}", engine="lxd"
        ) from None
