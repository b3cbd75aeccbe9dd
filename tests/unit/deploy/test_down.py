# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import down
from nm import undo


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
