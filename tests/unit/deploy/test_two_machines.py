# SPDX-License-Identifier: Apache-2.0
"""An inventory of two machines, rendered as Ansible does, and not run.

`control` has the control plane and a compute, `guests` nothing but computes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from nm import table

from tests.unit.deploy.conftest import DEPLOY

INVENTORY = DEPLOY / "inventories" / "all-in-one"
COMPUTES = ("compute-libvirt", "compute-docker", "compute-lxd")
FACTS = {
    "hostname": "vm",
    "datapath": "netdev",
    "mtu": 1400,
    "outer_interface": "eth0",
    "memory_mb": 8192,
    "vcpus": 2,
    "kvm": False,
    "kvm_device": False,
    "dns_servers": [],
    "disk_gb": 20,
}


class Machines:
    """What the variables of an inventory come to on each machine of it."""

    def __init__(self, hosts: Path) -> None:
        self._loader = DataLoader()
        self._loader.set_basedir(str(DEPLOY))
        self.inventory = InventoryManager(self._loader, [str(hosts)])
        self._variables = VariableManager(self._loader, self.inventory)
        self._hostvars = HostVars(self.inventory, self._variables, self._loader)

    def groups(self, name: str) -> set[str]:
        host = self.inventory.get_host(name)
        return {group.name for group in host.get_groups()}

    def render(self, name: str, wanted: Any, role: str = "") -> Any:
        """:param role: whose variables are there too."""
        host = self.inventory.get_host(name)
        variables = self._variables.get_vars(host=host)
        variables["hostvars"] = self._hostvars
        if role:
            path = DEPLOY / "roles" / role / "vars" / "main.yml"
            variables |= self._loader.load_from_file(
                str(path), trusted_as_template=True
            )
        return Templar(self._loader, variables=variables).template(wanted)

    def variable(self, name: str, variable: str, role: str = "") -> Any:
        wanted = trust_as_template("{{ " + variable + " }}")
        return self.render(name, wanted, role)

    def services(self, name: str) -> dict[str, table.Service]:
        """Those of a machine, by the roles whose groups it is in."""
        path = str(DEPLOY / "services.yml")
        entries = self._loader.load_from_file(path, trusted_as_template=True)
        return {
            service: table.service(service, self.render(name, entry))
            for service, entry in entries.items()
            if entry["role"] in self.groups(name)
        }


def _machines(
    folder: Path, hosts: dict[str, Any], children: dict[str, Any]
) -> Machines:
    (folder / "group_vars").symlink_to(INVENTORY / "group_vars")
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts, "children": children}}))
    return Machines(path)


@pytest.fixture
def two(tmp_path: Path) -> Machines:
    children = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["children"]
    both, one = {"control": {}, "guests": {}}, {"control": {}}
    for group, content in children.items():
        if "hosts" in content:
            content["hosts"] = both if group in ("common", *COMPUTES) else one
    hosts = {
        name: {
            "management_address": address,
            "nm": {**FACTS, "hostname": name},
            "passwords": {},
        }
        for name, address in (("control", "192.0.2.1"), ("guests", "192.0.2.2"))
    }
    return _machines(tmp_path, hosts, children)


@pytest.fixture
def one(tmp_path: Path) -> Machines:
    children = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["children"]
    return _machines(tmp_path, {"node": {"nm": FACTS, "passwords": {}}}, children)


def test_a_machine_with_a_compute_is_a_chassis(two: Machines) -> None:
    assert "chassis" in two.groups("guests")
    assert "network" not in two.groups("guests")
    found = two.services("guests")
    assert {"ovs-vswitchd", "ovn-controller", "neutron-ovn-agent"} <= set(found)
    assert not {"ovn-nb", "ovn-sb", "ovn-northd", "neutron-api"} & set(found)


@pytest.mark.parametrize("name", ["control", "guests"])
def test_what_has_to_be_of_the_same_machine_is(two: Machines, name: str) -> None:
    found = two.services(name)
    for service in found.values():
        assert set(service.local) <= set(found), service.name


def test_a_folder_of_several_services_has_one_owner(two: Machines) -> None:
    """Or they would take it from each other at each run."""
    for name, owner in (("control", "ovn"), ("guests", "root")):
        owners = {
            folder.get("owner", service.user)
            for service in two.services(name).values()
            for folder in service.directories
            if folder["path"] == "/run/ovn"
        }
        assert owners == {owner}


def test_a_compute_needs_the_chassis_of_its_own_machine(two: Machines) -> None:
    found = two.services("guests")
    for role in COMPUTES:
        assert "ovn-controller" in found[role].local


def test_who_shares_no_machine_with_ovn_asks_its_address(two: Machines) -> None:
    unix = "unix:/run/nova-multi/ovn-sb/db.sock"
    assert two.variable("control", "ovn_sb_connection") == unix
    assert two.variable("guests", "ovn_sb_connection") == "tcp:192.0.2.1:6642"
    assert two.variable("guests", "ovn_nb_connection") == "tcp:192.0.2.1:6641"
    found = two.services("control")
    assert "--remote=ptcp:6642:192.0.2.1" in found["ovn-sb"].command
    # Neutron's API alone asks it, which is where it is.
    assert not any("ptcp" in word for word in found["ovn-nb"].command)


def test_only_the_machine_with_neutron_is_the_way_out(two: Machines) -> None:
    gateway = two.variable("control", "chassis_configuration", "chassis")
    other = two.variable("guests", "chassis_configuration", "chassis")
    assert gateway["external_ids"]["ovn-cms-options"] == "enable-chassis-as-gw"
    assert [bridge["name"] for bridge in gateway["bridges"]] == ["br-ex"]
    assert "masquerade" in gateway["ruleset"]
    assert not {"ovn-cms-options", "ovn-bridge-mappings"} & set(other["external_ids"])
    assert other["external_ids"]["ovn-remote"] == "tcp:192.0.2.1:6642"
    assert other["external_ids"]["ovn-encap-ip"] == "192.0.2.2"
    assert not any(
        other[key] for key in ("bridges", "kernel", "unreachable", "ruleset")
    )


def test_one_machine_keeps_to_its_sockets(one: Machines) -> None:
    for service in one.services("node").values():
        assert not any("ptcp" in word for word in service.command), service.name
    made = one.variable("node", "chassis_configuration", "chassis")
    assert made["external_ids"] == {
        "system-id": "vm",
        "hostname": "vm",
        "ovn-remote": "unix:/run/nova-multi/ovn-sb/db.sock",
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": "127.0.0.1",
        "ovn-bridge": "br-int",
        "ovn-bridge-datapath-type": "netdev",
        "ovn-bridge-mappings": "public:br-ex",
        "ovn-cms-options": "enable-chassis-as-gw",
        "ovn-monitor-all": "true",
    }
    assert made["kernel"] == {"net.ipv4.ip_forward": "1"}
