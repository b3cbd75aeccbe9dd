# SPDX-License-Identifier: Apache-2.0
"""What a machine is like, as far as a deployment could change it."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.deploy.machine import Machine

#: Files of /etc that tools write anew, whatever they hold: copies from before the last
#: change of an account, a lock, the linker's cache.
VOLATILE = {
    *(f"{name}-" for name in ("passwd", "group", "shadow", "gshadow")),
    *("subuid-", "subgid-", ".pwd.lock", "ld.so.cache"),
}
#: Lists whose first field names an account. They are compared by line.
ACCOUNTS = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
#: What Debian's packages leave when they are purged, here as anywhere: accounts, whose
#: numbers are not to become others', folders of local additions, ...
LEFT_BY_PACKAGES = {
    "accounts": {
        *("_lxd", "docker", "dnsmasq", "epmd", "haproxy", "input", "kvm", "libvirt"),
        *("libvirt-qemu", "lxd", "memcache", "messagebus", "mysql", "openvswitch"),
        *("ovn", "polkitd", "rabbitmq", "rdma", "render", "sgx", "uuidd"),
        *("systemd-network", "systemd-journal", "systemd-timesync", "ssl-cert"),
        *("root in subuid", "root in subgid"),
    },
    "files of /etc": {
        *("apparmor.d", "apparmor.d/local", "apparmor.d/local/abstractions"),
        "apparmor.d/local/abstractions/libvirt-lxc",
        "apparmor.d/local/abstractions/libvirt-qemu",
        *("dnsmasq.d", "machine-id", "mtab", "mysql", "mysql/debian.cnf", "xml"),
    },
}
#: Below these nothing may bear our name.
PLACES = ("etc", "opt", "run", "usr/local", "usr/lib/systemd", "var", "root")
#: Where the checkout is, which has our name.
CHECKOUT = "root/nova_multi"
#: Mounts that come and go with sessions.
SESSIONS = ("/run/user/", "/run/credentials/")

_FORWARD = "/proc/sys/net/ipv4/ip_forward"

State = dict[str, dict[str, str]]


def take(machine: Machine) -> State:
    """The machine's state: for each subject, values by name."""
    return {
        "packages": _lines(_packages(machine)),
        "files of /etc": dict(_etc(machine.path("/etc"))),
        "accounts": dict(_accounts(machine.path("/etc"))),
        "interfaces": _lines(machine.network("ip", "-o", "-br", "link").split("\n")),
        "addresses": _lines(machine.network("ip", "-4", "-br", "address").split("\n")),
        "routes": _lines(
            machine.network("ip", "-4", "route", "show", "table", "all").split("\n")
        ),
        "rules": _lines(machine.network("ip", "-4", "rule").split("\n")),
        "packet filter": _lines(machine.network("nft", "list", "ruleset").split("\n")),
        "kernel": {"ip_forward": machine.network("cat", _FORWARD).strip()},
        "mounts": _lines(_mounts(machine)),
        "programs": _lines(_programs(machine.inside)),
        "ours": _lines(_ours(machine.inside)),
        "services": _lines(machine.services()),
    }


def differences(before: State, after: State) -> list[str]:
    """What is not as it was, one line each."""
    return [
        f"{subject}: {name}: {_of(before[subject], name)} → {_of(after[subject], name)}"
        for subject in before
        for name in sorted(before[subject].keys() | after[subject].keys())
        if before[subject].get(name) != after[subject].get(name)
        and not {name, name.partition(" in ")[0]} & LEFT_BY_PACKAGES.get(subject, set())
    ]


def _of(values: Mapping[str, str], name: str) -> str:
    return values.get(name, "absent")


def _lines(lines: Iterator[str] | set[str] | list[str]) -> dict[str, str]:
    return {line.strip(): "present" for line in lines if line.strip()}


def _packages(machine: Machine) -> list[str]:
    """Also those that are removed and have left configuration."""
    return subprocess.run(
        [
            *("dpkg-query", f"--admindir={machine.path('/var/lib/dpkg')}", "--show"),
            "--showformat=${db:Status-Abbrev} ${binary:Package} ${Version}\\n",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


def _etc(top: Path) -> Iterator[tuple[str, str]]:
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(folder, name)
            relative = str(path.relative_to(top))
            if relative not in VOLATILE and relative not in ACCOUNTS:
                yield relative, _what(path)


def _accounts(etc: Path) -> Iterator[tuple[str, str]]:
    for file in ACCOUNTS:
        path = etc / file
        for line in path.read_text().splitlines() if path.exists() else ():
            name, _, rest = line.partition(":")
            yield f"{name} in {file}", hashlib.sha256(rest.encode()).hexdigest()[:12]


def _what(path: Path) -> str:
    status = path.lstat()
    owner = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if path.is_symlink():
        return f"link to {os.readlink(path)}"
    if path.is_file():
        return f"{owner} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    return owner


def _mounts(machine: Machine) -> Iterator[str]:
    for line in (machine.leader / "mounts").read_text().splitlines():
        target = line.split()[1]
        if not target.startswith(SESSIONS):
            yield target


def _programs(root: Path) -> Iterator[str]:
    for folder in ("opt", "usr/local/bin", "usr/local/sbin"):
        for path in (root / folder).iterdir():
            yield str(path.relative_to(root))


def _ours(root: Path) -> Iterator[str]:
    for place in PLACES:
        for folder, folders, files in os.walk(root / place):
            relative = str(Path(folder).relative_to(root))
            if relative == CHECKOUT:
                folders.clear()
                continue
            for name in (*folders, *files):
                if "nova-multi" in name:
                    yield f"{relative}/{name}"
