# SPDX-License-Identifier: Apache-2.0
"""Reads YAML into a tree of values that know their line and column.

Built on PyYAML's events, not on its objects: nothing of a file is ever constructed but
mappings, lists and scalars of YAML 1.2's core schema. Not recursive.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import yaml

from nova_multi.spec import scalars
from nova_multi.spec.problems import Path, shown
from nova_multi.spec.tree import (
    BAD,
    MAX_DEPTH,
    MAX_NODES,
    Entry,
    Node,
    Place,
    Report,
    text_problem,
)

#: Bytes of UTF-8.
MAX_BYTES = 4 * 2**20

#: The C library is some ten times as fast; PyYAML can be there without it.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: https://yaml.org/spec/1.2.2/#51-character-set
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
_MERGE = "<<"
#: Stands for a key that is none, and was told; no text has this character.
_NO_KEY = "\0"


class _Stop(Exception):
    """What is wrong leaves nothing to go on with."""


def read(text: str | bytes, report: Report) -> Node | None:
    """The tree of a file; None if there is none, which is reported.

    :param text: the whole of it; bytes are UTF-8.
    """
    reader = _Reader(report)
    try:
        return reader.read(_decoded(text, report))
    except _Stop:
        return None


def _decoded(text: str | bytes, report: Report) -> str:
    raw = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    if len(raw) > MAX_BYTES:
        told = f"the file has more than {MAX_BYTES >> 20} MiB"
        report.add(Place(0, 1, 1), (), told)
        raise _Stop
    if not isinstance(text, str):
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            place = _place_in(raw[: error.start].decode())
            report.add(place, (), f"byte {raw[error.start]:#04x} is not UTF-8")
            raise _Stop from error
    text = text.removeprefix("\ufeff")
    if found := _UNPRINTABLE.search(text):
        told = f"the character {ord(found[0]):#06x} may not be in a file"
        report.add(_place_in(text[: found.start()]), (), told)
        raise _Stop
    return text


def _place_in(before: str) -> Place:
    """The place after some text."""
    lines = re.split("\r\n|[\r\n]", before)
    return Place(len(before), len(lines), len(lines[-1]) + 1)


@dataclasses.dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read.

    :ivar key: that waits for its value; None where a key is next, or in a list.
    :ivar merges: values of ``<<``.
    """

    node: Node
    anchor: str | None
    key: str | None = None
    key_place: Place | None = None
    merges: list[Node] = dataclasses.field(default_factory=list)


class _Reader:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._count = 0
        self._length = 0
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._root: Node | None = None

    def read(self, text: str) -> Node:
        try:
            for event in yaml.parse(text, Loader=_PARSER):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            self._syntax(error, text)
        except yaml.YAMLError as error:
            self._report.add(Place(0, 1, 1), (), f"is no YAML: {error}")
            raise _Stop from error
        if self._root is None:
            self._report.add(Place(0, 1, 1), (), "the file is empty")
            raise _Stop
        return self._root

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.MappingStartEvent():
                self._open(event, {}, "map")
            case yaml.SequenceStartEvent():
                self._open(event, [], "seq")
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.DocumentStartEvent() if self._root is not None:
                self._stop(event, "a file has one document: '---' begins another")

    # What may follow

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        place = _place(event)
        if not (self._stack and self._expects_key()):
            self._counted(event, 1)
        node = Node(BAD, place)
        try:
            if event.implicit[0]:
                node.value = scalars.plain(event.value)
            elif event.implicit[1]:
                node.value = event.value
            else:
                node.value = scalars.tagged(event.tag or "", event.value)
        except ValueError as error:
            self._report.add(place, self._path(), str(error))
        if isinstance(node.value, str):
            if wrong := text_problem(node.value):
                self._report.add(place, self._path(), wrong)
                node.value = BAD
        elif node.value is not BAD:
            node.raw = event.value
        node.length = len(event.value)
        merge = event.value == _MERGE and event.implicit[0]
        self._keep_anchor(event.anchor, node)
        self._add(event, node, merge=merge)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = event.anchor or ""
        node = self._anchors.get(name)
        if node is None:
            told = f"there is nothing before this that is called &{name:.40}"
            if any(frame.anchor == name for frame in self._stack):
                told = f"*{name:.40} would be within itself"
            self._report.add(_place(event), self._path(), told)
            node = Node(BAD, _place(event))
        self._counted(event, node.size)
        self._length += node.length
        if self._length > MAX_BYTES:
            # Each of many aliases of a long text is a text of its own when it is sent.
            told = f"the texts that aliases stand for have over {MAX_BYTES >> 20} MiB"
            self._stop(event, told)
        if len(self._stack) + node.height > MAX_DEPTH:
            self._too_deep(event)
        self._add(event, node)

    def _open(self, event: yaml.CollectionStartEvent, empty: Any, kind: str) -> None:
        self._counted(event, 1)
        if len(self._stack) >= MAX_DEPTH:
            self._too_deep(event)
        if self._stack and self._expects_key():
            self._stop(event, "a key must be a text, not a list or mapping")
        tag = event.tag or ""
        if not event.implicit and not scalars.is_collection_tag(tag, kind):
            told = f"the tag {scalars.written(tag)} is not taken"
            self._report.add(_place(event), self._path(), told)
        node = Node(empty, _place(event))
        if event.anchor is not None:
            # From here on the name is this one's, which can't be used before its end.
            self._anchors.pop(event.anchor, None)
        self._stack.append(_Frame(node, event.anchor))

    def _close(self) -> None:
        frame = self._stack.pop()
        node = frame.node
        for merged in frame.merges:
            self._merge(node, merged)
        within = (
            [entry.node for entry in node.value.values()]
            if isinstance(node.value, dict)
            else node.value
        )
        node.size += sum(each.size for each in within)
        node.length = sum(each.length for each in within)
        node.height = 1 + max((each.height for each in within), default=0)
        self._keep_anchor(frame.anchor, node)
        self._put(node)

    # How it is put together

    def _expects_key(self) -> bool:
        frame = self._stack[-1]
        return isinstance(frame.node.value, dict) and frame.key is None

    def _add(self, event: yaml.Event, node: Node, merge: bool = False) -> None:
        if not self._stack or not self._expects_key():
            self._put(node)
            return
        frame = self._stack[-1]
        place = _place(event)
        frame.key_place = place
        if isinstance(node.value, str):
            frame.key = node.value
            if merge:
                frame.key_place = None
            elif node.value in frame.node.value:
                earlier = frame.node.value[node.value].key
                told = f"the key {shown(node.value)} is there twice, first in line "
                self._report.add(place, self._path(), f"{told}{earlier.line}")
            return
        frame.key = _NO_KEY
        if isinstance(node.value, dict | list):
            self._stop(event, "a key must be a text, not a list or mapping")
        if node.value is not BAD:
            told = (
                f"the key {node.raw or 'without a text'} is no text: write it in quotes"
            )
            self._report.add(place, self._path(), told)

    def _put(self, node: Node) -> None:
        """The value that comes next: of a key, of a list, or the whole."""
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        if isinstance(frame.node.value, list):
            frame.node.value.append(node)
            return
        key, place = frame.key, frame.key_place
        frame.key = frame.key_place = None
        if place is None:
            frame.merges.append(node)
        elif key is not None and key != _NO_KEY:
            if node.raw == "":
                # Where nothing is has no place of its own.
                node.place = place
            frame.node.value.setdefault(key, Entry(place, node))

    def _merge(self, node: Node, merged: Node) -> None:
        """Take over what ``<<`` names, unless it is there already."""
        wanted = merged.value if isinstance(merged.value, list) else [merged]
        for each in wanted:
            if isinstance(each.value, dict):
                for key, entry in each.value.items():
                    node.value.setdefault(key, entry)
            elif each.value is not BAD:
                told = "'<<' takes a mapping, or a list of mappings, by its alias"
                self._report.add(each.place, self._path(), told)

    def _keep_anchor(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    # What is wrong

    def _path(self) -> Path:
        found: list[str | int] = []
        for frame in self._stack:
            if isinstance(frame.node.value, list):
                found.append(len(frame.node.value))
            elif frame.key not in (None, _NO_KEY):
                found.append(str(frame.key))
        return tuple(found)

    def _counted(self, event: yaml.Event, more: int) -> None:
        self._count += more
        if self._count > MAX_NODES:
            self._stop(event, f"the file has more than {MAX_NODES} values")

    def _too_deep(self, event: yaml.Event) -> None:
        self._stop(event, f"is nested over {MAX_DEPTH} levels deep")

    def _stop(self, event: yaml.Event, told: str) -> None:
        self._report.add(_place(event), self._path(), told)
        raise _Stop

    def _syntax(self, error: yaml.MarkedYAMLError, text: str) -> None:
        mark = error.problem_mark or error.context_mark
        told = ": ".join(part for part in (error.context, error.problem) if part)
        place = Place(0, 1, 1)
        if mark is not None:
            place = Place(mark.index, mark.line + 1, mark.column + 1)
        lines = text[: place.order + 1].splitlines()
        if lines and "${" in lines[-1]:
            told += " (within [ ] and { } a text with ${...} must be in quotes)"
        self._report.add(place, (), f"is no YAML: {told}")
        raise _Stop from error


def _place(event: yaml.Event) -> Place:
    mark: Any = event.start_mark
    return Place(mark.index, mark.line + 1, mark.column + 1)
