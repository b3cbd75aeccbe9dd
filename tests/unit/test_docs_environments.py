# SPDX-License-Identifier: Apache-2.0
"""What the documentation tells of an environment's file is what the loader does."""

from __future__ import annotations

import pathlib
import re
import textwrap

import pytest

from nova_multi import spec
from nova_multi.domain.host import HostType
from nova_multi.domain.image import ImageType
from nova_multi.spec import (
    checks,
    context,
    document,
    inputs,
    kinds,
    machines,
    schema,
    templates,
    tree,
    yamltree,
)

TOP = pathlib.Path(__file__).parents[2]
PAGE = (TOP / "doc" / "source" / "user" / "environments.rst").read_text()
WORDS = " ".join(PAGE.split())


def section(title: str) -> str:
    """What stands below a title of the reference."""
    return re.split(rf"\n{re.escape(title)}\n~+\n", PAGE)[1].split("\n~~~~")[0]


def test_the_example_is_read() -> None:
    example = re.split(r"line and column\. ::\n\n", PAGE)[1].split("\n\nThe same")[0]
    found = spec.load_text(textwrap.dedent(example), read_file=lambda path: "true")
    assert found.needs("web") == ("db",)


@pytest.mark.parametrize("name", schema.SECTIONS)
def test_every_field_has_its_row(name: str) -> None:
    rows = set(re.findall(r"^``(\w+)``  ", section(f"``{name}``"), re.MULTILINE))
    fields = {field.name for field in schema.SECTIONS[name].fields}
    aliases = {"disk", "hdspace"} & fields
    assert rows == fields - aliases
    assert all(f"``{alias}``" in section(f"``{name}``") for alias in aliases)


def test_every_section_has_its_row() -> None:
    rows = re.findall(r"^``(\w+)``  ", section("The whole"), re.MULTILINE)
    assert set(rows) == {field.name for field in document.FILE.fields}


def test_every_reference_is_told() -> None:
    told = section("References")
    for name in templates.INSTANCE_ATTRIBUTES:
        assert f"``${{instances.NAME.{name}" in told, name
    for name in templates.ENVIRONMENT_ATTRIBUTES:
        assert f"``${{environment.{name}}}``" in told, name
    for text in re.findall(r"^``\$\{(.*?)\}``  ", told, re.MULTILINE):
        templates.reference(text)


def test_words_and_limits() -> None:
    for word in (*HostType, *ImageType, *inputs.InputType, *inputs.Generator):
        assert f"``{word}``" in PAGE, word
    limits = {
        f"{yamltree.MAX_BYTES >> 20} MiB and {tree.MAX_NODES} values",
        f"{tree.MAX_DEPTH} levels",
        f"at most {context.MAX_ADDED >> 20} MiB",
        f"0 to {machines.MAX_COUNT}",
        f"at most {kinds.MAX_CONTENT} characters",
        f"at most {checks.MAX_INSTANCES}",
        "{} to {}".format(*inputs.LENGTHS),
        f"{machines.MAX_TIMEOUT} ",
    }
    assert {limit for limit in limits if limit not in WORDS} == set()
