# SPDX-License-Identifier: Apache-2.0
"""Our methods take what Nova gives them, also after Nova's next release."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from nova.compute import manager as nova_manager
from nova.network import neutron
from nova.virt import driver as nova_driver
from nova.virt.libvirt import driver as nova_libvirt
from nova.virt.libvirt import vif as nova_vif

from nova_multi.virt import engine, manager, network_api
from nova_multi.virt.docker.driver import DockerDriver
from nova_multi.virt.docker.engine import DockerEngine
from nova_multi.virt.driver import ContainerDriver
from nova_multi.virt.libvirt.driver import LibvirtDriver
from nova_multi.virt.libvirt.interface import VIFDriver
from nova_multi.virt.lxd.driver import LXDDriver
from nova_multi.virt.lxd.engine import LXDEngine
from tests.fixtures.fake_engine import FakeEngine

#: Ours and Nova's.
PAIRS: list[tuple[type[Any], type[Any]]] = [
    (ContainerDriver, nova_driver.ComputeDriver),
    (DockerDriver, nova_driver.ComputeDriver),
    (LXDDriver, nova_driver.ComputeDriver),
    (LibvirtDriver, nova_libvirt.LibvirtDriver),
    (VIFDriver, nova_vif.LibvirtGenericVIFDriver),
    (network_api.ChassisNetworkAPI, neutron.API),
    (manager.ComputeManager, nova_manager.ComputeManager),
]

#: Constructors that are called by us and not by Nova, or hand all arguments on.
DIFFERENT = {"ChassisNetworkAPI.__init__", "ComputeManager.__init__"}

OVERRIDES = [
    (ours, theirs, name)
    for ours, theirs in PAIRS
    for name, member in vars(ours).items()
    if inspect.isfunction(member) and hasattr(theirs, name)
    if not hasattr(object, name) or name == "__init__"
    if f"{ours.__name__}.{name}" not in DIFFERENT
]


def _parameters(function: Any) -> list[tuple[str, Any, Any]]:
    signature = inspect.signature(inspect.unwrap(function))
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    OVERRIDES,
    ids=[f"{ours.__name__}.{name}" for ours, _, name in OVERRIDES],
)
def test_signature_equals_novas(ours: Any, theirs: Any, name: str) -> None:
    assert _parameters(getattr(ours, name)) == _parameters(getattr(theirs, name))


def test_every_public_method_of_the_drivers_is_novas() -> None:
    extra = {"make_engine"}
    for driver in (ContainerDriver, DockerDriver, LXDDriver):
        for name, member in vars(driver).items():
            if inspect.isfunction(member) and not name.startswith("_"):
                assert hasattr(nova_driver.ComputeDriver, name) or name in extra, name


def test_what_is_overridden_in_the_manager_is_still_called() -> None:
    """Private methods come and go in Nova; ours would then be dead code."""
    source = inspect.getsource(nova_manager.ComputeManager)
    for name in ("_require_nw_info_update", "_do_build_and_run_instance"):
        assert f"self.{name}(" in source
    source = inspect.getsource(neutron.API)
    for name in (
        "_setup_migration_port_profile",
        "_delete_port_bindings",
        "_update_port_binding_for_instance",
    ):
        assert f"self.{name}(" in source
    source = inspect.getsource(nova_libvirt.LibvirtDriver)
    assert "self._configure_guest_by_virt_type(" in source


@pytest.mark.parametrize("implementation", [DockerEngine, LXDEngine, FakeEngine])
def test_engines_have_the_protocols_signatures(implementation: type[Any]) -> None:
    for name, member in vars(engine.Engine).items():
        if not inspect.isfunction(member) or name.startswith("_"):
            continue
        wanted = list(inspect.signature(member).parameters.values())
        found = inspect.signature(getattr(implementation, name)).parameters.values()
        assert [p.name for p in found] == [p.name for p in wanted], name
