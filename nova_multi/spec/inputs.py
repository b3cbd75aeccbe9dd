# SPDX-License-Identifier: Apache-2.0
"""Inputs of a file, and the values that they are given."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from nova_multi.domain.definition import Generator, Input, InputType, Scalar
from nova_multi.domain.errors import Invalid
from nova_multi.spec import kinds, templates
from nova_multi.spec.context import Context, Wrong, is_secret
from nova_multi.spec.kinds import Kind
from nova_multi.spec.problems import shown, suggestion
from nova_multi.spec.table import Field, Table, mapping, section
from nova_multi.spec.tree import MAX_WHOLE, OUTSIDE, Spot, text_problem

#: Characters of a generated password.
LENGTHS = (8, 128)
MAX_INPUTS = 1000

_NAME = re.compile(templates.IDENTIFIER, re.ASCII)
_WHOLE = re.compile(r"[-+]?[0-9]{1,20}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_FLAGS = {"true": True, "false": False}


def _plain(ctx: Context, spot: Spot) -> Any:
    """A value that refers to nothing: it is what others refer to."""
    if spot.value is None or isinstance(spot.value, dict | list):
        told = f"must be a text, a number, true or false, not {shown(spot.value)}"
        raise Wrong(told)
    return spot.value


def _words(parse: Callable[[str], Any]) -> Callable[[Context, Spot], Any]:
    def read(ctx: Context, spot: Spot) -> Any:
        try:
            return parse(str(_plain(ctx, spot)))
        except ValueError as error:
            words = ", ".join(getattr(parse, "__members__", {}).values())
            raise Wrong(f"there are {words}, not {shown(spot.value)}") from error

    return read


def _flag(ctx: Context, spot: Spot) -> bool:
    if not isinstance(spot.value, bool):
        raise Wrong(f"must be true or false, not {shown(spot.value)}")
    return spot.value


def _length(ctx: Context, spot: Spot) -> int:
    least, most = LENGTHS
    value = spot.value
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(f"must be a whole number, not {shown(value)}")
    if not least <= value <= most:
        raise Wrong(f"must be between {least} and {most}, not {value}")
    return value


def _description(ctx: Context, spot: Spot) -> str:
    if not isinstance(spot.value, str):
        raise Wrong(f"must be a text, not {shown(spot.value)}")
    if len(spot.value) > 255:
        raise Wrong(f"has {len(spot.value)} characters, at most 255 are possible")
    return spot.value


def _limit(ctx: Context, spot: Spot) -> int | float:
    if isinstance(spot.value, bool) or not isinstance(spot.value, int | float):
        raise Wrong(f"must be a number, not {shown(spot.value)}")
    if not -MAX_WHOLE < spot.value < MAX_WHOLE:
        raise Wrong("is no number that can be kept")
    return spot.value


def _choices(ctx: Context, spot: Spot) -> tuple[tuple[Spot, Any], ...]:
    return kinds.each_of(ctx, spot, _plain, 100)


def _default(ctx: Context, spot: Spot) -> tuple[Spot, Any]:
    return spot, _plain(ctx, spot)


TABLE = Table(
    "an input",
    (
        Field(
            "type",
            Kind(_words(InputType), {"enum": [str(each) for each in InputType]}),
            "What its value is; that of the default if left out, else a string.",
        ),
        Field(
            "description",
            Kind(_description, {"type": "string", "maxLength": 255}),
            "What it is for.",
        ),
        Field(
            "default",
            Kind(_default, kinds.VALUE_SCHEMA),
            "Its value where none is given; a secret has none.",
        ),
        Field(
            "choices",
            Kind(
                _choices,
                {"type": "array", "maxItems": 100, "items": kinds.VALUE_SCHEMA},
            ),
            "The values that it can have; any if left out.",
        ),
        Field(
            "secret",
            Kind(_flag, {"type": "boolean"}),
            "Its value is never shown; what is generated is secret unless this is"
            " false.",
        ),
        Field(
            "generate",
            Kind(_words(Generator), {"enum": [str(each) for each in Generator]}),
            "Its value is made once, and kept.",
        ),
        Field(
            "length",
            Kind(
                _length,
                {"type": "integer", "minimum": LENGTHS[0], "maximum": LENGTHS[1]},
            ),
            "Characters of a generated password; 24 if left out.",
        ),
        Field(
            "minimum",
            Kind(_limit, {"type": "number"}),
            "Of a number: the least that it can be.",
        ),
        Field(
            "maximum",
            Kind(_limit, {"type": "number"}),
            "Of a number: the most that it can be.",
        ),
    ),
)


def _type_of(value: object) -> InputType:
    match value:
        case bool():
            return InputType.BOOLEAN
        case int():
            return InputType.INTEGER
        case float():
            return InputType.NUMBER
    return InputType.STRING


def _read(ctx: Context, spot: Spot) -> Input:
    before = len(ctx.report)
    # Until it is known to be right, what refers to it is not told to be wrong.
    ctx.bad_inputs.add(spot.name)
    entry = _entry(ctx, spot)
    if len(ctx.report) == before:
        ctx.bad_inputs.discard(spot.name)
        ctx.inputs[spot.name] = entry
    return entry


def _entry(ctx: Context, spot: Spot) -> Input:
    if spot.value is not None and not isinstance(spot.value, dict):
        value = _plain(ctx, spot)
        return Input(spot.name, _type_of(value), default=value)
    found = TABLE.read(ctx, spot)
    default_spot, default = found.get("default", (spot, None))
    type_ = found.get("type", _type_of(default))
    generate = found.get("generate")
    secret = found.get("secret", generate is not None)
    entry = Input(
        spot.name,
        type_,
        found.get("description", ""),
        secret=secret,
        generate=generate,
        length=found.get("length", Input("").length),
        minimum=found.get("minimum"),
        maximum=found.get("maximum"),
    )
    _check_limits(ctx, spot, entry)
    choices = []
    for item, choice in found.get("choices", ()):
        wrong = mismatch(entry, choice)
        if wrong:
            ctx.add(item, wrong)
        else:
            choices.append(choice)
    if "choices" in found and not found["choices"]:
        ctx.add(spot.at("choices"), "has no values: leave it out")
    if default is not None:
        wrong = _wrong_default(entry, default, choices)
        if wrong:
            ctx.add(default_spot, wrong)
    _check_generated(ctx, spot, entry, found)
    return dataclasses.replace(
        entry, default=default, choices=tuple(dict.fromkeys(choices))
    )


def _check_limits(ctx: Context, spot: Spot, entry: Input) -> None:
    limits = {"minimum": entry.minimum, "maximum": entry.maximum}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    for name, limit in given.items():
        if entry.type not in (InputType.INTEGER, InputType.NUMBER):
            ctx.add(spot.at(name), f"only a number has a {name}, not a {entry.type}")
        elif entry.type is InputType.INTEGER and not isinstance(limit, int):
            ctx.add(spot.at(name), f"{limit} is no whole number")
    if len(given) == 2 and given["minimum"] > given["maximum"]:
        ctx.add(spot.at("minimum"), f"is more than the maximum, {given['maximum']}")


def _wrong_default(entry: Input, default: Scalar, choices: list[Any]) -> str | None:
    if entry.generate:
        return "what is generated has no default"
    if entry.secret:
        return "a secret has no default, which anybody could read: give it a value"
    wrong = mismatch(entry, default)
    if wrong is None and choices and default not in choices:
        return f"{shown(default)} is not among the choices"
    return wrong


def _check_generated(
    ctx: Context, spot: Spot, entry: Input, found: Mapping[str, Any]
) -> None:
    if entry.generate is None:
        if "length" in found:
            ctx.add(spot.at("length"), "only what is generated has a length")
        return
    if entry.type is not InputType.STRING:
        ctx.add(spot.at("generate"), f"is a string, and not of type {entry.type}")
    if found.get("choices"):
        ctx.add(spot.at("choices"), "what is generated has no choices")
    if entry.generate is Generator.KEY:
        if not entry.secret:
            ctx.add(spot.at("secret"), "a private key is always secret")
        if "length" in found:
            ctx.add(spot.at("length"), "a key has no length")


# Values


def mismatch(entry: Input, value: Any) -> str | None:
    """Why a value is not of an input's type, or None; tells no secret."""
    told = "the value" if is_secret(entry) else shown(value)
    match entry.type:
        case InputType.STRING:
            if not isinstance(value, str):
                return f"{told} is no text: write it in quotes"
            if len(value) > kinds.MAX_CONTENT:
                return f"has over {kinds.MAX_CONTENT} characters"
            return text_problem(value)
        case InputType.BOOLEAN:
            fine = isinstance(value, bool)
            return None if fine else f"{told} is neither true nor false"
    kind: Any = int if entry.type is InputType.INTEGER else int | float
    if isinstance(value, bool) or not isinstance(value, kind):
        word = "whole number" if entry.type is InputType.INTEGER else "number"
        return f"{told} is no {word}"
    if entry.minimum is not None and value < entry.minimum:
        return f"{told} is less than the minimum, {entry.minimum}"
    if entry.maximum is not None and value > entry.maximum:
        return f"{told} is more than the maximum, {entry.maximum}"
    return None


def convert(entry: Input, given: object) -> Scalar:
    """A given value: a text as a command line has it, or one of the input's type.

    :raises Invalid: it is not of the type, or not among the choices.
    """
    value: Any = given
    if isinstance(given, str) and entry.type is not InputType.STRING:
        value = _from_text(entry.type, given.strip())
        value = given if value is None else value
    wrong = mismatch(entry, value)
    if isinstance(value, int | float) and not -MAX_WHOLE < value < MAX_WHOLE:
        wrong = "is no number that can be kept"
    if wrong is None and entry.choices and value not in entry.choices:
        told = ", ".join(shown(choice) for choice in entry.choices)
        word = "it" if is_secret(entry) else shown(value)
        wrong = f"{word} is not among the choices: {told}"
    if wrong:
        raise Invalid(f"the value given for it: {wrong}")
    return value  # type: ignore[no-any-return]


def _from_text(kind: InputType, text: str) -> Scalar | None:
    if kind is InputType.BOOLEAN:
        return _FLAGS.get(text.lower())
    if _WHOLE.fullmatch(text):
        return int(text)
    if kind is InputType.INTEGER:
        return None
    return float(text) if len(text) < 400 and _NUMBER.fullmatch(text) else None


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{shown(name)} is no name of an input: up to 63 letters, digits, '_' and"
            " '-', the first no digit"
        )


_SECTION = section(
    _check_name,
    _read,
    {"anyOf": [kinds.VALUE_SCHEMA, {"$ref": "#/$defs/inputs"}]},
    most=MAX_INPUTS,
    names=f"^{templates.IDENTIFIER}$",
)


def _read_section(ctx: Context, spot: Spot) -> dict[str, Input]:
    ctx.inputs_known = False
    ctx.bad_inputs |= mapping(spot).keys()
    found: dict[str, Input] = _SECTION.read(ctx, spot)
    ctx.inputs_known = True
    take_values(ctx)
    return found


INPUTS = Kind(_read_section, _SECTION.schema)


def take_values(ctx: Context) -> None:
    """Check the values that are given, and keep what the inputs are worth."""
    inputs = dict(ctx.inputs)
    for name, given in ctx.given.items():
        entry = inputs.get(name)
        if entry is None:
            if name not in ctx.bad_inputs:
                told = f"there is no input {shown(name)}{suggestion(str(name), inputs)}"
                ctx.report.add(OUTSIDE, ("inputs", str(name)), told, "unknown_field")
            continue
        try:
            value = convert(entry, given)
        except Invalid as error:
            ctx.report.add(OUTSIDE, ("inputs", name), error.message)
            ctx.inputs.pop(name, None)
            ctx.bad_inputs.add(name)
        else:
            ctx.values[name] = value
    for name, entry in inputs.items():
        if entry.default is not None and not is_secret(entry):
            ctx.values.setdefault(name, entry.default)
