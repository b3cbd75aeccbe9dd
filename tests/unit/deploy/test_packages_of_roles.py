# SPDX-License-Identifier: Apache-2.0
"""Which of Debian's packages roles want, by the action that gathers them."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.unit.deploy.conftest import DEPLOY

LIBVIRT = DEPLOY / "inventories/all-in-one/group_vars/all/libvirt.yml"


def packages(role: str, **variables: Any) -> set[str]:
    spec = importlib.util.spec_from_file_location(
        "packages_action", DEPLOY / "plugins" / "action" / "packages.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    action = object.__new__(module.ActionModule)
    action._loader = DataLoader()
    action._loader.set_basedir(str(DEPLOY))
    values = yaml.safe_load(LIBVIRT.read_text())
    action._templar = Templar(action._loader, variables=values | variables)
    found: set[str] = action._packages_of(role)
    return found


@pytest.mark.parametrize(
    ("architectures", "emulators"),
    [
        ([], set()),
        (["arm64"], {"qemu-system-arm", "qemu-efi-aarch64"}),
        (
            ["arm64", "riscv64"],
            {"qemu-system-arm", "qemu-efi-aarch64", "qemu-system-misc"},
        ),
    ],
)
def test_emulators_of_other_architectures(
    architectures: list[str], emulators: set[str]
) -> None:
    known = yaml.safe_load(LIBVIRT.read_text())["foreign_emulators"]
    found = packages(
        "compute-libvirt",
        foreign_architectures=architectures,
        foreign_emulators={**known, "riscv64": ["qemu-system-misc"]},
    )
    names = ("qemu-system-", "qemu-efi-")
    assert {name for name in found if name.startswith(names)} == {
        "qemu-system-x86",
        *emulators,
    }


def test_arm64_is_one_of_them_unless_the_inventory_says_otherwise() -> None:
    assert "qemu-system-arm" in packages("compute-libvirt")


def test_a_role_without_packages() -> None:
    assert packages("schemas") == set()
