# SPDX-License-Identifier: Apache-2.0
"""Whatever a file is: a definition, or problems with places, and nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nova_multi import spec
from nova_multi.domain.definition import Definition
from nova_multi.domain.errors import Invalid
from nova_multi.spec import Problem
from tests.unit.spec.examples import SCRIPTS, SHOP

USUAL = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def read_file(path: str) -> str:
    if path not in SCRIPTS:
        raise FileNotFoundError(2, "No such file or directory")
    return SCRIPTS[path]


def outcome(load: Any, has_lines: bool) -> None:
    """Load; anything but a definition or Invalid with places fails the test."""
    try:
        definition = load()
    except Invalid as error:
        assert error.message and error.details
        for problem in Problem.of(error):
            assert problem.message and str(problem).isprintable(), problem
            assert len(problem.message) < 1000
            if has_lines:
                assert problem.line and problem.column
            else:
                assert problem.line is None
        json.dumps(error.details).encode()
        error.message.encode()
    else:
        assert isinstance(definition, Definition)
        again = json.loads(json.dumps(spec.dump(definition)))
        assert spec.load_dict(again) == definition


def of_text(text: str | bytes) -> None:
    outcome(lambda: spec.load_text(text, read_file=read_file), has_lines=True)


def of_data(data: Any) -> None:
    outcome(lambda: spec.load_dict(data), has_lines=False)


PIECES = st.one_of(
    st.sampled_from(
        [
            *("name: x\n", "instances:\n", "  a:\n", "    count: 1\n", "outputs:\n"),
            *("a: ", "- ", "? ", ": ", "&a ", "*a", "<<: ", "!!int ", "!x ", "{", "}"),
            *(
                "[",
                "]",
                ",",
                "|\n",
                ">\n",
                "'",
                '"',
                "#",
                "---\n",
                "...\n",
                "%YAML 1.1\n",
            ),
            *(
                "\n",
                "  ",
                "\t",
                "\r",
                "\x85",
                "\u2028",
                "\ufeff",
                "\0",
                "\x1b",
                "\ud800",
            ),
            *("${inputs.a}", "${", "$${", "}", "1e999", "0x", ".inf", "~", "null: 1\n"),
            *("inputs: {a: 1}\n", "  b: {depends_on: [a]}\n", "\\u0000", "\\ud800"),
        ]
    ),
    st.text(max_size=5),
)


@USUAL
@given(st.lists(PIECES, max_size=30).map("".join))
@example("name: x\n")
@example("\ufeffname: x\n")
@example("name: x\r\ninstances: {}\r\n")
def test_any_text(text: str) -> None:
    of_text(text)


@USUAL
@given(st.binary(max_size=60))
def test_any_bytes(text: bytes) -> None:
    of_text(text)


@USUAL
@given(st.data())
def test_the_example_with_pieces_in_it(data: st.DataObject) -> None:
    text = SHOP
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(PIECES) + text[end:]
    of_text(text)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            *("${inputs.domain}", "${inputs.admin}", "${instances.db.address}"),
            *("${instances.web[9].host}", "${environment.name}", "${", "db", "site"),
            *("2GB", "8080:80", "docker", "", " ", "\0", "a" * 300, 10**30, -1, 0),
        ]
    ),
)
KEYS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        [
            *("name", "inputs", "instances", "provisioners", "networks", "images"),
            *("count", "memory", "variables", "depends", "depends_on", "publish"),
            *("default", "type", "generate", "secret", "choices", "script", "file"),
            *("web", "db", "site", "domain", "<<", "cidr", "source", "login"),
        ]
    ),
)
STRUCTURES = st.recursive(
    LEAVES,
    lambda inside: st.one_of(
        st.lists(inside, max_size=3), st.dictionaries(KEYS, inside, max_size=4)
    ),
    max_leaves=12,
)


@USUAL
@given(st.one_of(STRUCTURES, st.dictionaries(KEYS, STRUCTURES)))
def test_any_structure(data: Any) -> None:
    of_data(data)


@USUAL
@given(st.data())
def test_the_example_with_something_else_in_it(data: st.DataObject) -> None:
    tree = copy.deepcopy(yaml.safe_load(SHOP))
    for _ in range(data.draw(st.integers(1, 4))):
        inside: Any = tree
        while True:
            keys = [*inside] if isinstance(inside, dict) else [*range(len(inside))]
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            below = inside[key]
            if isinstance(below, dict | list) and data.draw(st.booleans()):
                inside = below
                continue
            inside[key] = data.draw(STRUCTURES)
            if isinstance(inside, dict) and data.draw(st.booleans()):
                inside[data.draw(KEYS)] = inside.pop(key)
            break
    of_data(tree)


@USUAL
@given(
    st.dictionaries(
        st.one_of(st.sampled_from(["domain", "admin", "host_key"]), st.text()),
        st.one_of(LEAVES, STRUCTURES),
    )
)
def test_any_values(values: dict[str, Any]) -> None:
    try:
        spec.load_text(SHOP, values=values, read_file=read_file)
    except Invalid as error:
        assert all(each.path.startswith("inputs") for each in Problem.of(error))


@USUAL
@given(
    st.dictionaries(
        st.sampled_from(["cidr", "dhcp", "dns", "routed", "gateway"]),
        st.one_of(
            LEAVES,
            st.lists(st.text(), max_size=3),
            st.text("0123456789./-:a\u0661", max_size=40),
            st.sampled_from(["10.0.0.0/24", "0.0.0.0/0", "10.0.0.1/32", "fd00::/8"]),
            st.sampled_from(
                ["10.0.0.5-10.0.0.9", "0.0.0.0-255.255.255.255", "-", "--"]
            ),
        ),
    )
)
@example({"cidr": "10.0.0.1/32", "dhcp": "10.0.0.1-10.0.0.1"})
@example({"cidr": "10.0.0.0/31", "dhcp": "10.0.0.0-10.0.0.1"})
@example({"cidr": "fd00::/8", "dhcp": "10.0.0.0-10.0.0.1"})
def test_any_network(fields: dict[str, Any]) -> None:
    of_text(yaml.safe_dump({"name": "x", "networks": {"a": fields}}))
    of_data({"name": "x", "networks": {"a": fields}})


@pytest.mark.parametrize(
    "value", [object(), b"x", {1}, {"name": object()}, {"name": {1: 2}}, 1j, [[[]]]]
)
def test_what_json_has_not(value: Any) -> None:
    of_data(value)


def _chain(count: int) -> str:
    lines = [
        f"  i{n}: {{driver: docker, image: debian-12, memory: 512, publish: ['80'],"
        f" variables: {{NEXT: '${{instances.i{n + 1}.address}}'}}}}\n"
        for n in range(count)
    ]
    return f"name: x\ninstances:\n{''.join(lines)}  i{count}: {{}}\n"


def test_ten_thousand_instances_are_read() -> None:
    definition = spec.load_text(_chain(10_000))
    assert len(definition.instances) == 10_001
    assert spec.load_dict(spec.dump(definition)) == definition


@pytest.mark.parametrize(
    "text",
    [
        "name: x\nschedule: {save: [" + "1, " * 100_000 + "]}",
        "name: x\noutputs: {" + "".join(f"o{n}: 1, " for n in range(100_000)) + "}",
        "name: x\nunknown: {" + "".join(f"o{n}: 1, " for n in range(100_000)) + "}",
        "".join(f"o{n}: 1\n" for n in range(100_000)),
        "name: x\ninstances: {a: {"
        + "".join(f"o{n}: 1, " for n in range(100_000))
        + "}}",
        "name: x\ninstances: {a: {tags: [" + "',', " * 100_000 + "]}}",
        "name: x\ninstances: {a: {variables: {" + "A: $, " * 100_000 + "}}}",
        "name: x\ninstances: {a: {variables: {A: '"
        + "${instances.b.name}" * 20_000
        + "'}}}",
        "name: x\ninstances: {a: {image: '" + "${" * 100_000 + "'}}",
        "name: x\ninputs: {a: " + "a" * 90_000 + "}\nnetworks: {b: {cidr: '"
        + "${inputs.a}" * 50_000 + "'}}",
        "name: x\ninputs: {a: " + "a" * 90_000 + "}\ninstances:\n"
        + "  i%d: {variables: {V: '${inputs.a}'}}\n" * 9999 % (*range(9999),),
        "name: x\nschedule: {timezone: &a "
        + "a" * 10**6 + ", save: [" + "*a, " * 100_000 + "]}",
    ],
    ids=[
        "list",
        "outputs",
        "unknown",
        "top",
        "fields",
        "tags",
        "same variable",
        "references",
        "dollars",
        "grown",
        "grown in many places",
        "aliases of a text",
    ],
)  # fmt: skip
def test_a_hundred_thousand_of_anything_come_to_an_end(text: str) -> None:
    """What took the square of them would not, before the run gives up."""
    of_text(text)
