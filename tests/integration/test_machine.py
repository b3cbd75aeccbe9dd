# SPDX-License-Identifier: Apache-2.0
"""What the deployment leaves on the machine: secrets, sockets, network, memory."""

from __future__ import annotations

import collections
import ipaddress
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PASSWORDS = Path("/etc/nova-multi/passwords.yml")
CHASSIS = Path("/etc/nova-multi/chassis/chassis.json")
#: Where the deployment writes what it does not keep for itself.
FOLDERS = (
    "/etc/nova-multi",
    "/etc/openstack",
    "/var/log/nova-multi",
    "/run/nova-multi",
)
#: MiB of the control plane and three computes; guests are not counted.
MEMORY_LIMIT = 3072
#: The provisioning service's, and their MiB.
PROVISIONING = frozenset({"nova-multi-api", "nova-multi-worker"})
PROVISIONING_LIMIT = 320
#: Programs that are guests, or a guest's own.
GUESTS = re.compile(r"qemu-system|containerd-shim|\[lxc monitor\]")
MARK = b"NOVA_MULTI_SERVICE="


@pytest.fixture(scope="module")
def secrets() -> dict[bytes, str]:
    """Each password of the deployment, and its name."""
    found = {}
    for line in PASSWORDS.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition(": ")
            found[value.encode()] = name
    assert len(found) > 10
    return found


def _processes() -> Iterator[Path]:
    """Processes of the same network as ours: not those of other test machines."""
    network = os.readlink("/proc/self/ns/net")
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and os.readlink(process / "ns/net") == network:
                yield process
        except OSError:
            continue  # it ended meanwhile


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_passwords_are_roots_alone() -> None:
    status = PASSWORDS.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o600)


def test_no_secret_is_in_a_process_list(secrets: dict[bytes, str]) -> None:
    told = {
        (process.name, name)
        for process in _processes()
        for file in ("cmdline", "environ")
        for secret, name in secrets.items()
        if secret in _read(process / file)
    }
    assert not told


def test_no_secret_is_in_a_readable_file_or_a_log(secrets: dict[bytes, str]) -> None:
    told = {
        (str(file), name)
        for folder in FOLDERS
        for file in Path(folder).rglob("*")
        if file.is_file()
        and not file.is_symlink()
        and (_is_readable_by_all(file) or "/log/" in str(file))
        for secret, name in secrets.items()
        if secret in _read(file)
    }
    assert not told


def _is_readable_by_all(file: Path) -> bool:
    return bool(file.stat().st_mode & stat.S_IROTH) and all(
        folder.stat().st_mode & stat.S_IXOTH for folder in file.parents
    )


def test_services_listen_on_loopback_only() -> None:
    ours = {
        int(process.name): name
        for process in _processes()
        if (name := _service(process)) is not None
    }
    listing = subprocess.run(
        ["ss", "--listening", "--tcp", "--numeric", "--processes", "--no-header"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    outside = set()
    for line in listing.splitlines():
        local = line.split()[3].rsplit(":", 1)[0].strip("[]").split("%")[0]
        owners = {int(pid) for pid in re.findall(r"pid=(\d+)", line)} & set(ours)
        is_inside = local != "*" and ipaddress.ip_address(local).is_loopback
        if owners and not is_inside:
            outside.add((line.split()[3], *sorted(ours[pid] for pid in owners)))
    assert not outside


def _service(process: Path) -> str | None:
    for variable in _read(process / "environ").split(b"\0"):
        if variable.startswith(MARK):
            return variable.removeprefix(MARK).decode()
    return None


def test_routes_and_a_rule_taken_away_are_put_back() -> None:
    def chassis(verb: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["python3", str(CHASSIS.with_suffix(".py")), verb, str(CHASSIS)],
            check=False,
            capture_output=True,
            text=True,
        )

    wanted = json.loads(CHASSIS.read_text())
    network, table = wanted["unreachable"][0], wanted["table"]
    assert chassis("check").returncode == 0
    bridge = wanted["bridges"][0]["name"]
    subprocess.run(["ip", "route", "del", "unreachable", network], check=True)
    subprocess.run(["ip", "route", "del", network, "dev", bridge], check=True)
    subprocess.run(["nft", "flush", "table", "ip", table], check=True)
    assert chassis("check").returncode == 1
    applied = chassis("apply")
    assert applied.returncode == 0
    assert applied.stdout.splitlines() == [
        f"route {network} of {bridge}",
        f"route unreachable {network}",
        "packet filter rules",
    ]
    assert chassis("check").returncode == 0


def test_all_services_together_keep_to_their_memory() -> None:
    taken: collections.Counter[str] = collections.Counter()
    for process in _processes():
        name = _service(process)
        command = (
            _read(process / "cmdline").replace(b"\0", b" ").decode("utf-8", "replace")
        )
        found = re.search(rb"^Pss:\s+(\d+) kB", _read(process / "smaps_rollup"), re.M)
        if name and found and not GUESTS.search(command):
            taken[name] += int(found[1])
    assert len(taken) >= 20
    own = sum(taken.pop(name) for name in PROVISIONING)
    assert own / 1024 < PROVISIONING_LIMIT
    assert sum(taken.values()) / 1024 < MEMORY_LIMIT, taken.most_common()
