#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ends the guests that Nova could not delete from the machine's libvirt.

    libvirt_guests.py FOLDER

Guests that are Nova's and have files below the compute's folder are destroyed and
undefined; their files stay. QEMU outlives its libvirtd: processes of such guests that
no libvirt answers for are ended as well. Other guests are not touched. stdlib only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

_TIMEOUT = 60
# Seconds that QEMU may take to end by itself.
_PATIENCE = 5.0
_DEFINITIONS = Path("/etc/libvirt/qemu")
_NOVA = "{http://openstack.org/xmlns/libvirt/nova/1.1}instance"


class LibvirtError(Exception):
    """libvirt does not answer, or refuses."""


def virsh(*words: str) -> str:
    """Run a command of virsh and return its output.

    :raises LibvirtError: it failed.
    """
    line = ("virsh", "--connect", "qemu:///system", *words)
    try:
        done = subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LibvirtError(f"{' '.join(line)}: {error}") from error
    if done.returncode:
        raise LibvirtError(f"{' '.join(line)}: {done.stderr.strip()}")
    return done.stdout


def is_ours(definition: str, folder: Path) -> bool:
    """Whether a domain is Nova's and keeps its files in the compute's folder."""
    try:
        root = ElementTree.fromstring(definition)
    except ElementTree.ParseError:
        return False  # nothing that Nova or libvirt wrote
    if root.find(f"metadata/{_NOVA}") is None:
        return False
    below = f"{folder}/"
    return any(
        value.startswith(below)
        for element in root.iter()
        for value in (*element.attrib.values(), (element.text or "").strip())
    )


def remove(folder: Path) -> None:
    """Destroy and undefine them in libvirt.

    :raises LibvirtError: it does not answer, or one of them could not be removed;
        the others are.
    """
    running = set(virsh("list", "--uuid").split())
    faults = []
    for uuid in virsh("list", "--all", "--uuid").split():
        try:
            if not is_ours(virsh("dumpxml", uuid), folder):
                continue
            if uuid in running:
                virsh("destroy", uuid)
            virsh("undefine", uuid, "--managed-save", "--snapshots-metadata", "--nvram")
        except LibvirtError as error:
            faults.append(str(error))
    if faults:
        raise LibvirtError("\n".join(faults))


def processes(folder: Path, proc: Path = Path("/proc")) -> list[int]:
    """QEMU's processes on this machine that have a file below the folder open."""
    below = os.fsencode(f"{folder}/")
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            program, _, rest = (entry / "cmdline").read_bytes().partition(b"\0")
            # In another namespace it is a guest of another machine's, a container.
            here = os.readlink(entry / "ns/pid") == os.readlink(proc / "self/ns/pid")
        except OSError:
            continue  # it has ended
        if here and b"qemu" in os.path.basename(program) and below in rest:
            found.append(int(entry.name))
    return sorted(found)


def end(folder: Path) -> None:
    """End the processes, by force those that take their time."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(processes(folder), number)
        deadline = time.monotonic() + _PATIENCE
        while processes(folder) and time.monotonic() < deadline:
            time.sleep(0.1)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def defined(folder: Path) -> list[Path]:
    """The definitions of such guests that libvirt will read when it starts."""
    if not _DEFINITIONS.is_dir():
        return []
    paths = sorted(_DEFINITIONS.glob("*.xml"))
    return [path for path in paths if is_ours(path.read_text(), folder)]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    fault = None
    try:
        remove(folder)
    except LibvirtError as error:
        fault = error
    end(folder)
    left = [*map(str, processes(folder)), *map(str, defined(folder))]
    if left:
        print(f"guests are left: {', '.join(left)}; {fault}", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
