# SPDX-License-Identifier: Apache-2.0
"""The documentation is as true as the code."""

import configparser
import pathlib
import pkgutil
import tomllib

import pytest

from nova_multi.cmd import options
from nova_multi.conf import opts
from nova_multi.virt import nova_namespace
from nova_multi.virt.docker.driver import DockerDriver
from nova_multi.virt.lxd.driver import LXDDriver

TOP = pathlib.Path(__file__).parents[2]
DOCS = TOP / "doc" / "source"
MATRIX = (DOCS / "user" / "support-matrix.rst").read_text()


NAMESPACES = {
    "nova_multi": (opts.list_opts, {"nova_multi", "docker", "lxd"}),
    "nova_multi.provision": (
        options.list_opts,
        {"api", "cloud", "provision", "secrets", "worker", "database"},
    ),
}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_every_option_explains_itself(namespace):
    for group, found in NAMESPACES[namespace][0]():
        assert found, group.name
        for option in found:
            assert len(option.help or "") > 40, f"[{group.name}] {option.name}"


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_the_reference_lists_our_namespaces(namespace):
    listed = (DOCS / "reference" / "configuration.rst").read_text()
    assert f".. show-options::\n\n   {namespace}\n" in listed
    assert f"--namespace {namespace}``" in listed
    function, groups = NAMESPACES[namespace]
    assert {group.name for group, _ in function()} == groups


def test_the_namespaces_can_be_generated_from():
    """Entry points of the package as it is in the checkout."""
    setup = configparser.ConfigParser()
    setup.read(TOP / "setup.cfg")
    lines = setup["options.entry_points"]["oslo.config.opts"].strip().splitlines()
    named = dict(line.split(" = ") for line in lines)
    assert named.keys() == NAMESPACES.keys()
    for namespace, (function, _) in NAMESPACES.items():
        assert pkgutil.resolve_name(named[namespace]) is function


@pytest.mark.parametrize("driver", [DockerDriver, LXDDriver])
def test_the_matrix_names_the_capability_flags(driver):
    on = {name for name, value in driver.capabilities.items() if value}
    flags = MATRIX.split("Capability flags")[1].split("Limits worth knowing")[0]
    named = {word.strip("`,.;") for word in flags.split() if word.startswith("``")}
    assert named == on


ROWS = {
    "Suspend": "suspend",
    "Rescue": "rescue",
    "Resize": "finish_migration",
    "Attach, detach volume": "attach_volume",
    "Serial console": "get_serial_console",
    "Diagnostics": "get_instance_diagnostics",
    "Admin password": "set_admin_password",
    "Pause": "pause",
    "Snapshot": "snapshot",
    "Console log": "get_console_output",
    "Attach, detach interface": "attach_interface",
}


@pytest.mark.parametrize("row", ROWS)
def test_what_the_matrix_promises_is_implemented(row):
    from nova.virt import driver as nova_driver

    cells = MATRIX.split(f"   * - {row}")[1].splitlines()[1:3]
    for cell, driver in zip(cells, (DockerDriver, LXDDriver), strict=True):
        own = getattr(driver, ROWS[row]) is not getattr(
            nova_driver.ComputeDriver, ROWS[row]
        )
        assert cell.strip() == ("- yes" if own else "- later"), driver.__name__


#: Rows of the matrix, and what Tempest is told of them. Others are tested elsewhere.
FEATURES = {
    "Console log": "console_output",
    "Snapshot": "snapshot",
    "Shelve, unshelve": "shelve",
    "Pause, unpause": "pause",
    "Attach, detach interface": "interface_attach",
    "Metadata service": "metadata_service",
    "Suspend, resume": "suspend",
    "Rescue": "rescue",
    "Resize, cold migrate": "cold_migration",
    "Live migration": "live_migration",
    "Serial console": "serial_console",
}


@pytest.mark.parametrize("column", range(2), ids=["docker", "lxd"])
@pytest.mark.parametrize("row", FEATURES)
def test_what_the_matrix_promises_is_not_skipped_by_tempest(row, column):
    told = tomllib.loads((TOP / "tests/tempest/features.toml").read_text())
    features = {**told["common"], **told[("docker", "lxd")[column]]}
    cell = MATRIX.split(f"   * - {row}\n")[1].splitlines()[column].strip()
    assert features[FEATURES[row]] == (cell == "- yes")


def test_every_module_is_in_the_layout():
    layout = (DOCS / "contributor" / "layout.rst").read_text()
    virt = TOP / "nova_multi" / "virt"
    for module in virt.glob("*.py"):
        if module.name != "__init__.py":
            assert module.name in layout, module


def test_the_drivers_can_be_loaded():
    for name in nova_namespace.DRIVERS:
        assert isinstance(getattr(nova_namespace, name), type)
