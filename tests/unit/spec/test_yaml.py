# SPDX-License-Identifier: Apache-2.0
"""The reader of YAML: values, places, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from nova_multi.domain.errors import Invalid
from nova_multi.spec import yamltree
from nova_multi.spec.problems import Problem
from nova_multi.spec.tree import MAX_DEPTH, MAX_NODES, Node, Report


@pytest.fixture(autouse=True, params=["CSafeLoader", "SafeLoader"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With PyYAML's C library, and without."""
    monkeypatch.setattr(yamltree, "_PARSER", getattr(yaml, request.param))
    name: str = request.param
    return name


def plain(node: Node | None) -> Any:
    assert node is not None
    match node.value:
        case dict():
            return {key: plain(entry.node) for key, entry in node.value.items()}
        case list():
            return [plain(each) for each in node.value]
    return node.value


def read(text: str | bytes) -> Any:
    report = Report()
    tree = yamltree.read(text, report)
    report.finish()
    return plain(tree)


def wrong(text: str | bytes) -> list[tuple[int | None, int | None, str]]:
    report = Report()
    yamltree.read(text, report)
    with pytest.raises(Invalid) as caught:
        report.finish()
    return [(p.line, p.column, p.message) for p in Problem.of(caught.value)]


def only(text: str | bytes) -> tuple[int | None, int | None, str]:
    (found,) = wrong(text)
    return found


@pytest.mark.parametrize(
    "text, value",
    [
        ("8080:80", "8080:80"),
        ("1:30", "1:30"),
        ("80", 80),
        ("08", 8),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("+5", 5),
        ("-5", -5),
        ("1_000", "1_000"),
        ("on", "on"),
        ("no", "no"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("null", None),
        ("", None),
        ("nUll", "nUll"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".", "."),
        ("2026-11-28", "2026-11-28"),
        ("08:00", "08:00"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("'80'", "80"),
        ('"\\u263a"', "☺"),
        ("!!str 80", "80"),
        ("!!int '80'", 80),
        ("!!float 80", 80.0),
        ("!!bool true", True),
        ("!!null ~", None),
        ("!!map {a: 1}", {"a": 1}),
        ("!!seq [1]", [1]),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("a#b", "a#b"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = read(f"a: {text}")["a"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text, told",
    [
        ("!!int a", "is not what its tag !!int says"),
        ("!!int 1.5", "is not what its tag !!int says"),
        ("!!bool on", "is not what its tag !!bool says"),
        ("!!null 1", "is not what its tag !!null says"),
        ("!!python/object:os.system x", "the tag !!python/object:os.system"),
        ("!!timestamp 2026-11-28", "the tag !!timestamp is not taken"),
        ("!!binary aGk=", "the tag !!binary is not taken"),
        ("!mine x", "the tag !mine is not taken"),
        ("!!set {x}", "the tag !!set is not taken"),
        ("!!omap [x]", "the tag !!omap is not taken"),
        ("!!str [x]", "the tag !!str is not taken"),
        (".inf", ".inf is no number that JSON has"),
        ("-.INF", "-.INF is no number"),
        (".nan", ".nan is no number"),
        ("1e999", "is too large a number"),
        ("1" * 5000, "is too long a number"),
        ("1" * 5000 + ".5", "is too large a number"),
        ("18446744073709551616", "is too long a number"),
        ("0x" + "f" * 17, "is too long a number"),
        ('"a\\0b"', "a text must not have a NUL character"),
        ("*a", "there is nothing before this that is called &a"),
    ],
)
def test_values_that_are_none(text: str, told: str) -> None:
    line, column, message = only(f"a:\n  - 1\n  - {text}")
    assert (line, column) == (3, 5)
    assert message.startswith(told)


@pytest.mark.parametrize(
    "text, line, column, told",
    [
        ("a: 1\nb: 2\na: 3", 3, 1, 'the key "a" is there twice, first in line 1'),
        ("x: {b: 1, 'b': 2}", 1, 11, 'the key "b" is there twice, first in line 1'),
        ("1: a", 1, 1, "the key 1 is no text: write it in quotes"),
        ("a:\n  true: a", 2, 3, "the key true is no text: write it in quotes"),
        ("~: a", 1, 1, "the key ~ is no text: write it in quotes"),
        ("? \n: a", 1, 2, "the key without a text is no text: write it in quotes"),
        ("? [a]\n: 1", 1, 3, "a key must be a text, not a list or mapping"),
        ("? {a: b}\n: 1", 1, 3, "a key must be a text, not a list or mapping"),
        ("a: &x [1]\n*x : 2", 2, 1, "a key must be a text, not a list or mapping"),
        ("a: &a [*a]", 1, 8, "*a would be within itself"),
        ("a: &a {b: {c: *a}}", 1, 15, "*a would be within itself"),
        ("--- a\n--- b", 2, 1, "a file has one document: '---' begins another"),
        ("", 1, 1, "the file is empty"),
        ("# nothing\n", 1, 1, "the file is empty"),
        ("a: \x07", 1, 4, "the character 0x0007 may not be in a file"),
        ("a: b\n\r\nc: \0", 3, 4, "the character 0x0000 may not be in a file"),
        ("a: \ud800", 1, 4, "the character 0xd800 may not be in a file"),
        (b"a: b\nc: \xff", 2, 4, "byte 0xff is not UTF-8"),
        ("\ufeffa: {b: 1, b: 2}".encode(), 1, 11, 'the key "b" is there twice'),
        ("<<: 1", 1, 5, "'<<' takes a mapping, or a list of mappings"),
        ("<<: [{a: 1}, 2]", 1, 14, "'<<' takes a mapping, or a list of mappings"),
    ],
)
def test_what_is_refused(text: str | bytes, line: int, column: int, told: str) -> None:
    assert only(text)[:2] == (line, column)
    assert only(text)[2].startswith(told)


@pytest.mark.parametrize(
    "text, line",
    [
        ("a: [1, 2", 1),
        ("a: 'b", 1),
        ("a: b\n c: d", 2),
        ("a: @b", 1),
        ("%FOO\na: 1", 1),
        ("a:\n\t- b", 2),
        ("{", 1),
        ("a: *", 1),
        ("- a\nb: c", 2),
    ],
)
def test_what_is_no_yaml_has_a_line(text: str, line: int) -> None:
    found = only(text)
    # At the end of the text, or in the line after it.
    assert found[0] in (line, line + 1) and found[1]
    assert found[2].startswith("is no YAML: ")


def test_references_in_braces_want_quotes() -> None:
    assert "${...} must be in quotes" in only("a: {b: ${inputs.c}}")[2]
    assert "quotes" not in only("a: {b: c}}")[2]


def test_all_that_can_be_told_before_the_end_is_told() -> None:
    assert [each[:2] for each in wrong("a: 1\na: !x y\n1: 2\nb: [")][:3] == [
        (2, 1),
        (2, 4),
        (3, 1),
    ]


def test_merges() -> None:
    text = """\
a: &a {x: 1, y: 2}
b: &b {y: 3, z: 4}
c: {<<: *a, x: 5}
d: {<<: [*a, *b], w: 6}
e: {"<<": 7}
"""
    found = read(text)
    assert found["c"] == {"x": 5, "y": 2}
    assert found["d"] == {"w": 6, "x": 1, "y": 2, "z": 4}
    assert found["e"] == {"<<": 7}


def test_places_of_values_and_keys() -> None:
    report = Report()
    tree = yamltree.read("a:\n  ☺ b: [x, {c: 1}]\n", report)
    assert tree is not None
    entry = tree.value["a"].node.value["☺ b"]
    assert entry.key[1:] == (2, 3)
    inner = entry.node.value[1].value["c"]
    assert inner.key[1:] == (2, 13) and inner.node.place[1:] == (2, 16)


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for number in range(1, 30):
        inside = ", ".join([f"*a{number - 1}"] * 9)
        lines.append(f"a{number}: &a{number} [{inside}]")
    line, _, message = only("\n".join(lines))
    assert message == f"the file has more than {MAX_NODES} values"
    assert line == 6


def test_a_bomb_of_merges_does_not_go_off() -> None:
    lines = ["a: &a {" + ", ".join(f"k{n}: 1" for n in range(1000)) + "}"]
    lines += [f"b{n}: {{<<: *a}}" for n in range(1000)]
    assert only("\n".join(lines))[2].startswith("the file has more than")


def test_depth_by_aliases_is_counted() -> None:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 40)]
    assert only("\n".join(lines))[2] == f"is nested over {MAX_DEPTH} levels deep"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_depth_has_a_limit(opening: str) -> None:
    assert only(opening * 50_000)[2] in (
        f"is nested over {MAX_DEPTH} levels deep",
        "a key must be a text, not a list or mapping",
    )


def test_the_deepest() -> None:
    read("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert only("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))[1] == MAX_DEPTH + 1


def test_the_largest(parser: str) -> None:
    assert only("a" * (4 * 2**20 + 1))[2] == "the file has more than 4 MiB"
    assert only("☺" * (2 * 2**20))[2] == "the file has more than 4 MiB"
    if parser == "CSafeLoader":  # the other one takes a minute
        assert len(read("- 1\n" * (MAX_NODES - 1))) == MAX_NODES - 1
        message = only("- 1\n" * (MAX_NODES + 1))[2]
        assert message == f"the file has more than {MAX_NODES} values"
