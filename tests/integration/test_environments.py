# SPDX-License-Identifier: Apache-2.0
"""Files of environments that can't be applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration import provisioning


@pytest.fixture
def admin() -> provisioning.Client:
    return provisioning.administrator()


def test_every_mistake_is_told_with_its_place(
    admin: provisioning.Client, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "name: it-wrong\ninstances:\n"
        "  web: {driver: podman, memmory: 1, depends_on: [no]}\n"
    )
    done = admin.multi("environment", "apply", str(path), "--yes")
    assert done.returncode == 1
    told = done.stdout + done.stderr
    for place in (":3:17:", ":3:25:", ":3:50:"):
        assert f"{path.name}{place}" in told, told
    assert "Traceback" not in told
