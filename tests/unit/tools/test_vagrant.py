# SPDX-License-Identifier: Apache-2.0
"""The Vagrantfile's settings and what is said about them."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]


def test_every_setting_is_documented() -> None:
    vagrantfile = (ROOT / "vagrant/Vagrantfile").read_text()
    defaults = vagrantfile.split("DEFAULTS = {")[1].split("}.freeze")[0]
    settings = re.findall(r'^  "(\w+)" =>', defaults, re.MULTILINE)
    table = (ROOT / "vagrant/README.md").read_text().split("## Settings")[1]
    assert settings
    assert settings == re.findall(r"^\| ([a-z_]+) \|", table, re.MULTILINE)


def test_provisioning_is_deploy_up_only() -> None:
    vagrantfile = (ROOT / "vagrant/Vagrantfile").read_text()
    assert len(re.findall(r"config\.vm\.provision ", vagrantfile)) == 1
    assert "/deploy/up" in vagrantfile.split("config.vm.provision ")[1]


def test_every_api_of_the_catalog_is_forwarded() -> None:
    """And those that it isn't are of no use to a client."""
    text = (ROOT / "deploy/inventories/all-in-one/group_vars/all/ports.yml").read_text()
    ports = yaml.safe_load(text)
    inside = ("database", "messaging", "cache", "metadata", "ovn")
    wanted = {n for name, n in ports.items() if not name.startswith(inside)}
    vagrantfile = (ROOT / "vagrant/Vagrantfile").read_text()
    found = re.search(r'"ports" => \[([\d, ]+)\]', vagrantfile)
    assert found and {int(each) for each in found[1].split(",")} == wanted
    assert found[1] in (ROOT / "vagrant/README.md").read_text()
