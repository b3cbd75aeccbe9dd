# SPDX-License-Identifier: Apache-2.0
"""Whole stories, as VirtShell's documentation tells them with curl."""

from __future__ import annotations

import pytest

from tests.functional.api.stage import Stage

#: Ours, and VirtShell's, with and without a slash at the end.
SPELLINGS = (
    ("/v1", ""),
    ("/api/virtshell/v1", "/"),
    ("/virtshell/api/v1", ""),
    ("/api/virtsh/v1", "/"),
    ("", ""),
)
BOOT = (
    "pending",
    "dispatching",
    "dispatched",
    "setting up",
    "creating",
    "created",
    "provisioning",
    "provisioned",
)


@pytest.mark.parametrize(("prefix", "slash"), SPELLINGS)
def test_from_nothing_to_nothing(stage: Stage, prefix: str, slash: str) -> None:
    environments = "enviroments" if slash else "environments"

    def at(path: str) -> str:
        return f"{prefix}/{path}{slash}"

    stage("POST", at("users"), {"username": "alice"}, 201)
    body = {"name": "development_co", "description": "Ours"}
    stage.do("POST", at("partitions"), body, "created")
    body = {
        "name": "development",
        "description": "of the site",
        "partition": "development_co",
        "users": [{"login": "alice"}],
    }
    stage.do("POST", at(environments), body, "created")
    body = {
        "name": "site",
        "script": "echo made\n",
        "image": "debian",
        "memory": 1,
        "cpus": 1,
    }
    stage("POST", at("provisioners"), body, 201)
    before = stage.cloud.left()

    body = {
        "name": "web",
        "environment": "development",
        "provisioner": "site",
        "driver": "kvm",
        "publish": ["8080:80", "53:53/udp"],
    }
    accepted = stage("POST", at("instances"), body, 202)
    assert accepted.json["create"] == "in progress"
    place = accepted.headers["Location"].removeprefix("http://localhost")
    assert place == f"{prefix or '/v1'}/tasks/{accepted.json['task']}"
    stage.work()
    task = stage.get(place)
    assert tuple(each["status"] for each in task["status_history"]) == BOOT, [
        task["status_history"][-1]["message"]
    ]
    assert task["log"].splitlines()[-1] == "made"
    shown = stage.get(at("instances/web"))
    assert (shown["status"], shown["memory"], shown["cpus"]) == ("ACTIVE", 1024, 1)
    assert shown["published"] == ["8080:80", "53:53/udp"]
    assert shown["host"] == "node1"
    assert stage.get(at(f"instances/{shown['uuid']}"))["name"] == "web"
    (server,) = stage.cloud.nova.state["servers"].values()
    assert task["object_uuid"] == server["id"]
    environment = stage.get(at(f"{environments}/development"))
    (address,) = stage.cloud.neutron.kept["floatingips"].values()
    assert environment["publish_address"] == address["floating_ip_address"]

    other = {**body, "name": "other", "publish": ["8080:90"]}
    error = stage.error("POST", at("instances"), other, 409)
    assert error["code"] == "port_taken"
    assert "instance web" in error["message"]

    stage.do("POST", at("instances/stop_instance/web"), end="done")
    assert stage.get(at("instances/web"))["status"] == "SHUTOFF"
    stage.do("PUT", at("instances/start_instance/web"), end="done")
    stage.do("POST", at("instances/restart_instance/web"), end="done")
    assert stage.get(at("instances/web"))["status"] == "ACTIVE"
    stage.do("POST", at("instances/clone_instance/web"), {"name": "web2"}, "created")
    listed = stage.get(at("instances"))["instances"]
    assert sorted(each["name"] for each in listed) == ["web", "web2"]
    assert stage.cloud.nova.names() == ["web", "web2"]

    for name in ("web", "web2"):
        stage.do("DELETE", at(f"instances/{name}"), end="deleted")
    # The address stays with its environment; all that the instances brought is gone.
    after = stage.cloud.left()
    assert len(after.pop("floatingips")) == 1
    assert after == before
    stage.do("DELETE", at(f"{environments}/development"), end="deleted")
    stage.do("DELETE", at("partitions/development_co"), end="deleted")
    stage("DELETE", at("provisioners/site"), status=200)
    stage("DELETE", at("users/alice"), status=200)
    assert stage.cloud.left() == {}
    assert {task.status for task in stage.store.tasks(None)} <= {
        "created",
        "provisioned",
        "done",
        "deleted",
    }
