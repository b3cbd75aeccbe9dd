# SPDX-License-Identifier: Apache-2.0
"""Spellings of paths, and the examples in docstrings."""

from __future__ import annotations

import doctest

import pytest

from nova_multi.api import negotiation, paths


@pytest.mark.parametrize("module", [paths, negotiation])
def test_examples_in_docstrings(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried and not failed


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "", "/"),
        ("GET", "/", "/"),
        ("GET", "/v1", "/"),
        ("GET", "/v1/", "/"),
        ("GET", "/v1x", "/v1x"),
        ("GET", "/api/virtsh/v1/image/a/", "/images/a"),
        ("PUT", "/image", "/images"),
        ("HEAD", "/file/a", "/file/a"),
        ("GET", "/file", "/files"),
        ("GET", "/file/", "/files"),
        ("DELETE", "/file/a", "/files/a"),
        ("PUT", "/partition/a/host/file", "/partitions/a/host/file"),
        ("GET", "/instances/image", "/instances/image"),
        ("GET", "/enviroments/enviroments", "/environments/enviroments"),
        ("POST", "/api/virtshell/v1/install_packages/", "/packages/install_packages"),
        ("GET", "/users//", "/users/"),
    ],
)
def test_canonical(method: str, path: str, expected: str) -> None:
    assert paths.canonical(method, path) == expected


def test_only_the_list_is_respelled() -> None:
    assert paths.asked_plural("/v1/enviroments/a/hosts", "hosts") == "hosts"
    assert paths.prefix("/tasks") == "/v1"
    assert paths.prefix("/virtshell/api/v1/tasks") == "/virtshell/api/v1"
