# SPDX-License-Identifier: Apache-2.0
"""What deploy/down ends in libvirt, beside a libvirt that is a dictionary."""

from __future__ import annotations

import os
from pathlib import Path

import libvirt_guests
import pytest

FOLDER = Path("/var/lib/x/compute-libvirt")
OTHER = "/var/lib/libvirt/images/disk"
DISK = f"{FOLDER}/instances/1/disk"


def definition(disk: str, *, nova: bool = True) -> str:
    metadata = (
        '<n:instance xmlns:n="http://openstack.org/xmlns/libvirt/nova/1.1"/>'
        if nova
        else ""
    )
    return (
        f"<domain><metadata>{metadata}</metadata><devices><disk>"
        f'<source file="{disk}"/></disk></devices></domain>'
    )


class Libvirt:
    """Domains by UUID; those in `running` are."""

    def __init__(self) -> None:
        self.domains: dict[str, str] = {}
        self.running: set[str] = set()
        self.is_away = False
        self.stubborn = ""

    def __call__(self, *words: str) -> str:
        if self.is_away or words[:2] == ("destroy", self.stubborn):
            raise libvirt_guests.LibvirtError("refused")
        match words:
            case ("list", "--all", "--uuid"):
                return "\n".join([*self.domains, "", ""])
            case ("list", "--uuid"):
                return "\n".join([*self.running, "", ""])
            case ("dumpxml", uuid):
                return self.domains[uuid]
            case ("destroy", uuid):
                self.running.remove(uuid)
            case ("undefine", uuid, *_):
                assert uuid not in self.running
                del self.domains[uuid]
        return ""


@pytest.fixture
def libvirt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Libvirt:
    made = Libvirt()
    monkeypatch.setattr(libvirt_guests, "virsh", made)
    monkeypatch.setattr(libvirt_guests, "_DEFINITIONS", tmp_path / "qemu")
    return made


def test_ours_go_and_those_of_others_stay(libvirt: Libvirt) -> None:
    libvirt.domains = {
        "ours": definition(DISK),
        "ours-off": definition(DISK),
        "another-nova": definition(OTHER),
        "by-hand": definition(DISK, nova=False),
        "neighbour": definition(f"{FOLDER}2/disk"),
    }
    libvirt.running = {"ours", "another-nova", "by-hand"}
    assert libvirt_guests.main([str(FOLDER)]) == 0
    assert set(libvirt.domains) == {"another-nova", "by-hand", "neighbour"}
    assert libvirt.running == {"another-nova", "by-hand"}


def test_one_that_stays_keeps_no_other(libvirt: Libvirt) -> None:
    libvirt.domains = {"stubborn": definition(DISK), "ours": definition(DISK)}
    libvirt.running = {"stubborn", "ours"}
    libvirt.stubborn = "stubborn"
    with pytest.raises(libvirt_guests.LibvirtError):
        libvirt_guests.remove(FOLDER)
    assert set(libvirt.domains) == {"stubborn"}


def test_a_libvirt_that_was_never_started(libvirt: Libvirt) -> None:
    libvirt.is_away = True
    assert libvirt_guests.main([str(FOLDER)]) == 0


def test_guests_of_a_libvirt_that_is_away_are_told(
    libvirt: Libvirt, capsys: pytest.CaptureFixture[str]
) -> None:
    libvirt.is_away = True
    folder = libvirt_guests._DEFINITIONS
    folder.mkdir()
    (folder / "theirs.xml").write_text(definition(OTHER))
    assert libvirt_guests.main([str(FOLDER)]) == 0
    (folder / "ours.xml").write_text(definition(DISK))
    assert libvirt_guests.main([str(FOLDER)]) == 1
    assert "ours.xml; refused" in capsys.readouterr().err


def _process(proc: Path, pid: str, *words: str, namespace: str = "pid:[1]") -> None:
    (proc / pid / "ns").mkdir(parents=True)
    (proc / pid / "cmdline").write_bytes("\0".join(words).encode())
    os.symlink(namespace, proc / pid / "ns/pid")


def test_processes_of_guests_and_no_others(tmp_path: Path) -> None:
    qemu, disk = "/usr/bin/qemu-system-x86_64", f'{{"filename":"{DISK}"}}'
    _process(tmp_path, "self", "python3")
    _process(tmp_path, "7", qemu, "-name", "x", "-blockdev", disk)
    _process(tmp_path, "8", qemu, "-blockdev", OTHER)
    _process(tmp_path, "9", "/usr/bin/qemu-img", "info", OTHER)
    _process(tmp_path, "10", "/usr/bin/tail", DISK)
    _process(tmp_path, "11", qemu, "-blockdev", disk, namespace="pid:[2]")
    assert libvirt_guests.processes(FOLDER, tmp_path) == [7]
