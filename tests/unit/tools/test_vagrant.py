# SPDX-License-Identifier: Apache-2.0
"""The Vagrantfile's settings and what is said about them."""

import re
from pathlib import Path

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
