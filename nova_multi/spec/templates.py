# SPDX-License-Identifier: Apache-2.0
"""``${...}`` in texts: what it says, and how it is written.

Two dollars in a row before a ``{`` are one plain dollar: ``$${`` is a plain ``${``, and
``$$${`` a dollar and then a reference. All other dollars are themselves.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from nova_multi.domain.definition import Reference, Root, Template
from nova_multi.domain.errors import Invalid
from nova_multi.domain.publish import Publish

#: Names of inputs and of outputs.
IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_-]{0,62}"

#: What an instance has, once it stands; those with None take no key.
INSTANCE_ATTRIBUTES = {
    "address": None,
    "addresses": None,
    "name": None,
    "host": None,
    "published": "[80]",
    "outputs": ".url",
}
ENVIRONMENT_ATTRIBUTES = ("name", "partition", "publish_address")

_DOLLARS = re.compile(r"(?<!\$)(\$++)\{")
_INPUT = re.compile(rf"inputs\.({IDENTIFIER})(?:\.([A-Za-z_]+))?", re.ASCII)
_ENVIRONMENT = re.compile(r"environment\.([A-Za-z_]+)", re.ASCII)
_IMAGE = re.compile(
    r"""\$\{images(?:\.([A-Za-z0-9][A-Za-z0-9_-]{0,254})|\["([A-Za-z0-9._-]{1,255})"\])\}""",
    re.ASCII,
)
_INSTANCE = re.compile(
    r"""instances(?:\.([A-Za-z0-9][A-Za-z0-9_-]{0,62})|\["([A-Za-z0-9._-]{1,63})"\])
    (?:\[([0-9]{1,4})\])?
    \.([A-Za-z_]+)
    (?:\[([^\[\]]{1,64})\]|\.([A-Za-z0-9_-]{1,64}))?""",
    re.ASCII | re.VERBOSE,
)


def has_references(text: str) -> bool:
    """Whether a text can't be taken as it is; cheap."""
    return "${" in text


def image_named(text: str) -> str | None:
    """The name in ``${images.NAME}``; None if a text is anything else."""
    found = _IMAGE.fullmatch(text)
    return found and (found[1] or found[2])


def parse(text: str) -> Iterator[str | Reference | Invalid]:
    """The parts of a text, in their order; none is empty.

    In place of a part that begins like a reference, and is none, is what is wrong.
    """
    at = 0
    while found := _DOLLARS.search(text, at):
        dollars = len(found[1])
        plain = text[at : found.start()] + "$" * (dollars // 2)
        if dollars % 2 == 0:
            yield plain + "{"
            at = found.end()
            continue
        if plain:
            yield plain
        end = text.find("}", found.end())
        if end < 0:
            begin = _short(text[found.start() :], 20)
            yield Invalid(f"{begin} has no end: a plain ${{ is written $${{")
            return
        try:
            yield reference(text[found.end() : end])
        except Invalid as error:
            yield error
        at = end + 1
    if at < len(text):
        yield text[at:]


def template(parts: Iterable[str | Reference]) -> Template:
    """A template in its one form: no empty text, no two texts in a row."""
    joined: list[str | Reference] = []
    for part in parts:
        if part == "":
            continue
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return Template(tuple(joined))


def write(value: Template) -> str:
    """The text that is read as the template."""
    parts = [
        str(part)
        if isinstance(part, Reference)
        else _escaped(part, isinstance(following, Reference))
        for part, following in itertools.zip_longest(value.parts, value.parts[1:])
    ]
    return "".join(parts)


def _escaped(text: str, before_reference: bool) -> str:
    text = _DOLLARS.sub(r"\1\1{", text)
    if before_reference:
        bare = text.rstrip("$")
        text = bare + "$" * (2 * (len(text) - len(bare)))
    return text


def write_text(text: str) -> str:
    """The text that is read as a plain one."""
    return _escaped(text, False)


def reference(text: str) -> Reference:
    """Read what stands between ``${`` and ``}``.

    :raises Invalid: it is no reference, and what it could be.
    """
    if found := _INPUT.fullmatch(text):
        if found[2] not in (None, "public"):
            raise Invalid(
                f"${{{text}}}: an input has nothing but its value, and .public where"
                " a key is generated"
            )
        return Reference(Root.INPUTS, found[1], found[2] or "value")
    if found := _ENVIRONMENT.fullmatch(text):
        if found[1] not in ENVIRONMENT_ATTRIBUTES:
            told = ", ".join(ENVIRONMENT_ATTRIBUTES)
            raise Invalid(f"${{{text}}}: of the environment there are {told}")
        return Reference(Root.ENVIRONMENT, "", found[1])
    if found := _INSTANCE.fullmatch(text):
        return _of_instance(text, found)
    raise Invalid(
        f"${{{_short(text)}}} is no reference, such as ${{inputs.NAME}},"
        " ${instances.NAME.address} or ${environment.publish_address};"
        " a plain ${ is written $${"
    )


def _of_instance(text: str, found: re.Match[str]) -> Reference:
    plain, quoted, index, attribute, port, key = found.groups()
    if attribute not in INSTANCE_ATTRIBUTES:
        told = ", ".join(INSTANCE_ATTRIBUTES)
        raise Invalid(f"${{{_short(text)}}}: an instance has {told}")
    form = INSTANCE_ATTRIBUTES[attribute]
    given = (port is not None, key is not None)
    wanted = (attribute == "published", attribute == "outputs")
    if given != wanted:
        told = f"is followed by a key, as in {attribute}{form}" if form else "is alone"
        raise Invalid(f"${{{_short(text)}}}: {attribute} {told}")
    if port is not None:
        inside = Publish.parse(port)
        if inside.outside is not None:
            raise Invalid(f"${{{_short(text)}}}: the port of the guest alone is meant")
        key = str(inside)
    number = None if index is None else int(index)
    return Reference(Root.INSTANCES, plain or quoted, attribute, number, key)


def _short(text: str, longest: int = 60) -> str:
    short = text if len(text) <= longest else f"{text[:longest]}..."
    return short if short.isprintable() else short.encode("unicode_escape").decode()
