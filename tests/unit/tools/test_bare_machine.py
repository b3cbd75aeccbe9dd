# SPDX-License-Identifier: Apache-2.0
"""What a bare machine takes over from the machine that runs it."""

import os
from pathlib import Path

import pytest
from bare_machine import machine, network, surroundings
from toolbox import ToolError

TARGETS = """Debian|http://mirror/debian/|bookworm|main
Debian|http://mirror/debian/|bookworm-updates|main
Debian|http://mirror/debian-security/|bookworm-security|main
Debian|http://mirror/debian/|bookworm|main
Somebody|http://other/|bookworm|main
"""


def answers(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let every program say this."""
    monkeypatch.setattr(surroundings, "run", lambda *_, **__: text)
    monkeypatch.setattr(surroundings, "_codename", lambda: "bookworm")


class TestSources:
    """Debian's sources, of the wanted release."""

    def test_other_origins_are_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers(monkeypatch, TARGETS)
        found = surroundings.sources("trixie")
        assert [source.release for source in found] == [
            "trixie",
            "trixie-updates",
            "trixie-security",
        ]
        assert {source.uri for source in found} == {
            "http://mirror/debian/",
            "http://mirror/debian-security/",
        }

    def test_line(self) -> None:
        source = surroundings.Source("http://mirror/", "trixie", "main")
        assert source.line(keyring=False) == "deb http://mirror/ trixie main"
        assert source.line().startswith("deb [signed-by=/usr/share/keyrings/")

    def test_no_lists(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers(monkeypatch, "")
        with pytest.raises(ToolError, match="apt-get update"):
            surroundings.sources("bookworm")


def certificate(content: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n"


def test_only_certificates_of_our_own_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle"
    bundle.write_text(certificate("public") + certificate("ours"))
    monkeypatch.setattr(surroundings, "_BUNDLE", bundle)
    assert surroundings.extra_certificates(certificate("public")) == [
        certificate("ours")
    ]


def test_folders_that_pip_looks_into(tmp_path: Path) -> None:
    (tmp_path / "index/simple").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    pip = (
        f"[global]\nfind-links = {tmp_path}/wheels\n"
        f"extra-index-url = file://{tmp_path}/index/simple https://example.org/simple\n"
    )
    # An index's pages refer to files beside it: the folder above is what counts.
    assert surroundings.local_folders(pip, "180") == [
        tmp_path / "wheels",
        tmp_path / "index",
    ]


def test_addresses_are_taken_where_no_route_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    routes = "198.18.0.0/30 dev bare0 scope link\n198.18.0.4/30 dev x\n"
    monkeypatch.setattr(network, "run", lambda *_, **__: routes)
    # Machines may run beside these tests: their interfaces are not meant here.
    monkeypatch.setattr(network, "_PREFIX", "no-such-link")
    number, link = network._free()
    assert (number, str(link)) == (2, "198.18.0.8/30")


def test_a_process_of_the_same_number_is_not_the_machine() -> None:
    here = os.getpid()
    known = machine.Machine("a", "bookworm", False, leader=here)
    known.began = machine._began(here)
    assert known.alive
    known.began = "another-boot/1"
    assert not known.alive


def test_a_machine_that_never_booted_is_not_alive() -> None:
    assert not machine.Machine("a", "bookworm", False).alive
