# SPDX-License-Identifier: Apache-2.0
"""Kinds of values: how each is read, and what it is in JSON Schema."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from nova_multi.domain import ranges, sizes
from nova_multi.domain.definition import Template
from nova_multi.domain.errors import Invalid
from nova_multi.domain.provisioner import check_variables
from nova_multi.domain.publish import Publish
from nova_multi.spec import templates
from nova_multi.spec.context import MISSING, Context, Told, Wrong, as_text
from nova_multi.spec.problems import shown
from nova_multi.spec.tree import BAD, Spot

Schema = dict[str, Any]
_T = TypeVar("_T")

#: A text that takes an input's value.
INPUT_SCHEMA: Schema = {
    "description": "The value of an input, alone or within a text.",
    "type": "string",
    "pattern": r"\$\{inputs\.",
}
_SIZE = r"^\s*[0-9]{1,12}(\.[0-9]{1,6})? ?([MmGgTt]([Ii]?[Bb])?)?\s*$"
_NONE_SUCH = r"[^\x00-\x1f\x7f]"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A kind of value.

    :ivar read: gives the domain's value; raises Wrong, Told or Invalid.
    :ivar schema: the same in JSON Schema, with inputs in place of values allowed.
    """

    read: Callable[[Context, Spot], Any]
    schema: Mapping[str, Any]


def or_input(schema: Schema) -> Schema:
    """A schema that takes an input's value too."""
    return {"anyOf": [schema, {"$ref": "#/$defs/input"}]}


def written_text(ctx: Context, spot: Spot, longest: int = 255) -> str:
    """A text with inputs in it.

    :raises Wrong: it is none.
    """
    value, is_input = ctx.scalar(spot)
    if is_input:
        value = as_text(value)
    if value is None:
        raise Wrong('has no value: leave it out, or write ""')
    if not isinstance(value, str):
        quotes = "" if isinstance(value, dict | list) else ": write it in quotes"
        raise Wrong(f"must be a text, not {_told(spot, value)}{quotes}")
    if len(value) > longest:
        raise Wrong(f"has {len(value)} characters, at most {longest} are possible")
    return value


def _told(spot: Spot, value: object) -> str:
    return spot.node.raw if spot.node.raw else shown(value)


def text(
    form: str = r"[^\x00]*",
    told: str = "a text",
    *,
    longest: int = 255,
    least: int = 0,
    check: Callable[[str], object] | None = None,
) -> Kind:
    """A text of some form.

    :param form: a regular expression for all of it.
    :param told: what it must be, where the form is not kept.
    :param check: raises Invalid, for what a form can't say.
    """
    pattern = re.compile(form, re.ASCII)

    def read(ctx: Context, spot: Spot) -> str:
        value = written_text(ctx, spot, longest)
        if len(value) < least or not pattern.fullmatch(value):
            raise Wrong(f"must be {told}, not {shown(value)}")
        if check is not None:
            check(value)
        return value

    schema: Schema = {"type": "string", "pattern": f"^(?:{form})$"}
    if longest < 100_000:
        schema["maxLength"] = longest
    if least:
        schema["minLength"] = least
    return Kind(read, or_input(schema))


def name_or_id(what: str) -> Kind:
    """What names something that may be known to the service alone."""
    told = f"the name or id of {what}"
    return text(rf"{_NONE_SUCH}+", told, least=1)


#: A line for people.
LINE = text(rf"{_NONE_SUCH}*", "one line of text")
#: Some lines for people.
TEXT = text()
#: Content, such as a script.
MAX_CONTENT = 100_000


def whole(least: int, most: int) -> Kind:
    """A whole number."""

    def read(ctx: Context, spot: Spot) -> int:
        value, is_input = ctx.scalar(spot)
        if isinstance(value, bool) or not isinstance(value, int):
            hint = ": is its input of type integer?" if is_input else ""
            raise Wrong(f"must be a whole number, not {shown(value)}{hint}")
        if not least <= value <= most:
            raise Wrong(f"must be between {least} and {most}, not {value}")
        return value

    return Kind(read, or_input({"type": "integer", "minimum": least, "maximum": most}))


def flag(ctx: Context, spot: Spot) -> bool:
    """True or false.

    :raises Wrong: it is neither.
    """
    value, _ = ctx.scalar(spot)
    if not isinstance(value, bool):
        raise Wrong(f"must be true or false, not {shown(value)}")
    return value


FLAG = Kind(flag, or_input({"type": "boolean"}))


def size(unit: Literal["MB", "GB"]) -> Kind:
    """An amount of memory or disk, in MB for the domain."""

    def read(ctx: Context, spot: Spot) -> int:
        value, _ = ctx.scalar(spot)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise Wrong(f"must be a size such as 512MB or 2GB, not {shown(value)}")
        return sizes.parse_size(value, unit)

    largest = sizes.MAX_MB if unit == "MB" else sizes.MAX_MB // 1024
    schema = {
        "description": f"A number of {unit}, or a text with a unit: 512MB, 2GB.",
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0, "maximum": largest},
            {
                "type": "string",
                "pattern": _SIZE,
            },
            {"$ref": "#/$defs/input"},
        ],
    }
    return Kind(read, schema)


def word(parse: Callable[[str], Any], words: Iterable[str]) -> Kind:
    """One of several words."""

    def read(ctx: Context, spot: Spot) -> Any:
        return parse(written_text(ctx, spot))

    return Kind(read, or_input({"enum": [str(each) for each in words]}))


def each_of(
    ctx: Context, spot: Spot, read: Callable[[Context, Spot], _T], most: int
) -> tuple[tuple[Spot, _T], ...]:
    """The values of a list that could be read, with their places.

    :raises Wrong: it is no list, or has too many values.
    """
    if not isinstance(spot.value, list):
        raise Wrong(f"must be a list, not {shown(spot.value)}")
    if len(spot.value) > most:
        raise Wrong(f"has {len(spot.value)} values, at most {most} are possible")
    found = []
    for item in spot.items():
        value = ctx.attempt(read, item)
        if value is not MISSING:
            found.append((item, value))
    return tuple(found)


def list_of(kind: Kind, *, key: str = "", most: int = 1000) -> Kind:
    """Values of one kind, each of which may be there once.

    :param key: each may be a mapping with this one key, too.
    """

    def read_item(ctx: Context, spot: Spot) -> Any:
        if key and isinstance(spot.value, dict):
            if list(spot.value) != [key]:
                raise Wrong(f"must be a name, or a mapping with {key} alone")
            return kind.read(ctx, _good(spot.at(key)))
        return kind.read(ctx, spot)

    def read(ctx: Context, spot: Spot) -> tuple[Any, ...]:
        found: dict[Any, None] = {}
        for item, value in each_of(ctx, spot, read_item, most):
            if value in found:
                ctx.add(item, f"{shown(str(value))} is there twice")
            found[value] = None
        return tuple(found)

    items = dict(kind.schema)
    if key:
        wrapped = {
            "type": "object",
            "properties": {key: kind.schema},
            "required": [key],
            "additionalProperties": False,
        }
        items = {"anyOf": [kind.schema, wrapped]}
    return Kind(read, {"type": "array", "maxItems": most, "items": items})


def _good(spot: Spot) -> Spot:
    if spot.value is BAD:
        raise Told
    return spot


def _port(ctx: Context, spot: Spot) -> Publish:
    value, _ = ctx.scalar(spot)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Wrong(f"must be a port such as 80 or 8080:80, not {shown(value)}")
    return Publish.parse(value)


def _ports(ctx: Context, spot: Spot) -> tuple[Publish, ...]:
    found = each_of(ctx, spot, _port, 100)
    seen: set[tuple[str, str, int]] = set()
    for item, each in found:
        for side, number in (("inside", each.inside), ("outside", each.outside)):
            if number is None:
                continue
            if (side, each.protocol, number) in seen:
                whose = " of the guest" if side == "inside" else ""
                ctx.add(
                    item, f"{each.protocol} port {number}{whose} is published twice"
                )
            seen.add((side, each.protocol, number))
    return tuple(each for _, each in found)


PORTS = Kind(
    _ports,
    {
        "type": "array",
        "maxItems": 100,
        "items": {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {
                    "type": "string",
                    "pattern": "^([0-9]{1,5}:)?[0-9]{1,5}(/(tcp|udp))?$",
                    "examples": ["8080:80", "80", "53:53/udp"],
                },
                {"$ref": "#/$defs/input"},
            ]
        },
    },
)


def template(ctx: Context, spot: Spot) -> Template:
    """A text, number, true or false, in which references are left as they are.

    :raises Wrong: it is none, or refers to an input that there is not.
    """
    value = spot.value
    if value is None:
        raise Wrong('has no value: an empty text is written ""')
    if isinstance(value, dict | list):
        raise Wrong(f"must be a text, a number, true or false, not {shown(value)}")
    if not isinstance(value, str):
        raw = None if isinstance(value, bool) else spot.node.raw
        # As it was written: 1.10 is no 1.1 where a text is wanted.
        return templates.template([raw or as_text(value)])
    found = templates.template(ctx.parts(spot))
    length = sum(len(str(part)) for part in found.parts)
    if length > MAX_CONTENT:
        raise Wrong(f"has {length} characters, at most {MAX_CONTENT} are possible")
    return found


VALUE_SCHEMA: Schema = {"type": ["string", "number", "boolean"]}


def check_variable(name: str) -> None:
    """See that a shell can have a variable of a name.

    :raises Invalid: it can't.
    """
    check_variables({name: ""})


def address(value: str) -> None:
    """See that a text is an address.

    :raises Invalid: it is none.
    """
    try:
        ipaddress.ip_address(value)
    except ValueError as error:
        raise Invalid(f"{shown(value)} is no IP address") from error


def span(value: str) -> None:
    """See that a text is a first and a last address.

    :raises Invalid: it isn't.
    """
    try:
        ranges.span_of(value)
    except ValueError as error:
        told = "are no first and last address such as 10.0.0.10-10.0.0.99"
        raise Invalid(f"{shown(value)} {told}") from error


def cidr(value: str) -> None:
    """See that a text is a range of addresses.

    :raises Invalid: it is none, or has bits of a host.
    """
    told = f"{shown(value)} is no range of addresses such as 10.0.0.0/24"
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise Invalid(told) from error
    if "/" not in value:
        raise Invalid(told)
    if str(network.network_address) != value.partition("/")[0]:
        raise Invalid(f"{shown(value)} begins in the middle of a range: {network}?")
