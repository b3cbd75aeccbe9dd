# SPDX-License-Identifier: Apache-2.0
"""Starts Tempest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from smoke import results
from smoke.errors import SmokeError

_BIN = Path(sys.executable).parent
#: Seconds for the list of all tests.
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


class Runner:
    """Runs of Tempest, several at once, that can be ended all together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(
        self,
        folder: Path,
        tests: Iterable[str],
        workers: int,
        report: Callable[[results.Result], None],
    ) -> None:
        """Run these tests, telling of each as it ends.

        :param folder: holds tempest.conf.
        :raises SmokeError: the runs were ended.
        """
        (folder / "tests.txt").write_text("".join(f"{test}\n" for test in tests))
        arguments = ["run", "--config-file", "tempest.conf", "--load-list", "tests.txt"]
        arguments += ["--subunit", "--concurrency", str(workers)]
        with (
            (folder / "output.log").open("wb") as errors,
            self._start(arguments, folder, errors) as process,
        ):
            assert process.stdout is not None
            try:
                results.collect(process.stdout, report)
                process.wait()
            finally:
                with self._lock:
                    self._processes.discard(process)
        if self._stopped:
            raise SmokeError("ended before its time")

    def stop(self) -> None:
        """End all that run, and let none begin."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                # Tempest's workers are processes of their own.
                os.killpg(process.pid, signal.SIGTERM)

    def _start(
        self, arguments: list[str], folder: Path, errors: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise SmokeError("ended before its time")
            process = subprocess.Popen(
                [str(_BIN / "tempest"), *arguments],
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
            self._processes.add(process)
            return process


def ensure_ping() -> None:
    """Have the command with which Tempest looks whether guests can be reached.

    :raises SmokeError: it is missing and can't be installed.
    """
    if shutil.which("ping"):
        return
    print("installing ping, which Tempest uses ...", flush=True)
    done = subprocess.run(
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", "iputils-ping"],
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SmokeError(f"iputils-ping can't be installed: {done.stderr.strip()}")


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
