# SPDX-License-Identifier: Apache-2.0
"""What the deployment finds out about a machine."""

from __future__ import annotations

from pathlib import Path

from nm import detect


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_name_servers_that_a_guest_can_ask(tmp_path: Path) -> None:
    first = _file(
        tmp_path,
        "resolv.conf",
        "search example.org\nnameserver 10.0.0.53\nnameserver fd00::53\n"
        "nameserver 10.0.0.54\nnameserver 10.0.0.53\n# nameserver 10.0.0.1\n",
    )
    assert detect.dns_servers([first]) == ["10.0.0.53", "10.0.0.54"]


def test_those_behind_a_resolver_on_loopback(tmp_path: Path) -> None:
    stub = _file(tmp_path, "stub", "nameserver 127.0.0.53\noptions edns0\n")
    real = _file(tmp_path, "real", "nameserver 192.0.2.53\n")
    assert detect.dns_servers([stub, real]) == ["192.0.2.53"]


def test_none_where_there_are_none(tmp_path: Path) -> None:
    assert detect.dns_servers([tmp_path / "absent"]) == []
