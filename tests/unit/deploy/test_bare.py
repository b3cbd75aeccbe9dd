# SPDX-License-Identifier: Apache-2.0
"""What deploy/up does where there is no Python: shell only."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import down
import pytest
from nm import manifest, preflight, undo

from tests.unit.deploy.conftest import DEPLOY

FIT = DEPLOY / "cli" / "fit.sh"
PYTHON = DEPLOY / "cli" / "python.sh"
ENTRY = {"kind": "python", "names": ["python3"]}


def _programs(folder: Path, **scripts: str) -> dict[str, str]:
    """An environment in which these programs come first."""
    for name, script in scripts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def _fit(
    folder: Path, system: tuple[str, str], memory: int = 1024, disk: int = 0
) -> subprocess.CompletedProcess[str]:
    release, meminfo = folder / "os-release", folder / "meminfo"
    release.write_text(f'ID={system[0]}\nVERSION_ID="{system[1]}"\n')
    meminfo.write_text("MemTotal:        4194304 kB\nMemFree: 1 kB\n")
    return subprocess.run(
        ["sh", FIT, release, meminfo, folder, str(memory), str(disk)],
        env=_programs(folder, id="echo 0"),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("system", preflight.SUPPORTED)
def test_a_supported_machine_is_fit(system: tuple[str, str], tmp_path: Path) -> None:
    done = _fit(tmp_path, system, 4096)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_all_that_keeps_it_at_once_in_the_words_of_preflight(tmp_path: Path) -> None:
    done = _fit(tmp_path, ("debian", "13"), 8192, 10**6)
    said = [line.removeprefix("  - ") for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert said[:2] == [
        *preflight.check_system(("debian", "13")),
        *preflight.check_memory(4096, 8192),
    ]
    assert "the cloud needs 1000000 GB" in said[2]


def test_a_system_that_says_nothing_of_itself(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1024 kB\n")
    done = subprocess.run(
        ["sh", FIT, tmp_path / "none", tmp_path / "meminfo", tmp_path, "0", "0"],
        env=_programs(tmp_path, id="echo 0"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "an unknown system" in done.stdout


def test_packages_are_noted_before_they_are_installed(tmp_path: Path) -> None:
    """apt-get dies in the middle: what it was about to install is known."""
    noted = tmp_path / "state" / "manifest.jsonl"
    apt = (
        'case "$*" in *--simulate*) echo "Inst libexpat1:amd64 (2.5 x)";'
        'echo "Inst python3 (3.11 x)"; echo "Conf python3 (3.11 x)";;'
        f" update*) ;; *) test -s {noted} && exit 7;; esac"
    )
    done = subprocess.run(
        ["sh", PYTHON, noted],
        env=_programs(tmp_path, dpkg=":", **{"apt-get": apt}),
        check=False,
    )
    assert done.returncode == 7
    assert manifest.entries(noted) == [
        {"kind": "python", "names": ["libexpat1", "python3"]}
    ]
    assert stat.S_IMODE(noted.stat().st_mode) == 0o600


def test_python_alone_is_no_deployment_and_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight.manifest, "entries", lambda: [ENTRY])
    assert not preflight.has_begun()
    assert undo.Undo(purge=True).is_kept(ENTRY)


def test_down_says_how_to_remove_python(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(down.manifest, "entries", lambda: [ENTRY])
    monkeypatch.setattr(down.os, "geteuid", lambda: 0)
    monkeypatch.setattr(down, "_LOCK", tmp_path / "lock")
    monkeypatch.setattr(undo.Undo, "finish", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["down", "--yes", "--purge"])
    assert down.main() == 0
    assert "apt-get purge python3" in capsys.readouterr().out
