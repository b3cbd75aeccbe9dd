# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema that editors use, and the loader, are one."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jsonschema
import pytest
import yaml

from nova_multi.domain import definition
from nova_multi.spec import document, schema
from tests.unit.spec.examples import SHOP

KEPT = json.loads(schema.PATH.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(KEPT)
DOMAIN = {
    "inputs": definition.Input,
    "networks": definition.NetworkDefinition,
    "images": definition.ImageDefinition,
    "provisioners": definition.ProvisionerDefinition,
    "instances": definition.InstanceDefinition,
}


def test_it_is_the_newest() -> None:
    told = "run: python -m nova_multi.spec.schema"
    assert schema.PATH.read_text(encoding="utf-8") == schema.text(), told


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(KEPT)


@pytest.mark.parametrize("section", schema.SECTIONS)
def test_fields_are_those_of_the_loader_and_the_domain(section: str) -> None:
    table = schema.SECTIONS[section]
    assert list(KEPT["$defs"][section]["properties"]) == [f.name for f in table.fields]
    fields = {each.name for each in dataclasses.fields(DOMAIN[section])} - {"name"}
    assert {field.attribute for field in table.fields} == fields


def test_sections_are_those_of_the_domain() -> None:
    fields = {each.name for each in dataclasses.fields(definition.Definition)}
    assert {field.attribute for field in document.FILE.fields} == fields
    assert KEPT["properties"].keys() == fields


def test_every_field_is_told() -> None:
    tables = [KEPT, *(KEPT["$defs"][section] for section in schema.SECTIONS)]
    for table in tables:
        for name, field in table["properties"].items():
            assert len(field["description"]) > 8, name


def test_the_example_is_taken() -> None:
    VALIDATOR.validate(yaml.safe_load(SHOP))


@pytest.mark.parametrize(
    "path, value",
    [
        ("name", None),
        ("partion", "x"),
        ("instances.web.count", 1001),
        ("instances.web.count", "two"),
        ("instances.web.memory", "5XB"),
        ("instances.web.driver", "xen"),
        ("instances.web.publish", ["a"]),
        ("instances.web.publish", 80),
        ("instances.web.tags", ["a,b"]),
        ("instances.web.variables", {"a-b": 1}),
        ("instances.web.variables", {"A": [1]}),
        ("instances.-web", {}),
        ("provisioners.site.script", {"fil": "a"}),
        ("provisioners.site.launch", 1),
        ("inputs.domain", [1]),
        ("inputs.domain", {"type": "text"}),
        ("networks.back.cidr", 5),
        ("outputs.url", None),
    ],
)
def test_what_is_wrong_is_not_taken(path: str, value: Any) -> None:
    data = yaml.safe_load(SHOP)
    *ways, last = path.split(".")
    inside = data
    for way in ways:
        inside = inside[way]
    inside[last] = value
    assert not VALIDATOR.is_valid(data)
