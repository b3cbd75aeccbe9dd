# SPDX-License-Identifier: Apache-2.0
"""What a plain scalar of YAML is, by the core schema of YAML 1.2.

PyYAML goes by YAML 1.1, where ``8080:80`` is a number of base 60, ``on`` is true and
``010`` is eight. https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import math
import re

from nova_multi.spec.tree import MAX_WHOLE

Value = None | bool | int | float | str

_CORE = "tag:yaml.org,2002:"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {
    word: word.lower() == "true"
    for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_WHOLE = (
    (re.compile(r"[-+]?[0-9]+", re.ASCII), 10),
    (re.compile(r"0o[0-7]+", re.ASCII), 8),
    (re.compile(r"0x[0-9a-fA-F]+", re.ASCII), 16),
)
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII
)
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)
#: No number that can be kept has so many characters.
_LONGEST = 400


def plain(text: str) -> Value:
    """The value of a scalar without quotes.

    :raises ValueError: it is a number that can't be kept.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in "+-.0123456789":
        return text
    found = _number(text)
    return text if found is None else found


def tagged(tag: str, text: str) -> Value:
    """The value of a scalar with one of the core schema's tags.

    :raises ValueError: the tag is another one, or the text is not of that kind.
    """
    name = tag.removeprefix(_CORE) if tag.startswith(_CORE) else ""
    match name:
        case "str":
            return text
        case "null" if text in _NULL:
            return None
        case "bool" if text in _BOOL:
            return _BOOL[text]
        case "int" | "float":
            number = _number(text)
            if name == "float" and number is not None:
                return float(number)
            if isinstance(number, int):
                return number
        case "null" | "bool":
            pass
        case _:
            raise ValueError(f"the tag {written(tag)} is not taken")
    raise ValueError(f"is not what its tag {written(tag)} says")


def written(tag: str) -> str:
    """A tag as it stands in a file, if it is one of the usual."""
    short = f"!!{tag.removeprefix(_CORE)}" if tag.startswith(_CORE) else tag
    return short[:40].encode("unicode_escape").decode()


def is_collection_tag(tag: str, kind: str) -> bool:
    """Whether a tag says what a collection is anyhow (``map``, ``seq``)."""
    return tag == f"{_CORE}{kind}"


def _number(text: str) -> int | float | None:
    for form, base in _WHOLE:
        if form.fullmatch(text):
            whole = int(text, base) if len(text) <= _LONGEST else MAX_WHOLE
            if abs(whole) >= MAX_WHOLE:
                raise ValueError("is too long a number")
            return whole
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f"{text} is no number that JSON has")
    if not _FLOAT.fullmatch(text):
        return None
    number = float(text) if len(text) <= _LONGEST else math.inf
    if not math.isfinite(number):
        raise ValueError("is too large a number")
    return number
