# SPDX-License-Identifier: Apache-2.0
"""Each example from its file to nothing: planned, applied, changed, destroyed.

What needs images of its own, and minutes, is in tests/long.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration import environments, provisioning
from tests.integration.provisioning import Client


@pytest.fixture
def admin() -> Client:
    return provisioning.administrator()


def test_a_shop(admin: Client, tmp_path: Path) -> None:
    with environments.example(admin, "shop/shop.yaml", tmp_path) as shop:
        shop.apply(create=4)
        pages = shop.pages()
        assert "Welcome to the shop" in pages["web-1"]
        assert "Served by web-2" in pages["web-2"]
        outputs = shop.outputs()
        assert f"a database at {outputs['database']}" in pages["web-1"]
        assert shop.page(outputs["first"]) == pages["web-1"]
        before = shop.stands()

        # The web servers say something else, and the database is told of it.
        shop.give(greeting="Hello again", driver="lxd")
        shop.apply(replace=3)
        assert "Hello again" in shop.pages()["web-1"]
        assert not shop.servers() & before
        shop.destroy()


@pytest.mark.parametrize(
    ("plain", "library"), [("docker", "lxd"), ("lxd", "libvirt"), ("libvirt", "docker")]
)
def test_two_sites(admin: Client, tmp_path: Path, plain: str, library: str) -> None:
    """The same file, whatever the drivers are."""
    with environments.example(admin, "sites.yaml", tmp_path) as sites:
        sites.give(driver=plain, library_driver=library)
        sites.apply(create=3)
        pages = sites.pages()
        seen = {"libvirt": "virtual machine"}.get(plain, plain)
        assert f"<title>plain on {seen}</title>" in pages["plain"]
        assert f"the library on {library}</title>" in pages["library"]
        sites.stands()

        # A container more is made quickly, and the sites that stand are left alone.
        sites.give(driver=plain, library_driver=library, plain=0)
        sites.apply(delete=1, unchanged=1)
        assert set(sites.pages()) == {"library"}
        sites.destroy()


def test_a_campus(admin: Client, tmp_path: Path) -> None:
    with environments.example(admin, "campus/campus.yaml", tmp_path) as campus:
        campus.give(office=0, lab=1)
        refused = admin.multi(
            *("environment", "apply", str(campus.path), "--yes", *campus.given)
        )
        assert refused.returncode == 1
        assert "0 is less than the minimum, 1" in refused.stdout + refused.stderr
        campus.give(office=1, lab=1, memory=128, driver="docker")
        campus.apply(create=4)
        assert "is a lab's" in campus.pages()["lab"]
        before = campus.stands()

        campus.give(office=1, lab=2, memory=128, driver="docker")
        campus.apply(create=1, update=1, unchanged=2)
        assert set(campus.pages()) == {"lab-1", "lab-2"}
        assert before < campus.servers()
        campus.destroy()
