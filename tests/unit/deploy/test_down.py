# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import down
import pytest
import yaml
from nm import undo

from tests.unit.deploy.conftest import DEPLOY


def test_services_go_first_and_commands_while_their_service_still_runs() -> None:
    entries = [
        {"kind": "directory", "path": "/etc/x"},
        {"kind": "command", "undo": ["del-br"], "service": "ovs"},
        {"kind": "command", "undo": ["rm-rule"]},
        {"kind": "service", "name": "ovs"},
        {"kind": "file", "path": "/etc/x/y"},
        {"kind": "service", "name": "api"},
    ]
    ordered = down.in_order(entries)
    names = [
        entry.get("name") or entry.get("path") or entry["undo"][0] for entry in ordered
    ]
    assert names == ["api", "del-br", "ovs", "/etc/x/y", "rm-rule", "/etc/x"]


def test_a_command_whose_service_was_never_made_is_run_all_the_same() -> None:
    entries = [{"kind": "command", "undo": ["x"], "service": "gone"}]
    assert down.in_order(entries) == entries


def test_a_file_that_was_put_back_by_a_killed_run_stays(tmp_path: Path) -> None:
    path, original = tmp_path / "daemon.json", tmp_path / "original"
    path.write_text("ours")
    original.write_text("theirs")
    entry = {"kind": "file", "path": str(path), "original": str(original)}
    for _ in ("killed before it was noted", "again"):
        undo.Undo(purge=True)(entry)
        assert path.read_text() == "theirs"


def test_a_file_that_was_not_there_before_goes(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text("ours")
    undo.Undo(purge=True)({"kind": "file", "path": str(path)})
    assert not path.exists()


class Undoing:
    """Undoes all but what is named `stuck`."""

    def __init__(self, purge: bool) -> None:
        self.purge = purge

    def is_kept(self, entry: dict[str, object]) -> bool:
        return False

    def __call__(self, entry: dict[str, object]) -> None:
        if entry.get("name") == "stuck":
            raise OSError("stuck")

    def finish(self) -> None:
        pass


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What its manifest holds; Nova deletes no server."""

    def refuse(*_: object, **__: object) -> str:
        raise down.command.CommandError("no token")

    entries: list[dict[str, object]] = [{"kind": "service", "name": "compute-lxd"}]
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").touch()
    monkeypatch.setattr(down.paths, "ROOT", tmp_path)
    monkeypatch.setattr(down.paths, "MANIFEST", tmp_path / "gone" / "manifest")
    monkeypatch.setattr(down.os, "geteuid", lambda: 0)
    monkeypatch.setattr(down, "_LOCK", tmp_path / "lock")
    monkeypatch.setattr(down.manifest, "entries", lambda: entries)
    monkeypatch.setattr(down.undo, "Undo", Undoing)
    monkeypatch.setattr(down.command, "run", refuse)
    return entries


def _down(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["down", "--yes", *options])
    return down.main()


def test_servers_that_stay_in_the_databases_are_a_fault(
    machine: list[dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _down(monkeypatch) == 1
    assert "no token" in capsys.readouterr().err
    # The databases go too.
    assert _down(monkeypatch, "--purge") == 0
    machine.append({"kind": "command", "name": "stuck"})
    assert _down(monkeypatch, "--purge") == 1


def test_a_cloud_that_never_was_whole_has_no_servers(
    machine: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Killed when Keystone was there, and so clouds.yaml, and Nova was not.
    machine[:] = [
        {"kind": "service", "name": "keystone"},
        {"kind": "clouds", "path": "/etc/openstack/clouds.yaml"},
    ]
    assert _down(monkeypatch) == 0


def test_guests_of_libvirt_are_taken_back_before_it_stops() -> None:
    """As those of the other engines: QEMU would go on without its daemon."""
    tasks = yaml.safe_load(
        (DEPLOY / "roles/compute-libvirt/tasks/configure.yml").read_text()
    )
    (entry,) = [
        entry
        for task in tasks
        for entry in task.get("manifest", {"entries": []})["entries"]
        if entry["kind"] == "command"
    ]
    services = [{"kind": "service", "name": n} for n in ("libvirtd", "compute-libvirt")]
    ordered = down.in_order([entry, *services])
    assert [e.get("name", "guests") for e in ordered] == [
        "compute-libvirt",
        "guests",
        "libvirtd",
    ]
    assert entry["undo"][1].endswith("/libvirt_guests.py")


@pytest.fixture
def clouds_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A clouds.yaml with ours and theirs, and what down knows of it."""
    # The tests' own environment has PyYAML, as the deployment's has.
    monkeypatch.setattr(undo.paths, "DEPLOY_VENV", Path(sys.prefix))
    path, original = tmp_path / "clouds.yaml", tmp_path / "original"
    path.write_text("clouds: {nova-multi: {a: b}, mine: {c: d}}\n")
    path.chmod(0o640)
    original.write_text("# by hand\nclouds: {mine: {c: d}}\n")
    return {
        "kind": "clouds",
        "path": str(path),
        "original": str(original),
        "names": ["nova-multi"],
    }


def test_clouds_that_nobody_changed_are_as_before(
    clouds_entry: dict[str, object],
) -> None:
    for _ in ("killed before it was noted", "again"):
        undo.Undo(purge=True)(clouds_entry)
        text = Path(str(clouds_entry["path"])).read_text()
        assert text == "# by hand\nclouds: {mine: {c: d}}\n"


def test_clouds_that_came_later_stay(clouds_entry: dict[str, object]) -> None:
    path = Path(str(clouds_entry["path"]))
    path.write_text(path.read_text().replace("mine", "new"))
    for _ in ("killed before it was noted", "again"):
        undo.Undo(purge=True)(clouds_entry)
        assert yaml.safe_load(path.read_text()) == {"clouds": {"new": {"c": "d"}}}
        assert path.stat().st_mode & 0o777 == 0o640


def test_clouds_of_ours_alone_go(clouds_entry: dict[str, object]) -> None:
    path = Path(str(clouds_entry["path"]))
    path.write_text("clouds: {nova-multi: {a: b}}\n")
    del clouds_entry["original"]
    for _ in ("killed before it was noted", "again"):
        undo.Undo(purge=True)(clouds_entry)
        assert not path.exists()


def test_clouds_that_can_not_be_read_stay(clouds_entry: dict[str, object]) -> None:
    path = Path(str(clouds_entry["path"]))
    path.write_text("clouds: {somebody: is at work")
    undo.Undo(purge=True)(clouds_entry)
    assert path.read_text() == "clouds: {somebody: is at work"


def test_clouds_of_others_do_not_go_with_our_environment(
    clouds_entry: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo.paths, "DEPLOY_VENV", tmp_path / "gone")
    path = Path(str(clouds_entry["path"]))
    before = path.read_text()
    with pytest.raises(undo.command.CommandError, match="nova-multi"):
        undo.Undo(purge=True)(clouds_entry)
    assert path.read_text() == before
    path.unlink()
    undo.Undo(purge=True)(clouds_entry)
    assert path.read_text() == "# by hand\nclouds: {mine: {c: d}}\n"


def test_what_a_daemon_left_goes_unless_it_is_used(tmp_path: Path) -> None:
    used, unused, file = tmp_path / "used", tmp_path / "unused", tmp_path / "key.json"
    used.mkdir()
    unused.mkdir()
    (used / "other").touch()
    file.write_text("{}")
    undoing = undo.Undo(purge=False)
    for path in (used, unused, file, tmp_path / "never"):
        undoing({"kind": "leaving", "path": str(path)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["used"]
