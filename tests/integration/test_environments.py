# SPDX-License-Identifier: Apache-2.0
"""An environment from its file: planned, applied, changed and gone."""

from __future__ import annotations

import json
import secrets
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import cloud, provisioning
from tests.integration.provisioning import Client

SHOP = Path(__file__).parents[2] / "examples" / "shop"
#: Exit status of a plan that would change something.
CHANGES = 2


@pytest.fixture
def admin() -> Client:
    return provisioning.administrator()


@pytest.fixture
def file(admin: Client, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The example's file, with a partition of its own; all is gone afterwards."""
    name = f"it-{secrets.token_hex(3)}"
    partition = f"{name}-co"
    for script in SHOP.glob("*.sh"):
        (tmp_path / script.name).write_text(script.read_text())
    text = (SHOP / "shop.yaml").read_text()
    text = text.replace("name: shop\n", f"name: {name}\n")
    path = tmp_path / "shop.yaml"
    path.write_text(text.replace("development_co", partition))
    admin.run("partition", "create", partition, "--wait")
    try:
        yield name, path
    finally:
        admin.multi("environment", "destroy", name, "--yes", "--queue", "--wait")
        deleted = admin.multi("partition", "delete", partition, "--wait")
        assert deleted.returncode == 0, deleted.stderr


def planned(admin: Client, path: Path, *options: str) -> tuple[int, dict[str, int]]:
    """Exit status of a plan, and how much of what it would do."""
    done = admin.multi("environment", "plan", str(path), "--json", *options)
    assert done.returncode in (0, CHANGES), done.stderr
    found = json.loads(done.stdout)
    words = ("create", "update", "replace", "delete", "unchanged")
    return done.returncode, {word: found[word] for word in words if found[word]}


def applied(admin: Client, path: Path, *options: str) -> None:
    done = admin.multi("environment", "apply", str(path), "--yes", "--wait", *options)
    assert done.returncode == 0, done.stdout + done.stderr


def page(admin: Client, name: str, output: str) -> str:
    """What the site answers whose URL is an output."""
    url = urllib.parse.urlsplit(admin.get(f"/environments/{name}/outputs")[output])
    assert url.hostname and url.port, url
    host, port = url.hostname, url.port
    return cloud.wait_for(
        f"{output} answers", lambda: provisioning.http(host, port, "/"), 30
    )


def test_a_shop(admin: Client, file: tuple[str, Path]) -> None:
    name, path = file
    assert planned(admin, path) == (CHANGES, {"create": 4})
    applied(admin, path)
    first, second = page(admin, name, "first"), page(admin, name, "second")
    assert "Welcome to the shop" in first and "by web-1" in first
    assert "Welcome to the shop" in second and "by web-2" in second
    database = admin.get(f"/environments/{name}/outputs")["database"]
    assert f"a database at {database}" in first

    assert planned(admin, path) == (0, {"unchanged": 3})
    before = servers(admin, name)
    applied(admin, path)
    assert servers(admin, name) == before

    # The web servers say something else, and the database is told of it.
    change = ("-i", "greeting=Hello again", "-i", "driver=lxd")
    assert planned(admin, path, *change) == (CHANGES, {"replace": 3})
    applied(admin, path, *change)
    assert "Hello again" in page(admin, name, "first")
    assert not servers(admin, name) & before

    admin.run("environment", "destroy", name, "--yes", "--wait")
    assert servers(admin, name) == set()
    found = admin.get("/environments")["environments"]
    assert name not in [each["name"] for each in found]


def servers(admin: Client, name: str) -> set[str]:
    """Ids of the servers of an environment's instances."""
    found = admin.get(f"/instances?environment={name}")["instances"]
    return {each["uuid"] for each in found}


def test_every_mistake_is_told_with_its_place(
    admin: Client, file: tuple[str, Path]
) -> None:
    name, path = file
    path.write_text(
        f"name: {name}\ninstances:\n"
        "  web: {driver: podman, memmory: 1, depends_on: [no]}\n"
    )
    done = admin.multi("environment", "apply", str(path), "--yes")
    assert done.returncode == 1
    told = done.stdout + done.stderr
    for place in (":3:17:", ":3:25:", ":3:50:"):
        assert f"{path.name}{place}" in told, told
    assert "Traceback" not in told
