# SPDX-License-Identifier: Apache-2.0
"""Tables of fields: the one source of what is read and of the JSON Schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from nova_multi.domain.errors import Invalid
from nova_multi.spec.context import MISSING, Context, Wrong
from nova_multi.spec.kinds import Kind, Schema
from nova_multi.spec.problems import shown
from nova_multi.spec.tree import BAD, Spot

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A field of a file.

    :ivar target: its name in the domain; several fields of one target are words for
        the same.
    :ivar told: what it is, for editors.
    """

    name: str
    kind: Kind
    told: str
    target: str = ""
    required: bool = False

    @property
    def attribute(self) -> str:
        """Its name in the domain."""
        return self.target or self.name

    def schema(self) -> Schema:
        """In JSON Schema."""
        schema = dict(self.kind.schema)
        schema["description"] = " ".join(
            filter(None, (self.told, schema.get("description")))
        )
        return schema


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The fields of a mapping, in the order in which they are read."""

    what: str
    fields: tuple[Field, ...]

    def read(self, ctx: Context, spot: Spot) -> dict[str, Any]:
        """Values by their names in the domain, as far as they could be read.

        :raises Wrong: it is no mapping.
        """
        given = mapping(spot)
        known = {field.name: field for field in self.fields}
        by_target: dict[str, str] = {}
        for name, place, entry in spot.entries() if given else ():
            if name not in known:
                hint = ctx.report.suggest(name, known)
                told = f"{self.what} has no field {shown(name)}{hint}"
                ctx.report.add(place, entry.path, told, "unknown_field")
                continue
            other = by_target.setdefault(known[name].attribute, name)
            if other != name:
                told = f"{name} and {other} mean the same: give one of them"
                ctx.report.add(place, entry.path, told, "given_twice")
        found: dict[str, Any] = {}
        for field in self.fields:
            if field.name in given:
                value = ctx.attempt(field.kind.read, spot.at(field.name))
                if value is not MISSING:
                    found.setdefault(field.attribute, value)
            elif field.required:
                ctx.add(spot, f"{self.what} needs a {field.name}", "missing_field")
        return found

    def schema(self) -> Schema:
        """All of it in JSON Schema."""
        schema: Schema = {
            "type": ["object", "null"],
            "properties": {field.name: field.schema() for field in self.fields},
            "additionalProperties": False,
        }
        if required := [field.name for field in self.fields if field.required]:
            schema |= {"type": "object", "required": required}
        return schema


def mapping(spot: Spot) -> dict[str, Any]:
    """The entries of a mapping; nothing at all is an empty one.

    :raises Wrong: it is something else.
    """
    if spot.value is None:
        return {}
    if not isinstance(spot.value, dict):
        raise Wrong(f"must be a mapping, not {shown(spot.value)}")
    return spot.value


def section(
    check_name: Callable[[str], object],
    read: Callable[[Context, Spot], Any],
    schema: Schema,
    *,
    most: int = 10_000,
    names: str = "",
) -> Kind:
    """Things by their names.

    :param check_name: raises Invalid.
    :param read: one of them; its place's last key is the name.
    :param names: a regular expression for the document.
    """

    def read_all(ctx: Context, spot: Spot) -> dict[str, Any]:
        if len(mapping(spot)) > most:
            told = f"has {len(spot.value)} entries, at most {most} are possible"
            raise Wrong(told)
        found: dict[str, Any] = {}
        for name, place, entry in spot.entries() if spot.value else ():
            try:
                check_name(name)
            except Invalid as error:
                ctx.report.add(place, entry.path, error.message)
                continue
            if entry.value is BAD:
                continue
            before = len(ctx.report)
            value = ctx.attempt(read, entry)
            if len(ctx.report) > before:
                ctx.flawed.add(entry.path)
            if value is not MISSING:
                found[name] = value
        return found

    return Kind(
        read_all,
        {
            "type": ["object", "null"],
            "maxProperties": most,
            "propertyNames": {"pattern": names} if names else {},
            "additionalProperties": schema,
        },
    )
