# SPDX-License-Identifier: Apache-2.0
"""Script files beside a file."""

from __future__ import annotations

import os
import pathlib

import pytest

from nova_multi import spec
from nova_multi.domain.errors import Invalid
from tests.unit.spec.examples import only

TEXT = 'name: x\nprovisioners: {p: {script: {file: "%s"}}}'


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    inside = tmp_path / "shop"
    (inside / "scripts").mkdir(parents=True)
    (inside / "a.sh").write_text("echo ä\n")
    (inside / "scripts" / "b.sh").write_text("echo b\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "c.sh").write_text("echo c\n")
    (inside / "link.sh").symlink_to("scripts/b.sh")
    (inside / "out.sh").symlink_to("../other/c.sh")
    (inside / "loop.sh").symlink_to("loop.sh")
    (inside / "binary").write_bytes(b"\xff")
    (inside / "nul").write_bytes(b"a\0")
    (inside / "empty").touch()
    (inside / "big").write_text("a" * 400_001)
    (inside / "wide").write_text("a" * 100_001)
    os.mkfifo(inside / "pipe")
    return inside


@pytest.mark.parametrize(
    "path, text",
    [
        ("a.sh", "echo ä\n"),
        ("./a.sh", "echo ä\n"),
        ("scripts/b.sh", "echo b\n"),
        ("scripts/../a.sh", "echo ä\n"),
        ("link.sh", "echo b\n"),
    ],
)
def test_files_of_the_folder(folder: pathlib.Path, path: str, text: str) -> None:
    found = spec.load_text(TEXT % path, read_file=spec.folder_reader(folder))
    assert found.provisioners["p"].script == text
    absolute = TEXT % (folder / path)
    assert spec.load_text(absolute, read_file=spec.folder_reader(folder)) == found


@pytest.mark.parametrize("path", ["../other/c.sh", "out.sh", "{other}/c.sh"])
def test_files_of_other_folders_are_named_by_the_user(
    folder: pathlib.Path, path: str
) -> None:
    other = folder.parent / "other"
    text = TEXT % path.format(other=other)
    found = only(text, read_file=spec.folder_reader(folder))
    assert found[:3] == (2, 35, "provisioners.p.script.file")
    assert "is outside of the file's folder" in found[3]
    reader = spec.folder_reader(folder, also=[other])
    script = spec.load_text(text, read_file=reader).provisioners["p"].script
    assert script == "echo c\n"


@pytest.mark.parametrize(
    "path, told",
    [
        ("none.sh", 'the file "none.sh" can\'t be read: No such file or directory'),
        ("a.sh/b", 'the file "a.sh/b" can\'t be read: Not a directory'),
        ("a" * 300, "the file "),
        ("scripts", 'the file "scripts" can\'t be read: Is a directory'),
        ("pipe", '"pipe" is no file'),
        (".", 'the file "." can\'t be read: Is a directory'),
        ("loop.sh", '"loop.sh" leads in a circle of links'),
        ("binary", 'the file "binary" is not UTF-8: a script must be text'),
        ("nul", "the script: a text must not have a NUL character"),
        ("empty", "is empty"),
        ("big", '"big" has over 100000 characters'),
        ("wide", "the script has 100001 characters"),
        ("", 'must be a path, not ""'),
        ("${inputs.x}", "${inputs.x}: there is no input x"),
    ],
)
def test_files_that_can_not_be_read(folder: pathlib.Path, path: str, told: str) -> None:
    found = only(TEXT % path, read_file=spec.folder_reader(folder))
    assert found[:3] == (2, 35, "provisioners.p.script.file")
    assert found[3].startswith(told)


def test_a_reader_may_refuse_in_its_own_words() -> None:
    def reader(path: str) -> str:
        raise Invalid(f"no {path}")

    assert only(TEXT % "a", read_file=reader)[3] == "no a"

    def other(path: str) -> str:
        raise ValueError("embedded null byte")

    told = 'the file "a" can\'t be read: embedded null byte'
    assert only(TEXT % "a", read_file=other)[3] == told
