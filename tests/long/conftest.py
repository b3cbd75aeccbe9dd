# SPDX-License-Identifier: Apache-2.0
"""Images that the examples bring along: built, uploaded, and taken away again."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration import cloud, environments, provisioning
from tests.integration.provisioning import Client

#: Makes the images of an example's recipe; the name of its disk in Glance.
Build = Callable[[str], str]


@pytest.fixture(scope="session")
def admin() -> Client:
    return provisioning.administrator()


@pytest.fixture(scope="session")
def build(admin: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """By the command that users have."""
    names: list[str] = []

    def make(example: str) -> str:
        name = f"it-{example}-{secrets.token_hex(3)}"
        names.append(name)
        recipe = environments.EXAMPLES / example / "image" / "recipe.yaml"
        output: Path = tmp_path_factory.mktemp(example)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "nova_multi.cmd.main", "image", "build"),
                *(str(recipe), "--format", "qcow2", "--name", name),
                *("--output", str(output), "--cache", str(output / "cache")),
                *("--upload", "--os-cloud", cloud.ADMINISTRATOR, "--public"),
            ],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return f"{name}-vm"

    yield make
    image = admin.connection.image
    for each in list(image.images()):
        if each.name.startswith(tuple(f"{name}-" for name in names)):
            image.delete_image(each)
