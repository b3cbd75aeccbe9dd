# SPDX-License-Identifier: Apache-2.0
"""Starts Tempest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from smoke import results
from smoke.errors import SmokeError

_BIN = Path(sys.executable).parent
#: Seconds after which Tempest is ended, whatever it does.
LIST_TIMEOUT = 180


def list_tests(folder: Path) -> list[str]:
    """Names of all the tests that Tempest has.

    :param folder: an empty one of our own.
    :raises SmokeError: Tempest is missing or does not work.
    """
    if not (_BIN / "tempest").exists():
        raise SmokeError(f"there is no Tempest beside {sys.executable}")
    (folder / "empty.conf").touch()
    _run(folder, "tempest", "run", "--config-file", "empty.conf", "--list-tests")
    _run(folder, "stestr", "init")
    text = _run(folder, "tempest", "run", "--config-file", "empty.conf", "--list-tests")
    return [line for line in text.splitlines() if line.startswith("tempest.")]


def run(
    folder: Path,
    tests: Iterable[str],
    workers: int,
    report: Callable[[results.Result], None],
) -> int:
    """Run these tests, telling of each as it ends.

    :param folder: holds tempest.conf.
    :returns: Tempest's exit status.
    """
    (folder / "tests.txt").write_text("".join(f"{test}\n" for test in tests))
    arguments = ["run", "--config-file", "tempest.conf", "--load-list", "tests.txt"]
    arguments += ["--subunit", "--concurrency", str(workers)]
    with (
        (folder / "output.log").open("wb") as errors,
        subprocess.Popen(
            [str(_BIN / "tempest"), *arguments],
            cwd=folder,
            env=_environment(folder),
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            results.collect(process.stdout, report)
        except BaseException:
            process.terminate()
            raise
        return process.wait()


def _run(folder: Path, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [str(_BIN / program), *arguments],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=LIST_TIMEOUT,
        check=False,
    )
    return done.stdout


def _environment(folder: Path) -> dict[str, str]:
    # The programs that Tempest starts are those beside it, and what they leave
    # behind stays in the folder.
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("OS_")
    }
    environment.update(
        PATH=f"{_BIN}:{os.environ.get('PATH', '')}",
        PYTHON=sys.executable,
        HOME=str(folder),
        TMPDIR=str(folder),
    )
    return environment
