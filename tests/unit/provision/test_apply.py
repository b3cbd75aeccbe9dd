# SPDX-License-Identifier: Apache-2.0
"""Environments by their definitions: apply, apply again, change, destroy."""

import pytest

from tests.unit.provision import shop
from tests.unit.provision.conftest import ADMIN, NOWHERE


@pytest.fixture
def built(stage):
    return shop.furnish(stage)


#: Calls to OpenStack that change nothing.
READS = {
    "servers.server",
    "servers.servers",
    "images.find",
    "images.find_public",
    "images.image",
    "images.images",
    "hosts.services",
    "hosts.hypervisors",
    "hosts.aggregates",
    "placement.providers",
    "publishing.forwardings",
    "networks.port",
}


def cloud_calls(stage):
    return [each for each in stage.world.calls if not each.startswith("store.")]


def test_from_nothing_to_nothing(built):
    before = built.world.left()
    found = shop.plan(built)
    assert shop.steps(found) == [
        "create shop",
        "create db",
        "create web-1",
        "create web-2",
    ]
    assert found.widths == (1, 1, 2)
    assert built.world.left() == before
    task = shop.apply(built)
    assert shop.names(built) == ["db", "web-1", "web-2"]
    address = shop.server(built, "db").addresses[0].address
    assert f"export DB={address}\n" in shop.user_data(built, "web-2")
    assert "export NAME=shop.test\n" in shop.user_data(built, "web-1")
    assert "+ instance web-1 (new)" in task.log
    outputs = built.service.environments.outputs(ADMIN, "shop", NOWHERE)
    assert outputs["database"] == address
    assert outputs["url"].startswith("http://203.0.113.")

    assert shop.plan(built).is_empty
    built.world.calls.clear()
    task = shop.apply(built)
    calls = cloud_calls(built)
    assert set(calls) <= READS, calls
    assert "nothing to do" in task.log

    task = shop.destroy(built)
    assert built.world.left() == before
    assert not built.store.list_records("definition")
    assert not built.store.list_records("secrets")
