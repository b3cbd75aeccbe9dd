# SPDX-License-Identifier: Apache-2.0
"""What our manager does differently, without a cloud around it."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from nova.compute import build_results
from nova.compute import manager as nova_manager

from nova_multi.virt import manager
from nova_multi.virt.chassis import ChassisMap

UUID = "0b5fbd67-7a4b-4d31-9e54-b52e3ccd4d4d"


@pytest.fixture
def compute() -> Iterator[Any]:
    """A manager that has not been started."""
    made = manager.ComputeManager.__new__(manager.ComputeManager)
    made.host = "node-docker"
    made.driver = mock.Mock()
    made.driver.manages_network_binding_host_id.return_value = False
    made.network_api = mock.Mock()
    made.reportclient = mock.Mock()
    made._chassis_map = ChassisMap(suffixes=("-docker",))
    yield made


@pytest.mark.parametrize(
    ("host", "vif_type", "wanted"),
    [
        ("node", "ovs", False),
        ("node-docker", "ovs", True),
        ("other", "ovs", True),
        ("node", "binding_failed", True),
        ("node", "unbound", True),
    ],
)
def test_which_bindings_need_mending(
    compute: Any, host: str, vif_type: str, wanted: bool
) -> None:
    port = {"binding:host_id": host, "binding:vif_type": vif_type}
    compute.network_api.list_ports.return_value = {"ports": [port]}
    instance = types.SimpleNamespace(uuid=UUID)
    assert compute._require_nw_info_update(mock.sentinel.context, instance) is wanted


@pytest.mark.parametrize(
    ("result", "deleted"),
    [
        (build_results.FAILED_BY_POLICY, 1),
        (build_results.RESCHEDULED_BY_POLICY, 0),
        (build_results.FAILED, 0),
        (build_results.ACTIVE, 0),
    ],
)
def test_allocation_after_the_last_refusal(
    compute: Any, result: str, deleted: int
) -> None:
    instance = types.SimpleNamespace(uuid=UUID)
    name = "_do_build_and_run_instance"
    with mock.patch.object(nova_manager.ComputeManager, name, return_value=result):
        arguments: list[Any] = [None] * 8
        found = compute._do_build_and_run_instance("context", instance, *arguments)
    assert found == result
    assert compute.reportclient.delete_allocation_for_instance.call_count == deleted
