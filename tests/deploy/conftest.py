# SPDX-License-Identifier: Apache-2.0
"""Bare machines to deploy on: one with systemd, one without."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.deploy.machine import INITS, Machine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--init",
        choices=INITS,
        action="append",
        help="first process of the machine; may be repeated (both by default)",
    )
    parser.addoption(
        "--seed",
        type=int,
        default=random.randrange(10_000),
        help="chooses the moments at which deploy/up is killed (default: any)",
    )
    parser.addoption(
        "--keep-machine", action="store_true", help="leave the machines running"
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"moments of the kills: --seed {config.getoption('--seed')}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "machine" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--init") or list(INITS)
        metafunc.parametrize("machine", chosen, indirect=True, scope="module")


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A bare machine; the tests of one share it, in their order."""
    made = Machine(request.param)
    made.start()
    try:
        yield made
    finally:
        if not request.config.getoption("--keep-machine"):
            made.stop()


@pytest.fixture(scope="module")
def moments(request: pytest.FixtureRequest) -> random.Random:
    """Where the moments of the kills come from."""
    return random.Random(request.config.getoption("--seed"))
