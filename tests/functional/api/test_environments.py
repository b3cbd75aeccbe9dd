# SPDX-License-Identifier: Apache-2.0
"""Environments by their definitions, over REST, down to the requests of OpenStack."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functional.api.stage import Stage

SHOP: dict[str, Any] = {
    "name": "shop",
    "partition": "dev_co",
    "inputs": {
        "domain": {"default": "shop.test"},
        "password": {"generate": "password"},
    },
    "provisioners": {
        "database": {"image": "debian", "variables": {"P": "${inputs.password}"}},
        "site": {"image": "debian"},
    },
    "instances": {
        "db": {"memory": 512, "provisioner": "database"},
        "web": {
            "count": 2,
            "memory": 256,
            "provisioner": "site",
            "publish": ["80"],
            "depends_on": ["db"],
        },
    },
    "outputs": {
        "url": "http://${instances.web[0].published[80]}/",
        "database": "${instances.db.address}",
    },
}


@pytest.fixture
def ready(stage: Stage) -> Stage:
    """A partition."""
    stage.do("POST", "/v1/partitions", {"name": "dev_co"}, "created")
    return stage


def apply(stage: Stage, definition: Any = SHOP, end: str = "done") -> Any:
    body = {"definition": definition}
    return stage.do("POST", f"/v1/environments/{definition['name']}/apply", body, end)


def test_from_nothing_to_nothing(ready: Stage) -> None:
    before = ready.cloud.left()
    plan = ready("POST", "/v1/environments/plan", SHOP, 200).json
    assert (plan["changes"], plan["create"], plan["widths"]) == (True, 4, [1, 1, 2])
    assert [each["name"] for each in plan["steps"]] == ["shop", "db", "web-1", "web-2"]
    assert ready.cloud.left() == before

    task = apply(ready)
    assert ready.cloud.nova.names() == ["db", "web-1", "web-2"]
    parts = ready.get(f"/v1/tasks?parent_uuid={task['uuid']}")["tasks"]
    assert {each["status"] for each in parts} == {"created"}
    assert {each["description"] for each in parts} == {
        "create environment shop",
        "create instance db",
        "create instance web-1",
        "create instance web-2",
    }
    outputs = ready.get("/v1/environments/shop/outputs")
    shown = ready.get("/v1/instances/web-1")
    port = shown["published"][0].split(":")[0]
    assert outputs["url"].endswith(f":{port}/")
    assert outputs["database"] in ready.get("/v1/instances/db")["addresses"]

    # What an apply with nothing to do asks, however often: it only reads.
    ready.cloud.calls.clear()
    apply(ready)
    asked = [
        (call.method, call.path)
        for call in ready.cloud.calls
        if call.path != "/auth/tokens"
    ]
    assert {method for method, _ in asked} == {"GET"}, asked
    few = len(asked)
    more = {**SHOP, "instances": {**SHOP["instances"]}}
    more["instances"]["web"] = {**SHOP["instances"]["web"], "count": 6}
    apply(ready, more)
    ready.cloud.calls.clear()
    apply(ready, more)
    asked = [c for c in ready.cloud.calls if c.path != "/auth/tokens"]
    assert len(asked) == few

    ready.do("POST", "/v1/environments/shop/destroy", {}, "deleted")
    assert ready.cloud.left() == before
    ready("GET", "/v1/environments/shop", status=404)
