# SPDX-License-Identifier: Apache-2.0
"""What lists can be filtered by: the same in the service, its schemas and commands."""

from __future__ import annotations

import importlib
import pathlib
import re
from typing import Any

import pytest

from nova_multi.api.schemas.base import InScope, ListQuery

#: Noun, its module in the service, and its filters there.
NOUNS = {
    "environment": ("environments", "_FILTERS"),
    "file": ("files", "_FILTERS"),
    "group": ("users", "_GROUP_FILTERS"),
    "host": ("hosts", "_FILTERS"),
    "image": ("images", "_FILTERS"),
    "instance": ("instances", "_FILTERS"),
    "partition": ("partitions", "_FILTERS"),
    "provisioner": ("provisioners", "_FILTERS"),
    "task": ("tasks", "_FILTERS"),
    "user": ("users", "_USER_FILTERS"),
}
REST = pathlib.Path(__file__).parents[2] / "doc" / "source" / "reference" / "rest.rst"
#: The command line has no nouns of their own for these.
WITHOUT_COMMANDS = {"group"}


def _found(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"nova_multi.{module}"), name)


def _query(noun: str) -> type[ListQuery]:
    found: type[ListQuery] = _found(f"api.schemas.{noun}", f"{noun.capitalize()}Query")
    return found


def _fields(query: type[ListQuery]) -> set[str]:
    """Those that are no part of saying where, or which page."""
    others = {"limit", "marker"}
    if issubclass(query, InScope):
        others |= InScope.model_fields.keys()
    return query.model_fields.keys() - others


@pytest.mark.parametrize("noun", NOUNS)
def test_whatever_the_service_filters_by_may_be_asked_for(noun: str) -> None:
    module, name = NOUNS[noun]
    filters = set(_found(f"provision.nouns.{module}", name))
    query = _query(noun)
    where = InScope.model_fields.keys() if issubclass(query, InScope) else set()
    assert filters - where == _fields(query)


@pytest.mark.parametrize("noun", sorted(NOUNS.keys() - WITHOUT_COMMANDS))
def test_a_list_has_an_option_for_each(noun: str) -> None:
    options = _found(f"osc.v1.{noun}", f"List{noun.capitalize()}").filters
    assert len(options) == len(set(options))
    assert set(options) == _fields(_query(noun))


@pytest.mark.parametrize("noun", NOUNS)
def test_the_documentation_names_them(noun: str) -> None:
    """In the noun's section; partition and environment narrow every list in a scope."""
    told = [
        set(re.findall("``([a-z_]+)``", found))
        for found in re.findall(r"Filters: ([^.]+)\.", REST.read_text())
    ]
    fields = _fields(_query(noun))
    where = InScope.model_fields.keys()
    assert any(each - where == fields - where for each in told), fields
