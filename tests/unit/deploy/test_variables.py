# SPDX-License-Identifier: Apache-2.0
"""What preflight knows of an inventory."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from nm import variables

from tests.unit.deploy.conftest import DEPLOY

INVENTORY = DEPLOY / "inventories" / "all-in-one"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    folder = tmp_path / "group_vars" / "all"
    folder.mkdir(parents=True)
    (folder / "all.yml").write_text(
        "# compute_port: 1\n"
        "compute_port: 8774\n"
        "image_port: 9292  # Glance\n"
        'name: "x y"\n'
        'made: "{{ name }}"\n'
        "listed: [1, 2]\n"
        "folded: >-\n"
        "  inner: 1\n"
    )
    return tmp_path


def test_plain_values_of_the_inventory_and_of_the_command_line(
    inventory: Path,
) -> None:
    values = variables.read(inventory, inventory, ["image_port=19292", "x=y"])
    assert values == {
        "compute_port": "8774",
        "image_port": "19292",
        "name": "x y",
        "x": "y",
    }
    assert variables.numbers(values) == {"compute_port": 8774, "image_port": 19292}


@pytest.mark.parametrize(
    "argument",
    [
        "compute_port=1 name='a b'",
        '{"compute_port": 1, "name": "a b", "listed": [3]}',
        "{compute_port: 1, name: 'a b', listed: [3]}",
        "@vars.json",
        "@vars.yml",
    ],
)
def test_all_that_ansible_takes(inventory: Path, argument: str) -> None:
    (inventory / "vars.json").write_text('{"compute_port": 1, "name": "a b"}')
    (inventory / "vars.yml").write_text("compute_port: 1\nname: a b\n")
    values = variables.read(inventory, inventory, [argument])
    assert values["compute_port"] == "1"
    assert values["name"] == "a b"


@pytest.mark.parametrize("argument", ["@absent", "x='", "[1]", "{", "image_port"])
def test_what_says_nothing_changes_nothing(inventory: Path, argument: str) -> None:
    before = variables.read(inventory, inventory, [])
    assert variables.read(inventory, inventory, [argument]) == before


def test_a_template_is_not_known(inventory: Path) -> None:
    values = variables.read(inventory, inventory, ["image_port={{x}}"])
    assert "image_port" not in values


@pytest.mark.parametrize(
    "path", sorted((INVENTORY / "group_vars" / "all").glob("*.yml"))
)
def test_what_is_read_is_what_yaml_says(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    plain = {
        name: str(value)
        for name, value in document.items()
        if isinstance(value, (str, int)) and "{{" not in str(value)
    }
    found = variables.plain(path.read_text())
    assert {name: value.lower() for name, value in found.items()} == {
        name: value.lower() for name, value in plain.items()
    }
