# SPDX-License-Identifier: Apache-2.0
"""The examples' environments under names of their own, and their life."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.integration import cloud, provisioning
from tests.integration.provisioning import Client

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Exit status of a plan that would change something.
CHANGES = 2


class Environment:
    """A file, and what becomes of it.

    :ivar name: of the environment.
    :ivar path: of the file.
    :ivar given: options of each plan and apply.
    """

    def __init__(self, admin: Client, name: str, path: Path) -> None:
        self.admin, self.name, self.path = admin, name, path
        self.given: tuple[str, ...] = ()

    def give(self, **inputs: object) -> None:
        """Values for inputs, in place of those before."""
        pairs = (("-i", f"{name}={value}") for name, value in inputs.items())
        self.given = tuple(word for pair in pairs for word in pair)

    def plan(self) -> tuple[int, dict[str, int]]:
        """Exit status, and how much of what would be done."""
        words = ("environment", "plan", str(self.path), "--json", *self.given)
        done = self.admin.multi(*words)
        assert done.returncode in (0, CHANGES), done.stderr
        found = json.loads(done.stdout)
        counted = ("create", "update", "replace", "delete", "unchanged")
        return done.returncode, {word: found[word] for word in counted if found[word]}

    def apply(self, **counts: int) -> None:
        """Do what a plan says, which is so much."""
        assert self.plan() == (CHANGES, counts)
        self._apply()

    def _apply(self) -> None:
        words = ("environment", "apply", str(self.path), "--yes", "--wait")
        done = self.admin.multi(*words, *self.given)
        assert done.returncode == 0, done.stdout + done.stderr

    def stands(self) -> frozenset[str]:
        """Apply what stands already, which must change nothing.

        :returns: ids of the servers.
        """
        before = self.servers()
        assert self.plan() == (0, {"unchanged": len(before)})
        self._apply()
        assert self.servers() == before
        return before

    def servers(self) -> frozenset[str]:
        """Ids of the servers of the environment's instances."""
        return frozenset(each["uuid"] for each in self.instances())

    def instances(self) -> list[dict[str, Any]]:
        """What there is in it."""
        found = self.admin.get(f"/instances?environment={self.name}")["instances"]
        return list(found)

    def outputs(self) -> dict[str, str]:
        """What it tells."""
        return dict(self.admin.get(f"/environments/{self.name}/outputs"))

    def page(self, address: str, path: str = "/", seconds: float = 30) -> str:
        """What is answered at an URL's host and port."""
        url = urllib.parse.urlsplit(address)
        assert url.hostname and url.port, url
        host, port = url.hostname, url.port
        return cloud.wait_for(
            f"{address} answers",
            lambda: provisioning.http(host, port, path),
            seconds,
        )

    def pages(self) -> dict[str, str]:
        """What is answered at the published port 80 of each instance, by its name."""
        shown = self.admin.get(f"/environments/{self.name}")
        found = {}
        for each in self.instances():
            for outside, _, inside in (
                port.partition(":") for port in each["published"]
            ):
                if inside == "80":
                    url = f"http://{shown['publish_address']}:{outside}"
                    found[each["name"]] = self.page(url)
        return found

    def destroy(self) -> None:
        """Take it away; nothing may be left of it or in its project."""
        identity = self.admin.connection.identity
        ids = {each.id for each in identity.projects(name=self.name)}
        words = ("environment", "destroy", self.name, "--yes", "--queue", "--wait")
        done = self.admin.multi(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        found = self.admin.get("/environments")["environments"]
        assert self.name not in [each["name"] for each in found]
        assert [each.name for each in identity.projects() if each.id in ids] == []
        assert left(self.admin, ids) == []


def left(admin: Client, projects: set[str]) -> list[str]:
    """What belongs to projects, and would stay when these are gone."""
    connection = admin.connection
    network = connection.network
    listed = {
        "server": connection.compute.servers(all_projects=True),
        "network": network.networks(),
        "subnet": network.subnets(),
        "port": network.ports(),
        "router": network.routers(),
        "floating IP": network.ips(),
        "security group": network.security_groups(),
        "image": connection.image.images(),
    }
    return [
        f"{kind} {each.name or each.id}"
        for kind, found in listed.items()
        for each in found
        if projects & {getattr(each, key, "") for key in ("project_id", "owner_id")}
    ]


@contextlib.contextmanager
def example(admin: Client, name: str, folder: Path) -> Iterator[Environment]:
    """An example's file with a name and a partition of its own.

    :param name: of the file, below the examples.
    :param folder: an empty one, where the file and what is beside it are copied to.
    """
    source = EXAMPLES / name
    word = f"it-{secrets.token_hex(3)}"
    for script in source.parent.glob("*.sh"):
        shutil.copy(script, folder)
    path = folder / source.name
    text = source.read_text()
    told = yaml.safe_load(text)
    for field, value in (("name", word), ("partition", f"{word}-co")):
        text = text.replace(f"{field}: {told[field]}\n", f"{field}: {value}\n", 1)
    path.write_text(text)
    admin.run("partition", "create", f"{word}-co", "--wait")
    environment = Environment(admin, word, path)
    try:
        yield environment
    finally:
        admin.multi("environment", "destroy", word, "--yes", "--queue", "--wait")
        deleted = admin.multi("partition", "delete", f"{word}-co", "--wait")
        assert deleted.returncode == 0, deleted.stderr
