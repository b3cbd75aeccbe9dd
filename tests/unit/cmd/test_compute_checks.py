# SPDX-License-Identifier: Apache-2.0
"""What the launcher refuses before it starts, and in which words."""

from __future__ import annotations

import pathlib

import pytest

from nova_multi.cmd import compute_checks


class Node:
    """A compute's folders and configuration."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.state = folder / "state"
        self.state.mkdir()
        self.config = folder / "etc" / "nova.conf"
        self.config.parent.mkdir()
        self.text = ""

    def problems(self, host: str, driver: str, more: str = "") -> list[str]:
        self.config.write_text(
            f"[DEFAULT]\nhost = {host}\ncompute_driver = {driver}\n"
            f"state_path = {self.state}\n{more}"
        )
        return compute_checks.problems(["--debug", f"--config-file={self.config}"])


@pytest.fixture
def node(tmp_path: pathlib.Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize(
    ("host", "driver"),
    [
        ("node-docker", "nova_multi.DockerDriver"),
        ("node-lxd", "nova_multi.LXDDriver"),
        ("node", "nova_multi.LibvirtDriver"),
        ("anything-docker", "fake.FakeDriver"),
    ],
)
def test_good(node: Node, host: str, driver: str) -> None:
    assert node.problems(host, driver) == []


@pytest.mark.parametrize(
    ("host", "driver", "words"),
    [
        ("node", "nova_multi.DockerDriver", "call this compute node-docker"),
        ("node", "nova_multi.LXDDriver", "chassis_hosts"),
        ("node-lxd", "nova_multi.LibvirtDriver", "call this compute node"),
        ("node", "nova_multi.DokcerDriver", "nova_multi.DockerDriver"),
    ],
)
def test_host_and_driver(node: Node, host: str, driver: str, words: str) -> None:
    (problem,) = node.problems(host, driver)
    assert words in problem


@pytest.mark.parametrize(
    ("host", "driver"),
    [("box", "nova_multi.DockerDriver"), ("my-lxd", "nova_multi.LibvirtDriver")],
)
def test_exception_by_name(node: Node, host: str, driver: str) -> None:
    more = f"[nova_multi]\nchassis_hosts = {host}:{host}\n"
    assert node.problems(host, driver, more) == []


def test_chain_of_chassis(node: Node) -> None:
    more = "[nova_multi]\nchassis_hosts = a:b,b:c\n"
    (problem,) = node.problems("node-docker", "nova_multi.DockerDriver", more)
    assert "name the chassis itself" in problem


def test_all_problems_at_once(node: Node) -> None:
    (node.config.parent / "compute_id").touch()
    node.state.rmdir()
    more = "[database]\nconnection = mysql://user:secret@host/nova\n"

    found = node.problems("node", "nova_multi.DockerDriver", more)

    assert len(found) == 4
    assert "secret" not in "".join(found)


def test_compute_id_in_the_state_folder_is_where_it_belongs(node: Node) -> None:
    (node.state / "compute_id").touch()
    assert node.problems("node-lxd", "nova_multi.LXDDriver") == []


def test_missing_configuration_file(tmp_path: pathlib.Path) -> None:
    (problem,) = compute_checks.problems(["--config-file", str(tmp_path / "none")])
    assert str(tmp_path / "none") in problem
