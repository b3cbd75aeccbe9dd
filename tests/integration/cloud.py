# SPDX-License-Identifier: Apache-2.0
"""The deployed cloud as its users have it: through the ``openstack`` command."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

MEMBER = "nova-multi"
ADMINISTRATOR = "nova-multi-admin"
NETWORK = "private"
EXTERNAL = "public"
FLAVOR = "m1.micro"

#: Seconds for one command; they take two to five on a busy machine.
COMMAND_TIMEOUT = 120

_T = TypeVar("_T")


@functools.cache
def command() -> str:
    """The ``openstack`` that users have; the tests' own environment has another one."""
    own = pathlib.Path(sys.executable).parent
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(each for each in folders if pathlib.Path(each) != own)
    found = shutil.which("openstack", path=path)
    assert found, "there is no `openstack` on the path: deploy/up puts it there"
    return found


class CommandFailed(Exception):
    """A command of the user's was refused; the text says how."""


def openstack(*arguments: str, cloud: str = MEMBER) -> Any:
    """Run the command and return what it printed, as values.

    :raises CommandFailed: with its error output.
    """
    output = _openstack([*arguments, "-f", "json"], cloud)
    return json.loads(output) if output.strip() else None


def openstack_text(*arguments: str, cloud: str = MEMBER) -> str:
    """The same for commands that have no table.

    :raises CommandFailed: with its error output.
    """
    return _openstack(list(arguments), cloud)


def _openstack(arguments: list[str], cloud: str) -> str:
    done = subprocess.run(
        [command(), "--os-cloud", cloud, *arguments],
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise CommandFailed(f"{' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def wait_for(
    what: str, look: Callable[[], _T | None], seconds: float, pause: float = 0.5
) -> _T:
    """Look until there is something.

    :raises AssertionError: there was nothing in that time.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that a test made."""

    id: str
    name: str
    #: Floating IP, if the server has one.
    address: str = ""

    def show(self) -> dict[str, Any]:
        """What the user is shown of it."""
        return dict(openstack("server", "show", self.id))

    def do(self, *action: str) -> None:
        """``openstack server <action> <server>``."""
        openstack_text("server", *action, self.id)

    def wait(self, status: str, seconds: float = 120) -> dict[str, Any]:
        """Wait for a status.

        :raises AssertionError: it did not come, or the server fell into ERROR.
        """

        def look() -> dict[str, Any] | None:
            shown = self.show()
            if shown["status"] == "ERROR" != status:
                raise AssertionError(f"{self.name}: {shown.get('fault')}")
            task = shown["OS-EXT-STS:task_state"]
            return shown if shown["status"] == status and not task else None

        return wait_for(f"{self.name} is {status}", look, seconds)

    def console(self) -> str:
        """What is on the console."""
        return openstack_text("console", "log", "show", self.id)

    def get(self, path: str, timeout: float = 3) -> str | None:
        """What the guest's site answers, or None if it does not answer."""
        url = f"http://{self.address}/{path}"
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return None

    def wait_for_site(self, path: str = "hostname", seconds: float = 120) -> str:
        """Wait until the site has something under that path."""
        try:
            return wait_for(
                f"http://{self.address}/{path}", lambda: self.get(path), seconds
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; console:\n{self.console()}") from error

    def ports(self) -> list[str]:
        """UUIDs of its Neutron ports."""
        listed = openstack("port", "list", "--server", self.id)
        return [port["ID"] for port in listed]

    def answers(self) -> bool:
        """Whether anybody has its address."""
        command = ["ping", "-c", "1", "-W", "1", self.address]
        return subprocess.run(command, capture_output=True).returncode == 0
