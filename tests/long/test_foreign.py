# SPDX-License-Identifier: Apache-2.0
"""A machine of another architecture, by emulation, beside one of the cloud's own."""

from __future__ import annotations

from pathlib import Path

from tests.integration import environments
from tests.integration.provisioning import Client
from tests.long.conftest import Build

OTHER = "aarch64"


def test_a_machine_of_another_architecture(
    admin: Client, build: Build, tmp_path: Path
) -> None:
    image = build("foreign")
    with environments.example(admin, "foreign/foreign.yaml", tmp_path) as foreign:
        foreign.give(image=image)
        foreign.apply(create=3)
        pages = foreign.pages()
        assert pages["foreign"] == f"foreign has a processor of the kind {OTHER}"
        own = pages["own"].rpartition(" ")[2]
        assert own and own != OTHER
        assert foreign.page(foreign.outputs()["page"]) == pages["foreign"]
        told = {each["name"]: each["outputs"] for each in foreign.instances()}
        assert told["foreign"] == {"architecture": OTHER}
        assert told["own"] == {"architecture": own}
        before = foreign.stands()

        foreign.give(image=image, own=2)
        foreign.apply(create=1, update=1, unchanged=1)
        assert before < foreign.servers()
        assert set(foreign.pages()) == {"foreign", "own-1", "own-2"}
        foreign.destroy()
