# SPDX-License-Identifier: Apache-2.0
"""The package works when it is installed like any other."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

TOP = pathlib.Path(__file__).parents[2]


def _sources() -> list[str]:
    """Files of the package, from the checkout's top."""
    files = [path for path in (TOP / "nova_multi").rglob("*") if path.is_file()]
    return [str(path.relative_to(TOP)) for path in files if path.suffix != ".pyc"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The wheel, unpacked."""
    source = tmp_path_factory.mktemp("source")
    for name in [*_sources(), "setup.py", "setup.cfg", "pyproject.toml", "LICENSE"]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / name, source / name)
    (source / "README.md").touch()
    build = "from setuptools import build_meta; build_meta.build_wheel('out')"
    (source / "out").mkdir()
    subprocess.run(
        [sys.executable, "-c", build], cwd=source, check=True, capture_output=True
    )
    (built,) = (source / "out").glob("*.whl")
    installed = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(built).extractall(installed)
    return installed


def test_every_file_is_in_the_wheel(wheel: pathlib.Path) -> None:
    missing = [name for name in _sources() if not (wheel / name).exists()]
    assert missing == []


def test_nothing_else_is_in_the_wheel(wheel: pathlib.Path) -> None:
    tops = {path.name for path in wheel.iterdir() if path.suffix != ".dist-info"}
    assert tops == {"nova_multi"}


def test_commands_of_the_wheel(wheel: pathlib.Path) -> None:
    (entry_points,) = wheel.glob("*.dist-info/entry_points.txt")
    assert (
        "nova-multi-compute = nova_multi.cmd.compute:main" in entry_points.read_text()
    )


def test_launcher_runs_from_the_wheel(wheel: pathlib.Path) -> None:
    program = (
        "import nova_multi, sys; print(nova_multi.__file__);"
        "from nova_multi.cmd import compute; sys.exit(compute.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--config-file", str(wheel / "none")],
        cwd=wheel,
        env={"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(wheel / "nova_multi" / "__init__.py")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("nova-multi-compute: error:")
    assert str(wheel / "none") in line
