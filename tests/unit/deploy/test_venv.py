# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

from nm import venv


def _install(venv_path: Path, name: str, version: str) -> Path:
    packages = venv_path / "lib/python3.11/site-packages"
    info = packages / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    module = packages / f"{name}.py"
    module.write_text("x = 1\n")
    (info / "RECORD").write_text(
        f"{name}.py,sha256=x,6\n__pycache__/{name}.pyc,,\n{info.name}/RECORD,,\n"
    )
    return module


def _faulty(path: Path, pins: dict[str, str]) -> list[str]:
    return venv.Venv(path, Path("uv"), "python3", path).faulty(pins)


def test_pins() -> None:
    text = "# a comment\nOslo.Config==10.1\nuwsgi==2.0 ; python_version > '3'\n-r x\n"
    assert venv.pins(text) == {"oslo-config": "10.1", "uwsgi": "2.0"}


def test_missing_and_other_versions_are_faulty(tmp_path: Path) -> None:
    _install(tmp_path, "one", "1.0")
    _install(tmp_path, "two", "1.0")
    pins = {"one": "1.0", "two": "2.0", "three": "1.0"}
    assert _faulty(tmp_path, pins) == ["two", "three"]


def test_a_deleted_or_shortened_file_is_noticed(tmp_path: Path) -> None:
    module = _install(tmp_path, "one", "1.0")
    assert _faulty(tmp_path, {"one": "1.0"}) == []
    module.write_text("")
    assert _faulty(tmp_path, {"one": "1.0"}) == ["one"]
    module.unlink()
    assert _faulty(tmp_path, {"one": "1.0"}) == ["one"]
