# SPDX-License-Identifier: Apache-2.0
"""The rule from hosts to chassis."""

from __future__ import annotations

import pytest

from nova_multi import exception
from nova_multi.virt.chassis import ChassisMap

RULE = ChassisMap(
    suffixes=("-docker", "-lxd"),
    overrides={"rack1-containers": "rack1", "old-lxd": "old-lxd", "a-docker": "b-lxd"},
)


@pytest.mark.parametrize(
    ("host", "chassis"),
    [
        ("node", "node"),
        ("node-docker", "node"),
        ("node-lxd", "node"),
        ("node-lxd-docker", "node"),
        ("node-docker.example.org", "node-docker.example.org"),
        ("-docker", "-docker"),
        ("docker", "docker"),
        ("rack1-containers", "rack1"),
        ("old-lxd", "old-lxd"),
        ("old-lxd-docker", "old-lxd"),
        ("a-docker", "b-lxd"),
        ("b-lxd", "b-lxd"),
    ],
)
def test_chassis(host: str, chassis: str) -> None:
    assert RULE.chassis(host) == chassis
    assert RULE.chassis(chassis) == chassis


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("node-docker", "node-lxd", True),
        ("node-docker", "node", True),
        ("node", "node", True),
        ("node-docker", "other-docker", False),
        ("node", None, False),
        (None, None, False),
    ],
)
def test_same(one: str | None, other: str | None, same: bool) -> None:
    assert RULE.same(one, other) is same


@pytest.mark.parametrize(
    "arguments",
    [
        {"suffixes": ("-docker", "")},
        {"overrides": {"a": "b", "b": "c"}},
        {"overrides": {"a": ""}},
    ],
)
def test_contradictions_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(exception.ConfigurationError):
        ChassisMap(**arguments)  # type: ignore[arg-type]
