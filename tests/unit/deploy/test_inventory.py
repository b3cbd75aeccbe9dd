# SPDX-License-Identifier: Apache-2.0
"""What the parts of the deployment say of each other: groups, services, passwords."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.deploy.conftest import DEPLOY

INVENTORY = DEPLOY / "inventories" / "all-in-one"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(
    (DEPLOY / "services.yml").read_text()
)
GROUPS = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["children"]
VARIABLES: dict[str, Any] = {}
for _path in sorted((INVENTORY / "group_vars" / "all").glob("*.yml")):
    VARIABLES |= yaml.safe_load(_path.read_text())
SITE = (DEPLOY / "site.yml").read_text()
TEXTS = [
    path.read_text()
    for path in [*DEPLOY.rglob("*.j2"), *DEPLOY.rglob("*.yml")]
    if path.name != "passwords.yml"
]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_role_and_needs_what_there_is(name: str) -> None:
    service = SERVICES[name]
    assert service["role"] in GROUPS
    assert set(service.get("needs", ())) <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_root_is_bounded_where_it_need_not_change_the_machine(name: str) -> None:
    service = SERVICES[name]
    if service.get("user", "root") == "root" and service.get("protect") != "off":
        assert "bounding" in service


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_a_role_that_is_run(group: str) -> None:
    assert (DEPLOY / "roles" / group / "tasks" / "main.yml").exists()
    assert re.search(rf"^    - {group}$", SITE, re.MULTILINE)


def test_all_that_has_services_is_started_with_the_others() -> None:
    """Each role's services start side by side, before its own tasks wait for them."""
    started = set(re.findall(r"'([a-z-]+)'", " ".join(_intersections())))
    early = {"database", "messaging", "cache"}
    assert {each["role"] for each in SERVICES.values()} - early == started


def _intersections() -> list[str]:
    return re.findall(r"group_names \| intersect\(\[(.*?)\]\)", SITE, re.DOTALL)


def test_no_port_has_two_uses() -> None:
    ports = [value for name, value in VARIABLES.items() if name.endswith("_port")]
    assert len(ports) == len(set(ports)) > 10


def test_each_password_is_generated_and_used() -> None:
    used = set(re.findall(r"passwords\.(?!yml)([a-z_]+)", "\n".join(TEXTS)))
    accounts = _set("account") | _set("service_user") | {"provisioning_admin"}
    accounts |= {"provisioning_manager"}
    computed = {
        f"{prefix}_{account}"
        for prefix in ("database", "service", "cache")
        for account in accounts
    }
    names = set(VARIABLES["password_names"])
    assert used <= names
    assert names - used <= computed


def _set(variable: str) -> set[str]:
    found = re.findall(rf"set {variable} = '([a-z_]+)'", "\n".join(TEXTS))
    assert found
    return set(found)


def _pins() -> dict[str, str]:
    lines = (DEPLOY / "constraints.txt").read_text().splitlines()
    pins = (line.split("==") for line in lines if "==" in line)
    return {str(canonicalize_name(name)): version for name, version in pins}


def _extras() -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(DEPLOY.parent / "setup.cfg")
    lines = [setup["options"]["install_requires"]]
    lines += setup["options.extras_require"].values()
    return [line for text in lines for line in text.split("\n") if line]


@pytest.mark.parametrize("requirement", _extras())
def test_what_the_package_needs_is_pinned(requirement: str) -> None:
    """The package itself is installed without its dependencies."""
    wanted = Requirement(requirement)
    assert wanted.specifier.contains(_pins()[canonicalize_name(wanted.name)])


def test_every_address_is_written_of_a_group() -> None:
    text = Path(INVENTORY / "group_vars/all/main.yml").read_text()
    assert set(re.findall(r"groups\['([a-z-]+)'\]", text)) <= set(GROUPS)
