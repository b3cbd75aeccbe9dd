# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import down


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
