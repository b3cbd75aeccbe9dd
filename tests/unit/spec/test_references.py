# SPDX-License-Identifier: Apache-2.0
"""``${...}``: how it is read, written, and checked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_multi.domain.definition import Reference, Root, Template
from nova_multi.domain.errors import Invalid
from nova_multi.spec import templates
from tests.unit.spec.examples import load, only, wrong

INSTANCES = Root.INSTANCES


def read(text: str) -> Template:
    parts = list(templates.parse(text))
    return templates.template([each for each in parts if not isinstance(each, Invalid)])


@pytest.mark.parametrize(
    "text, value",
    [
        ("inputs.a", Reference(Root.INPUTS, "a", "value")),
        ("inputs.a-b_1.public", Reference(Root.INPUTS, "a-b_1", "public")),
        ("environment.name", Reference(Root.ENVIRONMENT, "", "name")),
        ("environment.partition", Reference(Root.ENVIRONMENT, "", "partition")),
        (
            "environment.publish_address",
            Reference(Root.ENVIRONMENT, "", "publish_address"),
        ),
        ("instances.db.address", Reference(INSTANCES, "db", "address")),
        ("instances.1db.addresses", Reference(INSTANCES, "1db", "addresses")),
        ("instances.db[0].host", Reference(INSTANCES, "db", "host", 0)),
        ("instances.db[12].name", Reference(INSTANCES, "db", "name", 12)),
        (
            "instances.db.published[80]",
            Reference(INSTANCES, "db", "published", key="80"),
        ),
        (
            "instances.db.published[53/udp]",
            Reference(INSTANCES, "db", "published", key="53/udp"),
        ),
        ("instances.db.outputs.url", Reference(INSTANCES, "db", "outputs", key="url")),
        (
            'instances["db.one"][1].outputs.a-b',
            Reference(INSTANCES, "db.one", "outputs", 1, "a-b"),
        ),
    ],
)
def test_references(text: str, value: Reference) -> None:
    assert templates.reference(text) == value
    assert str(value) == f"${{{text}}}"
    assert list(templates.parse(f"${{{text}}}")) == [value]


def test_one_port_has_one_form() -> None:
    found = templates.reference("instances.db.published[80/tcp]")
    assert found == templates.reference("instances.db.published[80]")
    found = templates.reference('instances["db"].address')
    assert found == templates.reference("instances.db.address")


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "${} is no reference"),
        ("x", "${x} is no reference"),
        ("HOME", "${HOME} is no reference"),
        ("inputs", "${inputs} is no reference"),
        ("inputs.", "${inputs.} is no reference"),
        ("inputs.1", "${inputs.1} is no reference"),
        ("inputs.a.b", "${inputs.a.b}: an input has nothing but its value"),
        (" inputs.a", "${ inputs.a} is no reference"),
        ("inputs.a\n", "${inputs.a\\n} is no reference"),
        ("inputs.ä", "${inputs.ä} is no reference"),
        ("environment.foo", "${environment.foo}: of the environment there are name"),
        ("instances.db", "${instances.db} is no reference"),
        ("instances.db.foo", "${instances.db.foo}: an instance has address"),
        ("instances.db.address[0]", "${instances.db.address[0]}: address is alone"),
        ("instances.db.address.x", "${instances.db.address.x}: address is alone"),
        (
            "instances.db.published",
            "${instances.db.published}: published is followed by a key, as in publis",
        ),
        (
            "instances.db.outputs",
            "${instances.db.outputs}: outputs is followed by a key, as in outputs.url",
        ),
        ("instances.db.outputs[a]", "${instances.db.outputs[a]}: outputs is followed"),
        ("instances.db.published.80", "${instances.db.published.80}: published is fo"),
        ("instances.db.published[x]", "'x' is no port to publish"),
        ("instances.db.published[1:80]", "${instances.db.published[1:80]}: the port o"),
        ("instances.db[-1].address", "${instances.db[-1].address} is no reference"),
        ("instances.db[99999].address", "${instances.db[99999].address} is no ref"),
        ("x" * 1000, f"${{{'x' * 60}...}} is no reference"),
    ],
)
def test_no_references(text: str, told: str) -> None:
    with pytest.raises(Invalid) as caught:
        templates.reference(text)
    assert caught.value.message.startswith(told)


A = Reference(Root.INPUTS, "a", "value")


@pytest.mark.parametrize(
    "text, parts",
    [
        ("", ()),
        ("a", ("a",)),
        ("$", ("$",)),
        ("$$", ("$$",)),
        ("$a", ("$a",)),
        ("{}", ("{}",)),
        ("${inputs.a}", (A,)),
        ("x${inputs.a}${inputs.a}y", ("x", A, A, "y")),
        ("$${inputs.a}", ("${inputs.a}",)),
        ("$$${inputs.a}", ("$", A)),
        ("$$$${inputs.a}", ("$${inputs.a}",)),
        ("a $$ $${b} $$$ c", ("a $$ ${b} $$$ c",)),
        ("${inputs.a}$${", (A, "${")),
    ],
)
def test_templates(text: str, parts: tuple[str | Reference, ...]) -> None:
    assert read(text) == Template(parts)
    assert templates.write(Template(parts)) == text


def test_all_wrong_references_of_a_text_are_told() -> None:
    found = list(templates.parse("a ${b} ${inputs.a} ${c} ${d"))
    assert [type(each) for each in found] == [
        str,
        Invalid,
        str,
        Reference,
        str,
        Invalid,
        str,
        Invalid,
    ]
    assert str(found[-1]) == "${d has no end: a plain ${ is written $${"


@given(st.lists(st.one_of(st.text("${}a"), st.text(), st.just(A))))
def test_what_is_written_is_read(parts: list[str | Reference]) -> None:
    value = templates.template(parts)
    assert read(templates.write(value)) == value


@given(st.text('${}.inputsa[]"0 '))
def test_any_text_is_read(text: str) -> None:
    for part in templates.parse(text):
        assert isinstance(part, str | Reference | Invalid) and part != ""


def test_many_dollars_take_no_time() -> None:
    text = "$" * 1_000_000
    assert list(templates.parse(text)) == [text]


TEXT = """\
name: x
instances:
  db: {publish: [80, 53/udp, "8443:443"]}
  web: {count: 2, publish: [80]}
  none: {count: 0}
  bad: {count: x}
  me: {variables: {V: "%s"}}
"""


@pytest.mark.parametrize(
    "text",
    [
        "${instances.db[0].address}",
        "${instances.web[1].host}",
        "${instances.web.address}",
        "${instances.db.published[443]}",
        "${instances.db.published[53/udp]}",
        "${environment.publish_address}:${instances.db.published[80/tcp]}",
        "${instances.db.outputs.anything}",
    ],
)
def test_what_there_is(text: str) -> None:
    good = TEXT.replace("  bad: {count: x}\n", "")
    assert load(good % text).instances["me"].variables["V"].text is None


@pytest.mark.parametrize(
    "text, told",
    [
        ("${instances.bd.name}", "there is no instance bd in the file; did you mean b"),
        ("${instances.db[1].name}", "the count of db is 1, and the last is db[0]"),
        ("${instances.web[2].name}", "the count of web is 2, and the last is web[1]"),
        ("${instances.none.name}", "the count of none is 0: there is none"),
        ("${instances.db.published[53]}", "db publishes 443, 53/udp, 80"),
        ("${instances.db.published[80/udp]}", "db publishes 443, 53/udp, 80"),
        ("${instances.none.published[80]}", None),
        ("${instances.me.name}", "an instance can't refer to itself, which is not"),
    ],
)
def test_what_there_is_not(text: str, told: str | None) -> None:
    found = [each for each in wrong(TEXT % text) if each[2] != "instances.bad.count"]
    assert found and all(each[:2] == (7, 23) for each in found)
    if told:
        assert len(found) == 1
        assert found[0][3].partition("}: ")[2].startswith(told)


def test_what_could_not_be_read_is_there() -> None:
    found = only(TEXT % "${instances.bad[7].published[9]}")
    assert found[2] == "instances.bad.count"


def test_outputs_and_provisioners_are_checked_too() -> None:
    text = """\
name: x
provisioners: {p: {variables: {V: "${instances.a.name}"}}}
outputs: {o: "x ${instances.b.name}${instances.c.name}"}
"""
    assert [each[:2] for each in wrong(text)] == [(2, 35), (3, 14), (3, 14)]
