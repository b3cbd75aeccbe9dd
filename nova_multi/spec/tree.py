# SPDX-License-Identifier: Apache-2.0
"""Data that know where they stand, whether they come from YAML, JSON or Python."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final, NamedTuple

from nova_multi.spec import problems
from nova_multi.spec.problems import Path, Problem

#: Values of one file, aliases counted each time; keys are not counted.
MAX_NODES = 200_000
#: Mappings and lists within each other.
MAX_DEPTH = 32
#: Whole numbers are between this and its negative; beyond 64 bits nobody keeps one.
MAX_WHOLE = 2**64

#: Part of no text: neither a database nor a shell could take it.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class Place(NamedTuple):
    """Where something stands.

    :ivar order: sorts places of one file; below zero for what is not in it.
    :ivar line: from 1; None where there are no lines.
    :ivar column: from 1.
    """

    order: int
    line: int | None = None
    column: int | None = None


#: Of values that come from beside the file.
OUTSIDE = Place(-1)


class _Bad:
    """A value that was told to be wrong when it was read."""


BAD: Final = _Bad()


class Node:
    """A value of the tree.

    :ivar value: None, bool, int, float, str, a list of nodes, a dict of :class:`Entry`
        by key, or BAD.
    :ivar raw: what is no text as it was written; None if that isn't known.
    :ivar size: nodes in it, itself counted.
    :ivar length: characters of the texts in it.
    :ivar height: levels below it, itself counted; 0 for what holds nothing.
    """

    __slots__ = ("height", "length", "place", "raw", "size", "value")

    def __init__(self, value: Any, place: Place, raw: str | None = None) -> None:
        self.value = value
        self.place = place
        self.raw = raw
        self.size = 1
        self.length = len(value) if isinstance(value, str) else 0
        self.height = 0


class Entry(NamedTuple):
    """A value of a mapping, and where its key stands."""

    key: Place
    node: Node


class Spot(NamedTuple):
    """A value, and the way to it."""

    node: Node
    path: Path

    @property
    def value(self) -> Any:
        """The bare value."""
        return self.node.value

    @property
    def name(self) -> str:
        """The last key of the way."""
        return next((str(part) for part in reversed(self.path)), "")

    def entries(self) -> Iterator[tuple[str, Place, Spot]]:
        """Keys of a mapping, where each stands, and its value."""
        for key, entry in self.node.value.items():
            yield key, entry.key, Spot(entry.node, (*self.path, key))

    def items(self) -> Iterator[Spot]:
        """Values of a list."""
        for index, node in enumerate(self.node.value):
            yield Spot(node, (*self.path, index))

    def at(self, key: str) -> Spot:
        """The value of a key that is there."""
        return Spot(self.node.value[key].node, (*self.path, key))


class Report:
    """Collects what is wrong."""

    def __init__(self) -> None:
        self._found: list[tuple[int, Problem]] = []
        # Comparing words is slow, and nobody reads the thousandth suggestion.
        self._comparisons = 20_000

    def __len__(self) -> int:
        return len(self._found)

    def add(
        self, place: Place, path: Path, message: str, code: str = "invalid"
    ) -> None:
        """Take down one problem."""
        problem = Problem(
            message, problems.written(path), place.line, place.column, code
        )
        self._found.append((place.order, problem))

    def suggest(self, word: str, known: Collection[str]) -> str:
        """``; did you mean X?``, or nothing."""
        if len(known) > self._comparisons:
            return ""
        self._comparisons -= len(known)
        return problems.suggestion(word, known)

    def finish(self) -> None:
        """Nothing, if nothing was wrong.

        :raises Invalid: all that was wrong, in the order of places.
        """
        if self._found:
            self._found.sort(key=lambda entry: entry[0])
            raise problems.together(problem for _, problem in self._found)


def text_problem(text: str) -> str | None:
    """Why a text is none that can be kept, or None."""
    found = _NO_TEXT.search(text)
    if found is None:
        return None
    if found[0] == "\0":
        return "a text must not have a NUL character"
    return "half of a surrogate pair is no character"
