# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from nm import command, packages


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was run; `docker.io` and `runc` are installed, `podman` needs `runc`."""
    commands: list[list[str]] = []

    def run(arguments: list[str], **_: object) -> str:
        commands.append(arguments)
        if arguments[0] == "dpkg-query":
            names = ("docker.io", "runc:amd64", "podman")
            return "".join(f"installed {name}\n" for name in names)
        if "--simulate" not in arguments:
            return ""
        removed = [name for name in ("docker.io", "runc") if name in arguments]
        if "runc" in removed:
            removed.append("podman")
        return "".join(f"Purg {name} [1.0]\n" for name in removed)

    monkeypatch.setattr(command, "run", run)
    return commands


def test_purges_what_is_there(ran: list[list[str]]) -> None:
    packages.purge(["docker.io", "gone"])
    assert ran[-1][:2] == ["apt-get", "purge"]
    assert ran[-1][-1] == "docker.io"


def test_takes_nothing_with_it_that_was_installed_since(ran: list[list[str]]) -> None:
    with pytest.raises(command.CommandError, match="podman"):
        packages.purge(["docker.io", "runc"])
    assert "--simulate" in ran[-1]


def test_nothing_to_purge(ran: list[list[str]]) -> None:
    packages.purge(["gone"])
    assert len(ran) == 1
