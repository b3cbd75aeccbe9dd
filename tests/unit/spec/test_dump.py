# SPDX-License-Identifier: Apache-2.0
"""What is sent and stored is read back, all equal."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings

from nova_multi import spec
from nova_multi.domain.definition import Definition
from nova_multi.domain.schedule import Schedule
from nova_multi.spec import schema
from tests.unit.spec.examples import SHOP, load, shop
from tests.unit.spec.strategies import files

VALIDATOR = jsonschema.Draft202012Validator(schema.schema())
USUAL = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def sent(definition: Definition) -> Any:
    """What comes out at the other end."""
    return json.loads(json.dumps(spec.dump(definition), allow_nan=False))


def test_the_example() -> None:
    definition = shop({"domain": "other.test"})
    data = sent(definition)
    assert spec.load_dict(data) == definition
    assert data["instances"]["web"] == {
        "count": 2,
        "image": "debian-12",
        "provisioner": "site",
        "driver": "docker",
        "memory": 256,
        "publish": ["80"],
        "networks": ["back"],
        "tags": ["front"],
        "variables": {
            "DB": "${instances.db.address}",
            "NAME": "other.test",
            "PASSWORD": "${inputs.admin}",
        },
        "depends_on": ["db"],
    }
    assert data["provisioners"]["database"]["script"].endswith("${HOME}\n")


@pytest.mark.parametrize(
    "text",
    [
        "name: x\nusers: []",
        "name: x\ninputs: {a: $}\ninstances: {b: }\noutputs:\n"
        "  o: ${inputs.a}${instances.b.address}",
        "name: x\ninputs: {a: '${inputs.b}'}\ninstances: {b: {image: '${inputs.a}'}}",
        "name: x\ninstances: {b: {hdsize: 1.5}, c: {count: 0, hdsize: 3}}",
        "name: x\ndescription: ${a} $${b}",
    ],
)
def test_corners(text: str) -> None:
    definition = load(text)
    assert spec.load_dict(sent(definition)) == definition


def test_a_secret_is_in_nothing_that_is_sent() -> None:
    text = (
        "name: x\ninputs: {s: {secret: true}}\ninstances: {a: {variables: {V: '%s'}}}"
    )
    definition = load(text % "${inputs.s}", s="hunter2")
    assert "hunter2" not in json.dumps(spec.dump(definition))


def test_a_schedule_of_always_is_not_none_at_all() -> None:
    for text in ("name: x\nschedule: {}", "name: x\nschedule:"):
        definition = load(text)
        assert definition.schedule == Schedule()
        assert spec.dump(definition)["schedule"] == {}
        assert spec.load_dict(spec.dump(definition)) == definition
    assert "schedule" not in spec.dump(load("name: x"))


@USUAL
@given(files())
def test_every_definition_comes_back(data: dict[str, Any]) -> None:
    definition = spec.load_dict(data)
    again = sent(definition)
    assert spec.load_dict(again) == definition
    assert sent(spec.load_dict(again)) == again
    VALIDATOR.validate(data)
    VALIDATOR.validate(again)


@USUAL
@given(files())
def test_yaml_and_plain_data_are_the_same(data: dict[str, Any]) -> None:
    text = json.dumps(data, ensure_ascii=False)
    # JSON has characters that YAML has not, or takes for the end of a line.
    assume(not re.search("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", text))
    assume(all(ord(each) & 0xFFFE != 0xFFFE for each in text))
    assert spec.load_text(text) == spec.load_dict(data)


def test_json_is_yaml() -> None:
    data = sent(shop())
    assert spec.load_text(json.dumps(data)) == spec.load_dict(data)
    assert spec.load_text(SHOP.encode(), read_file=lambda path: "x").name == "shop"
