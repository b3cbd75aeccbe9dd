# SPDX-License-Identifier: Apache-2.0
"""Entries of a clouds.yaml that may hold others."""

from __future__ import annotations

from typing import Any


def merged(present: Any, clouds: dict[str, Any]) -> dict[str, Any]:
    """The file's content with these clouds in it.

    :raises ValueError: the file is no mapping with a mapping of clouds.
    """
    if present is None:
        present = {}
    if not isinstance(present, dict):
        raise ValueError("it holds no mapping")
    others = present.get("clouds") or {}
    if not isinstance(others, dict):
        raise ValueError("its `clouds` is no mapping")
    return {**present, "clouds": {**others, **clouds}}
