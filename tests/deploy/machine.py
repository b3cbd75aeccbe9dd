# SPDX-License-Identifier: Apache-2.0
"""A bare machine, used as its administrator uses it, and looked at from outside."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[2]
BARE_MACHINE = TOP / "tools" / "bare-machine"
STORE = Path(os.environ.get("BARE_MACHINE_STORE", "/var/tmp/bare-machines"))

#: First processes, with the options of tools/bare-machine.
INITS = {"plain": (), "systemd": ("--systemd",)}
#: Seconds that nothing here takes, even on a busy machine.
TIMEOUT = 1800
#: Lines of a command's output in the message of a failure.
LAST_LINES = 40

_STEP = re.compile(r"\[ *(\d+)/(\d+)\]")
_NOTED = "/run/test-noted"
_KILL_TREE = "/run/test-kill-tree"
#: Scripts in the machine. They are files, for systemd-run changes dollar signs.
_SCRIPTS = {
    _NOTED: """\
echo $$ >/run/test-noted.pid
exec "$@"
""",
    # With all descendants, which are stopped first, so as to make no more. The process
    # itself is not: nsenter, which waits for it outside, would stop as well.
    _KILL_TREE: """\
below() {
    for child in $(ps -o pid= --ppid "$1"); do echo "$child"; below "$child"; done
}
top=$(cat /run/test-noted.pid)
for round in 1 2 3; do kill -STOP $(below "$top") 2>/dev/null; done
kill -KILL "$top" $(below "$top")
""",
}
_MARK = b"NOVA_MULTI_SERVICE="


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended.

    :ivar output: of both streams.
    """

    command: str
    status: int
    output: str
    seconds: float

    def __str__(self) -> str:
        last = "\n".join(self.output.splitlines()[-LAST_LINES:])
        return (
            f"{self.command} ended with {self.status} after {self.seconds:.0f} s:\n"
            f"{last}"
        )

    @property
    def changes(self) -> int:
        """Steps of deploy/up that changed something."""
        found = re.search(r"steps, (\d+) with changes", self.output)
        assert found, f"no summary of deploy/up: {self}"
        return int(found[1])


class Machine:
    """One machine of tools/bare-machine.

    :param init: key of INITS.
    """

    def __init__(self, init: str) -> None:
        self.init = init
        self.name = f"deploy-{init}"
        self.folder = STORE / "machines" / self.name
        #: What was seen of the machine's processes, by :meth:`watched`.
        self.command_lines: set[bytes] = set()
        #: What its commands printed.
        self.printed: list[str] = []

    def start(self) -> None:
        options = [*INITS[self.init], "--name", self.name]
        self._tool("start", *options)
        for name, text in _SCRIPTS.items():
            (self.inside / name.lstrip("/")).write_text(text)

    def stop(self) -> None:
        self._tool("stop", self.name)

    def _tool(self, *arguments: str) -> None:
        done = subprocess.run(
            [BARE_MACHINE, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    # -- commands ---------------------------------------------------------------

    def run(self, *command: str) -> Ended:
        """Run a command in the machine's checkout to its end, whatever that is."""
        ended = self._follow(command, part=None, seconds=TIMEOUT)
        assert ended is not None, f"{' '.join(command)} takes longer than {TIMEOUT} s"
        return ended

    def up(self, *options: str) -> Ended:
        """deploy/up, which must succeed."""
        ended = self.run("./deploy/up", *options)
        assert ended.status == 0, str(ended)
        return ended

    def status(self) -> Ended:
        """deploy/status."""
        return self.run("./deploy/status")

    def up_killed(
        self, *, part: float | None = None, seconds: float = TIMEOUT
    ) -> Ended | None:
        """deploy/up, killed with all that it started itself.

        :param part: after this part of its steps.
        :param seconds: or after this time.
        :returns: None; how it ended if that was before.
        """
        return self._follow(["./deploy/up"], part=part, seconds=seconds)

    def _follow(
        self,
        command: tuple[str, ...] | list[str],
        *,
        part: float | None,
        seconds: float,
    ) -> Ended | None:
        """Run a command; kill it, and return None, when it comes so far."""
        words = [BARE_MACHINE, "exec", self.name, "--"]
        begin = time.monotonic()
        process = subprocess.Popen(
            [*words, "sh", _NOTED, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout
        killed = threading.Event()

        def kill() -> None:
            killed.set()
            subprocess.run([*words, "sh", _KILL_TREE], check=False)

        timer = threading.Timer(seconds, kill)
        timer.start()
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                step = _STEP.search(line)
                if part is None or step is None or killed.is_set():
                    continue
                if int(step[1]) >= part * int(step[2]):
                    kill()
            status = process.wait()
        finally:
            timer.cancel()
            timer.join()
        output = "".join(lines)
        self.printed.append(output)
        if killed.is_set():
            return None
        return Ended(" ".join(command), status, output, time.monotonic() - begin)

    # -- from outside -----------------------------------------------------------

    @property
    def leader(self) -> Path:
        """Folder in /proc of the machine's first process."""
        record = json.loads((self.folder / "machine.json").read_text())
        return Path("/proc", str(record["leader"]))

    @property
    def inside(self) -> Path:
        """The machine's root, with all that is mounted there."""
        return self.leader / "root"

    def path(self, path: str) -> Path:
        """A file on the machine's disk."""
        return self.folder / "root" / path.lstrip("/")

    def network(self, *command: str) -> str:
        """What one of this machine's own tools says of the other's network."""
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *command],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    def processes(self) -> Iterator[Path]:
        """Folders in /proc of the machine's processes."""
        namespace = os.stat(f"/run/netns/{self.name}").st_ino
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if not process.name.isdigit():
                    continue
                if os.stat(process / "ns/net").st_ino == namespace:
                    yield process

    def services(self) -> set[str]:
        """Command lines of processes that the deployment's services have."""
        found = set()
        for process in self.processes():
            with contextlib.suppress(OSError):
                if _MARK in (process / "environ").read_bytes():
                    line = (process / "cmdline").read_bytes()
                    found.add(line.replace(b"\0", b" ").decode(errors="replace"))
        return found

    @contextlib.contextmanager
    def watched(self, pause: float = 0.3) -> Iterator[None]:
        """Meanwhile, keep the command line of each process that is seen."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(pause):
                for process in self.processes():
                    with contextlib.suppress(OSError):
                        self.command_lines.add((process / "cmdline").read_bytes())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
