# SPDX-License-Identifier: Apache-2.0
"""Which instances something is done with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from nova_multi.api.schemas.base import Read
from nova_multi.domain.errors import Invalid
from nova_multi.domain.names import Pattern
from nova_multi.provision.service import Pick

_TEXT = {"type": "string", "minLength": 1, "maxLength": 255}


def _object(required: str, **others: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {required: _TEXT, **others},
        "required": [required],
        "additionalProperties": False,
    }


def _list_of(read: Callable[[Any], Pick], told: str, schemas: list[Any]) -> Read:
    def read_all(value: Any) -> tuple[Pick, ...]:
        if not isinstance(value, list) or not value:
            raise Invalid(f"must be a list of at least one {told}")
        return tuple(dict.fromkeys(read(item) for item in value))

    return Read(read_all, {"type": "array", "minItems": 1, "items": {"anyOf": schemas}})


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise Invalid(f"{value!r:.40} is no name")
    return value


def pick_pattern(text: Any) -> Pick:
    """Instances by name or pattern."""
    return Pick(pattern=Pattern.parse(_text(text)).text)


def pick_tag(text: Any) -> Pick:
    """Instances by tag."""
    return Pick(tag=_text(text))


def _pick(item: Any) -> Pick:
    """``{name}``, ``{pattern}`` or ``{tag}``."""
    match item:
        case {"name": text, **rest} if not rest:
            return pick_pattern(text)
        case {"pattern": text, **rest} if not rest:
            return pick_pattern(text)
        case {"tag": text, **rest} if not rest:
            return pick_tag(text)
    raise Invalid("each item must have one of name, pattern and tag")


def _numbered(item: Any) -> Pick:
    """``{name}``, with a ``range`` or without."""
    match item:
        case {"name": text, **rest} if rest.keys() <= {"range"}:
            numbers = rest.get("range", "")
            return pick_pattern(_text(text) + (_text(numbers) if numbers else ""))
        case str():
            return pick_pattern(item)
    raise Invalid("each item must have a name, and may have a range")


def _tag(item: Any) -> Pick:
    """A tag, or ``{name}``."""
    match item:
        case {"name": text, **rest} if not rest:
            return pick_tag(text)
    return pick_tag(item)


Picks = Annotated[
    Any,
    _list_of(
        _pick,
        "name, pattern or tag",
        [_object("name"), _object("pattern"), _object("tag")],
    ),
]
Numbered = Annotated[
    Any,
    _list_of(
        _numbered,
        "name",
        [
            _TEXT,
            _object(
                "name",
                range={"type": "string", "pattern": "^\\[[0-9]{1,4}[:-][0-9]{1,4}\\]$"},
            ),
        ],
    ),
]
Tags = Annotated[Any, _list_of(_tag, "tag", [_TEXT, _object("name")])]
