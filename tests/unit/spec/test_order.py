# SPDX-License-Identifier: Apache-2.0
"""What must stand before what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_multi import spec
from nova_multi.domain.errors import Invalid
from nova_multi.spec import Problem
from tests.unit.spec.examples import load, only, wrong


def test_a_circle_of_instances_is_spelled_out() -> None:
    text = """\
name: x
instances:
  c: {depends_on: [a]}
  a: {depends_on: [d, b]}
  b: {variables: {V: "${instances.c.address}"}}
  d: {}
"""
    assert only(text) == (
        3,
        20,
        "instances.c.depends_on[0]",
        "instances need each other in a circle: a → b → c → a",
    )


def test_a_circle_by_way_of_provisioners() -> None:
    text = """\
name: x
provisioners:
  base: {}
  site: {depends: [base], variables: {V: "${instances.other.address}"}}
instances:
  db: {provisioner: base, depends_on: [web]}
  web: {provisioner: site}
  other: {provisioner: site}
"""
    assert [each[3].partition(": ")[2] for each in wrong(text)] == [
        "db → web → db",
        "other → other",
    ]


def test_a_circle_of_provisioners_is_told_once() -> None:
    text = """\
name: x
provisioners: {p: {depends: [q]}, q: {depends: [r]}, r: {depends: [p]}}
instances: {a: {provisioner: p}, b: {provisioner: q}, c: {provisioner: r}}
"""
    assert only(text) == (
        2,
        30,
        "provisioners.p.depends[0]",
        "provisioners depend in a circle: p → q → r → p",
    )


def test_no_circles() -> None:
    text = """\
name: x
provisioners: {p: {}, q: {depends: [p]}, r: {depends: [p, q]}}
instances:
  a: {provisioner: p}
  b: {provisioner: q, depends_on: [a]}
  c: {provisioner: r, variables: {V: "${instances.b.address}"}}
  d: {provisioner: theirs, depends_on: [c, a]}
"""
    found = load(text)
    assert found.needs("c") == ("a", "b") and found.needs("d") == ("a", "c")


def test_circles_are_told_up_to_a_limit() -> None:
    pairs = "".join(
        f"  a{n}: {{depends_on: [b{n}]}}\n  b{n}: {{depends_on: [a{n}]}}\n"
        for n in range(30)
    )
    assert len(wrong(f"name: x\ninstances:\n{pairs}")) == 20


def test_a_long_circle_is_not_spelled_out() -> None:
    lines = "".join(
        f"  a{n}: {{depends_on: [a{(n + 1) % 5000}]}}\n" for n in range(5000)
    )
    message = only(f"name: x\ninstances:\n{lines}")[3]
    assert message.endswith("→ ... (5000 in all)") and len(message) < 300


@given(
    st.integers(1, 8).flatmap(
        lambda size: st.tuples(
            st.just(size),
            st.sets(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))),
        )
    )
)
def test_circles_are_found_where_there_are_some(
    graph: tuple[int, set[tuple[int, int]]],
) -> None:
    size, edges = graph
    data = {
        "name": "x",
        "instances": {
            f"i{n}": {"depends_on": [f"i{b}" for a, b in sorted(edges) if a == n]}
            for n in range(size)
        },
    }
    reached = {n: {b for a, b in edges if a == n} for n in range(size)}
    for _ in range(size):
        for found in reached.values():
            found |= {far for near in found for far in reached[near]}
    circular = any(n in reached[n] for n in range(size))
    try:
        spec.load_dict(data)
    except Invalid as error:
        assert circular
        for problem in Problem.of(error):
            if problem.code == "dependency_circle":
                names = problem.message.partition(": ")[2].split(" → ")
                pairs = {
                    (int(a[1:]), int(b[1:]))
                    for a, b in zip(names, names[1:], strict=False)
                }
                assert pairs <= edges and names[0] == names[-1]
    else:
        assert not circular


@pytest.mark.parametrize("field", ["depends", "depends_on"])
def test_inputs_may_name_what_is_needed(field: str) -> None:
    section = "provisioners" if field == "depends" else "instances"
    text = (
        f"name: x\ninputs: {{n: b}}\n{section}: {{a: {{{field}: ['${{inputs.n}}']}}}}"
    )
    assert only(text)[2] == f"{section}.a.{field}[0]"
    text = text.replace(": {a:", ": {b: {}, a:")
    assert getattr(getattr(load(text), section)["a"], field) == ("b",)
