# SPDX-License-Identifier: Apache-2.0
"""Will the daemons that run already do, of which a machine has one?

And the ranges of ids that they give guests. Looked at before the first deployment, so
what is found is somebody else's. Debian's own packages, where they are still to be
installed, are known to do.
"""

from __future__ import annotations

import http.client
import json
import os
import pwd
import re
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import command, processes, subids, variables

# What works with older ones is not known; Nova itself refuses an older libvirt.
_LEAST_LXD = (5, 0)
_LEAST_LIBVIRT = (8, 0)

_LXD_ROOT = Path("/var/lib/lxd")
# Names of Nova's corner in LXD; see the role compute-lxd.
_PROJECT = _POOL = "nova-multi"
_GUESTS = "nova-multi-guest"
_IDS_OF_A_GUEST = 65536
_SUBORDINATE = (Path("/etc/subuid"), Path("/etc/subgid"))
_TIMEOUT = 5


def check(values: Mapping[str, str]) -> list[str]:
    """All that the deployment would stumble over, by the inventory's plain values."""
    wanted = Path(values.get("lxd_root", _LXD_ROOT))
    roots = lxd_roots()
    texts = {path: _text(path) for path in _SUBORDINATE}
    has_lxd = bool(roots) or _is_user("_lxd")
    isolated = values.get("lxd_isolated", "true").lower() in ("true", "yes", "1")
    first = variables.numbers(values).get("docker_guest_first_id", 0)
    return [
        *check_roots(wanted, roots),
        *(check_lxd(_ask(wanted)) if wanted in roots else []),
        *check_libvirt(_libvirt_version()),
        *check_docker_ids(texts, first),
        # Debian's package makes one.
        *(check_lxd_ids(texts, isolated) if has_lxd else []),
    ]


def check_roots(wanted: Path, roots: set[Path]) -> list[str]:
    """A machine's LXD, of which there can be one, keeps its state somewhere."""
    return [
        f"an LXD with its state in {root} runs here already; to use that one set "
        f"lxd_root to {root}, or else stop it"
        for root in sorted(roots - {wanted})
    ]


def check_lxd(answers: Mapping[str, Any]) -> list[str]:
    """:param answers: of LXD, by path; None for what it does not have."""
    faults = []
    found = str(answers["/1.0"]["environment"]["server_version"])
    if version(found) < _LEAST_LXD:
        faults.append(f"LXD {found} runs here; {_dotted(_LEAST_LXD)} is needed")
    for kind, path in (("project", _project_path()), ("storage pool", _pool_path())):
        if answers.get(path) is not None:
            name = path.rpartition("/")[2]
            faults.append(
                f"LXD has a {kind} {name} already, which is not this deployment's; "
                "rename or delete it"
            )
    return faults


def check_libvirt(found: str) -> list[str]:
    if not found or version(found) >= _LEAST_LIBVIRT:
        return []
    return [f"libvirt {found} is here; Nova needs {_dotted(_LEAST_LIBVIRT)}"]


def check_docker_ids(texts: Mapping[Path, str], first: int) -> list[str]:
    """The ids of Docker's guests, which nobody else may have."""
    faults = []
    for path, text in texts.items():
        try:
            subids.present(text, _GUESTS, first, first + _IDS_OF_A_GUEST - 1)
        except ValueError as error:
            faults.append(f"{path}: {error} (docker_guest_first_id)")
    return faults


def check_lxd_ids(texts: Mapping[Path, str], isolated: bool) -> list[str]:
    """The ids of root, which LXD gives its guests: one range at least is large."""
    needed = _IDS_OF_A_GUEST * (2 if isolated else 1)
    return [
        f"{path} gives root no range of at least {needed} ids for LXD's guests; add "
        "one with usermod --add-subuids and --add-subgids"
        for path, text in texts.items()
        if not any(
            int(count) >= needed for count in re.findall(r"(?m)^root:\d+:(\d+)$", text)
        )
    ]


def lxd_roots(proc: Path = Path("/proc")) -> set[Path]:
    """The state folders of the LXDs that run on this machine."""
    found = set()
    for entry in proc.iterdir():
        if not entry.name.isdigit() or not processes.is_here(int(entry.name), proc):
            continue
        try:
            if (entry / "comm").read_text().strip() != "lxd":
                continue
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended, or belongs to another user
        named = [os.fsdecode(word[8:]) for word in variables if word[:8] == b"LXD_DIR="]
        found.add(Path(named[0]) if named else _LXD_ROOT)
    return found


def version(text: str) -> tuple[int, ...]:
    """The numbers that a version begins with."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _project_path() -> str:
    return f"/1.0/projects/{_PROJECT}"


def _pool_path() -> str:
    return f"/1.0/storage-pools/{_POOL}"


def _ask(root: Path) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "/1.0": {"environment": {"server_version": "that does not answer"}}
    }
    for path in ("/1.0", _project_path(), _pool_path()):
        connection = http.client.HTTPConnection("lxd", timeout=_TIMEOUT)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(_TIMEOUT)
            connection.sock.connect(str(root / "unix.socket"))
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status == 200:
                answers[path] = json.load(answer)["metadata"]
        except (OSError, http.client.HTTPException, ValueError):
            continue
        finally:
            connection.close()
    return answers


def _libvirt_version() -> str:
    """Of the daemon that is installed; empty where there is none."""
    daemon = shutil.which("libvirtd", path="/usr/sbin:/usr/local/sbin")
    if daemon is None:
        return ""
    try:
        return command.run([daemon, "--version"], timeout=_TIMEOUT).split()[-1]
    except (command.CommandError, IndexError):
        return ""


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
