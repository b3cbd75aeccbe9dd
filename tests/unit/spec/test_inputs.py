# SPDX-License-Identifier: Apache-2.0
"""Inputs, what they are given, and where they stand."""

from __future__ import annotations

from typing import Any

import pytest

from nova_multi import spec
from nova_multi.domain.definition import Generator, Input, InputType
from nova_multi.domain.errors import Invalid
from nova_multi.spec import Problem
from tests.unit.spec.examples import SHOP, load, only, problems, shop, wrong


def read(text: str) -> Input:
    found: Input = load(f"name: x\ninputs:\n  a: {text}").inputs["a"]
    return found


@pytest.mark.parametrize(
    "text, value",
    [
        ("shop.test", Input("a", default="shop.test")),
        ("80", Input("a", InputType.INTEGER, default=80)),
        ("1.5", Input("a", InputType.NUMBER, default=1.5)),
        ("true", Input("a", InputType.BOOLEAN, default=True)),
        ("'80'", Input("a", default="80")),
        ("", Input("a")),
        ("{}", Input("a")),
        ("{default: 80}", Input("a", InputType.INTEGER, default=80)),
        ("{type: number, default: 80}", Input("a", InputType.NUMBER, default=80)),
        ("{default: ''}", Input("a", default="")),
        (
            "{description: d, choices: [b, c], default: c}",
            Input("a", description="d", choices=("b", "c"), default="c"),
        ),
        ("{type: integer, choices: [1]}", Input("a", InputType.INTEGER, choices=(1,))),
        ("{secret: true}", Input("a", secret=True)),
        (
            "{generate: password, length: 8}",
            Input("a", secret=True, generate=Generator.PASSWORD, length=8),
        ),
        (
            "{generate: password, secret: false}",
            Input("a", generate=Generator.PASSWORD),
        ),
        ("{generate: key}", Input("a", secret=True, generate=Generator.KEY)),
        ("{default: '${x}'}", Input("a", default="${x}")),
    ],
)  # fmt: skip
def test_forms(text: str, value: Input) -> None:
    found = read(text)
    assert found == value
    assert type(found.default) is type(value.default)


@pytest.mark.parametrize(
    "text, column, path, message",
    [
        ("[1]", 6, "", "must be a text, a number, true or false, not a list"),
        ("{typ: string}", 7, ".typ", 'an input has no field "typ"; did you mean type?'),
        (
            "{type: text}",
            13,
            ".type",
            "there are string, integer, number, boolean, not",
        ),
        ("{default: 5, type: string}", 16, ".default", "5 is no text: write it in"),
        ("{default: a, type: integer}", 16, ".default", '"a" is no whole number'),
        ("{default: true, type: integer}", 16, ".default", "true is no whole number"),
        ("{default: 1.5, type: integer}", 16, ".default", "1.5 is no whole number"),
        ("{default: 1, type: boolean}", 16, ".default", "1 is neither true nor false"),
        ("{default: true, type: number}", 16, ".default", "true is no number"),
        ("{default: [1]}", 16, ".default", "must be a text, a number, true or false"),
        ("{default: b, choices: [c]}", 16, ".default", '"b" is not among the choices'),
        ("{choices: [b, 1]}", 20, ".choices[1]", "1 is no text: write it in quotes"),
        ("{choices: []}", 16, ".choices", "has no values: leave it out"),
        ("{choices: b}", 16, ".choices", 'must be a list, not "b"'),
        ("{secret: 1}", 15, ".secret", "must be true or false, not 1"),
        ("{secret: true, default: s3}", 30, ".default", "a secret has no default"),
        (
            "{generate: password, default: b}",
            36,
            ".default",
            "what is generated has no",
        ),
        ("{generate: x}", 17, ".generate", 'there are password, key, not "x"'),
        ("{generate: key, secret: false}", 30, ".secret", "a private key is always"),
        ("{generate: key, length: 24}", 30, ".length", "a key has no length"),
        ("{length: 24}", 15, ".length", "only what is generated has a length"),
        ("{generate: password, length: 7}", 35, ".length", "must be between 8 and 128"),
        (
            "{generate: password, type: integer}",
            17,
            ".generate",
            "is a string, and not",
        ),
        ("{generate: password, choices: [b]}", 36, ".choices", "what is generated has"),
        ("{description: 5}", 20, ".description", "must be a text, not 5"),
        ("{minimum: 1}", 16, ".minimum", "only a number has a minimum, not a string"),
        ("{default: 2, maximum: a}", 28, ".maximum", 'must be a number, not "a"'),
        ("{default: 0.5, maximum: 1.0e+30}", 30, ".maximum", "is no number that can"),
        ("{default: 2, minimum: 1.5}", 28, ".minimum", "1.5 is no whole number"),
        ("{default: 2, minimum: 3}", 16, ".default", "2 is less than the minimum, 3"),
        ("{default: 2, maximum: 1}", 16, ".default", "2 is more than the maximum, 1"),
        (
            "{type: number, choices: [1.5, 9], maximum: 2}",
            36,
            ".choices[1]",
            "9 is more than the maximum, 2",
        ),
        (
            "{type: integer, minimum: 3, maximum: 2}",
            31,
            ".minimum",
            "is more than the maximum, 2",
        ),
    ],
)
def test_what_they_can_not_have(
    text: str, column: int, path: str, message: str
) -> None:
    line, at, where, told = only(f"name: x\ninputs:\n  a: {text}")
    assert (line, at, where) == (3, column, f"inputs.a{path}")
    assert told.startswith(message)


def test_names() -> None:
    assert only("name: x\ninputs: {a.b: 1}")[2:] == (
        'inputs["a.b"]',
        "\"a.b\" is no name of an input: up to 63 letters, digits, '_' and '-', the"
        " first no digit",
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("0", "0 is less than the minimum, 1"),
        (9, "9 is more than the maximum, 8"),
        ("two", '"two" is no whole number'),
    ],
)
def test_a_number_that_is_given_is_within_its_limits(given: object, told: str) -> None:
    text = "name: x\ninputs:\n  a: {default: 2, minimum: 1, maximum: 8}"
    assert spec.load_text(text, values={"a": "8"}).inputs["a"].maximum == 8
    found = only(text, values={"a": given})
    assert found == (None, None, "inputs.a", f"the value given for it: {told}")


PLACES = """\
name: x
inputs: {n: 2, size: 1GB, port: 8080, word: web, flag: false, big: 1.5}
networks:
  back: {routed: "${inputs.flag}", cidr: "10.${inputs.n}.0.0/16"}
images:
  base: {download_url: "http://${inputs.word}/i", type: disk}
  other: "${inputs.word}"
provisioners:
  site: {builder: "https://${inputs.word}/s.git", executor: "sh", ref: "${inputs.n}"}
instances:
  a:
    count: ${inputs.n}
    memory: ${inputs.size}
    disk: ${inputs.big}
    image: i-${inputs.word}-${inputs.n}
    publish: ["${inputs.port}", "53/udp"]
    tags: ["${inputs.word}"]
    networks: ["${inputs.word}"]
    description: ${inputs.flag} $${inputs.flag} $$ ${inputs.big}
    variables: {A: "${inputs.n}", B: "$$${inputs.word}"}
outputs: {o: "${inputs.big}/"}
"""


def test_values_stand_in_their_places() -> None:
    found = load(PLACES)
    assert not found.networks["back"].routed
    assert found.networks["back"].cidr == "10.2.0.0/16"
    assert found.images["base"].download_url == "http://web/i"
    assert found.images["other"].source == "web"
    assert found.provisioners["site"].builder == "https://web/s.git"
    assert found.provisioners["site"].ref == "2"
    a = found.instances["a"]
    assert (a.count, a.memory_mb, a.disk_mb) == (2, 1024, 1536)
    assert a.image == "i-web-2" and a.tags == a.networks == ("web",)
    assert [str(port) for port in a.publish] == ["8080", "53/udp"]
    assert a.description == "false ${inputs.flag} $$ 1.5"
    assert a.variables["A"].text == "2" and a.variables["B"].text == "$web"
    assert found.outputs["o"].text == "1.5/"


def test_given_values_stand_in_their_places() -> None:
    found = load(PLACES, n="3", size="2GB", flag="TRUE", big=2, word="${inputs.n}")
    assert found.instances["a"].count == 3
    assert found.instances["a"].memory_mb == found.instances["a"].disk_mb == 2048
    assert found.networks["back"].routed
    # A value is never looked into.
    assert found.instances["a"].tags == ("${inputs.n}",)
    assert found.inputs == load(PLACES).inputs


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("n", "x", 'the value given for it: "x" is no whole number'),
        ("n", 1.5, "the value given for it: 1.5 is no whole number"),
        ("n", "9" * 5000, 'the value given for it: "999'),
        pytest.param(
            *("n", 10**5000, "the value given for it: is no number that can"), id="huge"
        ),
        ("n", [1], "the value given for it: a list is no whole number"),
        ("flag", "yes", 'the value given for it: "yes" is neither true nor false'),
        ("big", "1e999", "the value given for it: is no number that can be kept"),
        ("big", "nan", 'the value given for it: "nan" is no number'),
        ("big", float("nan"), "the value given for it: is no number that can be kept"),
        ("word", 5, "the value given for it: 5 is no text"),
        ("word", "a\0", "the value given for it: a text must not have a NUL"),
        ("wrod", "a", 'there is no input "wrod"; did you mean word?'),
    ],
)
def test_given_values_are_checked(name: str, value: object, message: str) -> None:
    (found,) = problems(lambda: load(PLACES, **{name: value}))
    assert (found.path, found.line) == (f"inputs.{name}", None)
    assert found.message.startswith(message)
    definition = load(PLACES)
    (same,) = problems(lambda: spec.input_values(definition, {name: value}))
    assert (same.path, same.message) == (found.path, found.message)


def test_choices_are_kept_to() -> None:
    text = (
        "name: x\ninputs: {a: {choices: [b, c]}, n: {choices: [1, 2], type: integer}}"
    )
    assert load(text, a="b", n="2")
    (found,) = problems(lambda: load(text, a="d"))
    assert found.message == (
        'the value given for it: "d" is not among the choices: "b", "c"'
    )


def test_there_may_be_no_inputs() -> None:
    (found,) = problems(lambda: load("name: x", a="b"))
    assert found.message == 'there is no input "a"'


USES = """\
name: x
inputs: {s: {secret: true}, p: {generate: password}, k: {generate: key}, n: , w: {x: 1}}
provisioners: {p: {variables: {A: "${inputs.s}", B: "${inputs.k.public}"}}}
instances:
  a: {image: "%s", variables: {A: "%s"}}
outputs: {o: "%s"}
"""


@pytest.mark.parametrize(
    "reference, place, message",
    [
        ("inputs.s", 0, "${inputs.s} is secret: it may stand in variables only"),
        ("inputs.p", 0, "${inputs.p} is generated: it may stand in variables only"),
        ("inputs.k.public", 0, "${inputs.k.public} is generated: it may stand in va"),
        ("inputs.n", 0, "the input n has no value: give it one, or a default"),
        ("inputs.n", 1, "the input n has no value: give it one, or a default"),
        ("inputs.t", 0, "${inputs.t}: there is no input t"),
        ("inputs.t", 1, "${inputs.t}: there is no input t"),
        ("inputs.p.public", 1, "${inputs.p.public}: only a key that is generated has"),
        ("inputs.n.public", 1, "${inputs.n.public}: only a key that is generated has"),
        ("inputs.s", 2, "${inputs.s} is secret: outputs are for everybody"),
        ("inputs.p", 2, "${inputs.p} is secret: outputs are for everybody"),
        ("inputs.k", 2, "${inputs.k} is secret: outputs are for everybody"),
        ("inputs.k.value", 1, "${inputs.k.value}: an input has nothing but its value"),
        ("instances.a.name", 0, "${instances.a.name} may stand in variables and outp"),
        ("environment.name", 0, "${environment.name} may stand in variables and outp"),
    ],
)
def test_where_they_may_not_stand(reference: str, place: int, message: str) -> None:
    texts = ["i", "v", "o"]
    texts[place] = f"${{{reference}}}"
    text = USES.replace(", w: {x: 1}", "") % tuple(texts)
    line, column, _, told = only(text)
    assert (line, column) == [(5, 14), (5, 34), (6, 14)][place]
    assert told.startswith(message)


def test_what_refers_to_a_wrong_input_is_not_told_to_be_wrong() -> None:
    text = USES % ("${inputs.w}", "a ${inputs.w}", "${inputs.w}")
    assert only(text)[:2] == (2, 83)
    (found,) = wrong("name: x\ninputs: []\ndescription: d\noutputs: {o: '${inputs.a}'}")
    assert found[2] == "inputs"


def test_values_of_inputs() -> None:
    definition = shop()
    assert spec.input_values(definition, {}) == {"domain": "shop.test"}
    assert spec.input_values(definition, {"admin": "mine"}) == {
        "domain": "shop.test",
        "admin": "mine",
    }
    text = USES.replace(", w: {x: 1}", "") % ("i", "v", "o")
    secret = load(text, s="s3cret")
    assert "s3cret" not in repr(secret)
    assert spec.input_values(secret, {"s": "s3cret"}) == {"s": "s3cret"}
    assert spec.input_values(secret, {}, kept=["s"]) == {}
    (found,) = problems(lambda: spec.input_values(secret, {}))
    assert (found.path, found.code) == ("inputs.s", "missing_field")


@pytest.mark.parametrize("kind", ["integer", "boolean", "number"])
def test_wrong_values_of_secrets_are_not_told(kind: str) -> None:
    text = f"name: x\ninputs: {{s: {{secret: true, type: {kind}}}}}"
    with pytest.raises(Invalid) as caught:
        load(text, s="hunter2")
    assert "hunter2" not in f"{caught.value.message} {caught.value.details}"
    text = "name: x\ninputs: {s: {secret: true, choices: [a]}}"
    with pytest.raises(Invalid) as caught:
        load(text, s="hunter2")
    assert "hunter2" not in f"{caught.value.message} {caught.value.details}"


def test_a_default_that_is_secret_is_not_told() -> None:
    text = "name: x\ninputs: {s: {secret: true, default: hunter2}}"
    assert "hunter2" not in str(wrong(text))


def test_problems_from_outside_come_first() -> None:
    with pytest.raises(Invalid) as caught:
        load(SHOP.replace("count: 2", "count: x"), domain=5, zzz=1)
    found: list[Any] = [(each.path, each.line) for each in Problem.of(caught.value)]
    assert found[:2] == [("inputs.domain", None), ("inputs.zzz", None)]
    assert found[2][0] == "instances.web.count"
