# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import stat
from pathlib import Path

from nm import manifest


def test_keeps_the_order_and_no_doubles(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    assert manifest.record("directory", path="/a", manifest=path)
    assert manifest.record("file", path="/a/b", manifest=path)
    assert not manifest.record("directory", path="/a", manifest=path)
    assert [entry["path"] for entry in manifest.entries(path)] == ["/a", "/a/b"]


def test_is_for_root_only(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    manifest.record("directory", path="/a", manifest=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_bears_a_line_whose_writer_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    manifest.record("directory", path="/a", manifest=path)
    with path.open("a") as file:
        file.write('{"kind": "fi')
    manifest.record("directory", path="/b", manifest=path)
    assert [entry["path"] for entry in manifest.entries(path)] == ["/a", "/b"]


def test_there_is_none(tmp_path: Path) -> None:
    assert manifest.entries(tmp_path / "manifest.jsonl") == []


def test_rewrite_keeps_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    for name in "abc":
        manifest.record("directory", path=name, manifest=path)
    manifest.rewrite(manifest.entries(path)[:1], path)
    assert [entry["path"] for entry in manifest.entries(path)] == ["a"]
