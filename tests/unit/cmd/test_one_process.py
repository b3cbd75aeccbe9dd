# SPDX-License-Identifier: Apache-2.0
"""The launcher of daemons without a second process."""

from __future__ import annotations

import sys

import pytest

from nova_multi.cmd import one_process


@pytest.mark.parametrize("arguments", [[], ["nova-compute"], ["--help"]])
def test_an_unknown_daemon_is_refused_by_name(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["one_process", *arguments])
    assert one_process.main() == 2
    assert "nova-conductor" in capsys.readouterr().err


def test_the_daemon_sees_only_its_own_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setitem(
        one_process.DAEMONS, "some-daemon", lambda: lambda: seen.append(sys.argv)
    )
    monkeypatch.setattr(sys, "argv", ["one_process", "some-daemon", "--config-file=x"])
    assert one_process.main() == 0
    assert seen == [["some-daemon", "--config-file=x"]]
