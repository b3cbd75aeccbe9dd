# SPDX-License-Identifier: Apache-2.0
"""Reads plain data, such as JSON gave, into a tree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nova_multi.spec.problems import Path, shown
from nova_multi.spec.tree import (
    BAD,
    MAX_DEPTH,
    MAX_NODES,
    MAX_WHOLE,
    Entry,
    Node,
    Place,
    Report,
    text_problem,
)


class _Stop(Exception):
    """What is wrong leaves nothing to go on with."""


def read(data: object, report: Report) -> Node | None:
    """The tree of some data; None if it is beyond the limits, which is reported.

    :param data: anything; what JSON has not is reported.
    """
    try:
        return _Reader(report).node(data, ())
    except _Stop:
        return None


class _Reader:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._count = 0

    def node(self, data: object, path: Path) -> Node:
        """Recursive: the depth has a limit."""
        self._count += 1
        place = Place(self._count)
        if self._count > MAX_NODES:
            self._report.add(place, (), f"has more than {MAX_NODES} values")
            raise _Stop
        node = Node(BAD, place)
        if isinstance(data, Mapping | list | tuple) and len(path) >= MAX_DEPTH:
            self._report.add(place, path, f"is nested over {MAX_DEPTH} levels deep")
            raise _Stop
        if isinstance(data, Mapping):
            node.value = self._mapping(data, path, place)
        elif isinstance(data, list | tuple):
            node.value = [
                self.node(item, (*path, index)) for index, item in enumerate(data)
            ]
        else:
            wrong = _wrong(data)
            if wrong:
                self._report.add(place, path, wrong)
            else:
                node.value = data
        return node

    def _mapping(
        self, data: Mapping[Any, Any], path: Path, place: Place
    ) -> dict[str, Entry]:
        found = {}
        for key, item in data.items():
            wrong = None if isinstance(key, str) else "is no text"
            wrong = wrong or text_problem(key)
            if wrong:
                self._report.add(place, path, f"the key {shown(key)}: {wrong}")
                continue
            node = self.node(item, (*path, key))
            found[key] = Entry(node.place, node)
        return found


def _wrong(data: object) -> str | None:
    if data is None or isinstance(data, bool):
        return None
    if isinstance(data, str):
        return text_problem(data)
    if isinstance(data, int):
        return None if abs(data) < MAX_WHOLE else "is too long a number"
    if isinstance(data, float):
        return None if math.isfinite(data) else f"{data} is no number that JSON has"
    return f"{shown(data)} is nothing that JSON has"
