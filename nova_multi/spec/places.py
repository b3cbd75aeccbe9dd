# SPDX-License-Identifier: Apache-2.0
"""Where in a file something stands that was found wrong later, by its path."""

from __future__ import annotations

import re

from nova_multi.spec import yamltree
from nova_multi.spec.tree import Node, Place, Report

_INDEX = re.compile(r"\[(\d{1,9})\]", re.ASCII)


def place_of(text: str | bytes, path: str) -> Place | None:
    """The line and column of ``instances.web.image``, or of what is nearest above it.

    :param text: of a file that can be read.
    :param path: names may have dots in them.
    :return: None where nothing of it is in the file.
    """
    node = yamltree.read(text, Report())
    if node is None:
        return None
    found: Place | None = None
    rest = path
    while rest and node is not None:
        step = _step(node, rest)
        if step is None:
            break
        found, node, rest = step
    return found


def _step(node: Node, rest: str) -> tuple[Place, Node, str] | None:
    """Into a value by the beginning of a path: where that is, it, and what is left."""
    if isinstance(node.value, list):
        index = _INDEX.match(rest)
        if index is None or int(index[1]) >= len(node.value):
            return None
        inner = node.value[int(index[1])]
        return inner.place, inner, rest[index.end() :].removeprefix(".")
    if not isinstance(node.value, dict):
        return None
    fitting = [key for key in node.value if _begins(rest, key)]
    if not fitting:
        return None
    key = max(fitting, key=len)
    entry = node.value[key]
    scalar = not isinstance(entry.node.value, (dict, list))
    left = rest[len(key) :].removeprefix(".")
    return (entry.node.place if scalar else entry.key), entry.node, left


def _begins(path: str, key: str) -> bool:
    return path.startswith(key) and path[len(key) : len(key) + 1] in ("", ".", "[")
