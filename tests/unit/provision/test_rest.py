# SPDX-License-Identifier: Apache-2.0
"""From curl's JSON through the interface, the service and the workers to the cloud."""

import base64
import io
import json

import pytest
from keystonemiddleware import fixture as ksm_fixture
from oslo_config import cfg
from werkzeug.test import Client

from nova_multi.api.app import create_app


class Rest:
    """A client of the interface, and the stage behind it."""

    def __init__(self, stage, client):
        self.stage = stage
        self.client = client

    def __call__(self, method, path, body=None, status=None, **more):
        if body is not None:
            more["data"] = json.dumps(body)
        answer = self.client.open(
            path, method=method, headers={"X-Auth-Token": "admin-token"}, **more
        )
        if status:
            assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.json

    def work(self, method, path, body=None):
        """Ask for what takes time, have it done, and see how it ended."""
        answer = self(method, path, body, 202)
        self.stage.work()
        return self("GET", f"/v1/tasks/{answer['task']}", status=200)


@pytest.fixture
def rest(stage, tmp_path):
    conf = cfg.ConfigOpts()
    path = tmp_path / "api.conf"
    path.write_text("[keystone_authtoken]\nwww_authenticate_uri = https://k:5000\n")
    conf(["--config-file", str(path)], default_config_dirs=[])
    with ksm_fixture.AuthTokenFixture() as known:
        known.add_token_data(
            token_id="admin-token",
            user_id="user-a",
            project_id="p-admin",
            role_list=["admin", "member", "reader"],
        )
        yield Rest(stage, Client(create_app(conf, stage.service)))


def test_the_story_of_the_documentation(rest):
    rest("POST", "/v1/users", {"username": "alice"}, 201)
    body = {"name": "development_co", "description": "ours"}
    assert rest.work("POST", "/v1/partitions", body)["status"] == "created"
    body = {
        "name": "development",
        "partition": "development_co",
        "users": [{"login": "alice"}],
    }
    assert rest.work("POST", "/v1/environments", body)["status"] == "created"
    body = {
        "name": "site",
        "script": "echo made",
        "image": "debian",
        "memory": 1,
        "cpus": 1,
    }
    rest("POST", "/v1/provisioners", body, 201)
    rest.stage.speak("web", "made")
    body = {
        "name": "web",
        "environment": "development",
        "provisioner": "site",
        "driver": "libvirt",
        "publish": ["8080:80"],
    }
    task = rest.work("POST", "/v1/instances", body)
    assert task["status"] == "provisioned", task
    words = [each["status"] for each in task["status_history"]]
    assert words == [
        "pending",
        "dispatching",
        "dispatched",
        "setting up",
        "creating",
        "created",
        "provisioning",
        "provisioned",
    ]
    assert task["log"].splitlines()[-1] == "made"
    shown = rest("GET", "/v1/instances/web", status=200)
    assert shown["status"] == "ACTIVE"
    assert shown["memory"] == 1024
    assert shown["published"] == ["8080:80"]
    listed = rest("GET", "/api/virtshell/v1/instances/", status=200)
    assert [each["name"] for each in listed["instances"]] == ["web"]
    environment = rest("GET", "/v1/enviroments/development", status=200)
    assert environment["publish_address"]
    assert environment["users"] == [{"login": "alice"}]

    body = {**body, "name": "other", "publish": ["8080:90"]}
    error = rest("POST", "/v1/instances", body, 409)["error"]
    assert error["code"] == "port_taken"
    assert "instance web" in error["message"]

    assert rest.work("POST", "/v1/instances/stop_instance/web")["status"] == "done"
    assert rest.work("PUT", "/v1/instances/start_instance/web")["status"] == "done"
    task = rest.work("POST", "/v1/instances/clone_instance/web", {"name": "web2"})
    assert task["status"] == "created", task
    for name in ("web", "web2"):
        assert rest.work("DELETE", f"/v1/instances/{name}")["status"] == "deleted"
    assert rest.work("DELETE", "/v1/environments/development")["status"] == "deleted"
    assert rest.work("DELETE", "/v1/partitions/development_co")["status"] == "deleted"
    assert rest.stage.world.left() == {}


def test_a_failure_is_told(rest):
    rest.stage.ready()
    rest.stage.world.broken["web"] = "unplaced"
    body = {"name": "web", "environment": "dev", "provisioner": "plain"}
    task = rest.work("POST", "/v1/instances", body)
    assert task["status"] == "error"
    assert "no host meets: memory" in task["status_history"][-1]["message"]
    rest("GET", "/v1/instances/web", status=404)


def test_hosts_and_partitions(rest):
    rest.stage.partition()
    host = rest("GET", "/v1/hosts/node1", status=200)
    assert host["drivers"] == ["libvirt", "docker", "lxd"]
    assert host["free"]["memory_mb"] == 3 * 8192
    task = rest.work("PUT", "/v1/partitions/dev_co/host/node1")
    assert task["status"] == "done", task
    hosts = rest("GET", "/v1/partitions/dev_co/hosts", status=200)
    assert [each["name"] for each in hosts["hosts"]] == ["node1"]
    assert rest("POST", "/v1/hosts", {"name": "node9"}, 501)["error"]["code"]


@pytest.mark.parametrize(
    ("kind", "among"),
    [
        ("environments", ["dev"]),
        ("provisioners", ["ours"]),
        ("instances", ["web"]),
        ("files", []),
    ],
)
def test_lists_within_a_partition_or_an_environment(rest, kind, among):
    rest.stage.ready()
    rest.stage.instance()
    dev = rest("GET", "/v1/environments/dev", status=200)["uuid"]
    co = rest("GET", "/v1/partitions/dev_co", status=200)["uuid"]
    rest("POST", "/v1/provisioners?partition=dev_co", {"name": "ours"}, 201)
    rest.work("POST", "/v1/partitions", {"name": "other_co"})
    for where in ("partition=dev_co", f"partition={co}", f"environment={dev}"):
        found = rest("GET", f"/v1/{kind}?{where}", status=200)[kind]
        assert [each["name"] for each in found] == among, where
    found = rest("GET", f"/v1/{kind}?partition=other_co", status=200)
    assert found == {kind: []}


def test_files(rest):
    answer = rest.client.open(
        "/v1/files",
        method="POST",
        headers={"X-Auth-Token": "admin-token"},
        data={"file": (io.BytesIO(b"content"), "a.txt"), "folder_name": "x"},
    )
    assert answer.status_code == 201, answer.get_data(as_text=True)
    shown = rest("GET", "/v1/file/a.txt", status=200)
    assert base64.b64decode(shown["content"]) == b"content"


def test_images(rest):
    listed = rest("GET", "/v1/images", status=200)
    assert [each["name"] for each in listed["images"]] == ["alpine-docker", "debian"]
    body = {
        "name": "inside",
        "type": "disk",
        "download_url": "http://169.254.169.254/latest",
    }
    error = rest("POST", "/v1/images", body, 400)["error"]
    assert error["code"] == "private_host"


@pytest.mark.parametrize("field", ["recipe", "container_resource"])
def test_what_an_image_would_be_built_from(rest, field):
    body = {"name": "built", "type": "disk", field: "http://images.example/x"}
    assert (
        rest("POST", "/v1/images", body, 501)["error"]["details"][0]["field"] == field
    )


def test_one_instance_tells_its_host_as_a_list_does(rest):
    rest.stage.ready()
    rest.stage.instance()
    (listed,) = rest("GET", "/v1/instances", status=200)["instances"]
    assert listed["host"] == "node1"
    assert rest("GET", "/v1/instances/web", status=200)["host"] == "node1"


def test_an_instance_has_the_tag_of_its_provisioner(rest):
    rest.stage.ready()
    rest("PUT", "/v1/provisioners/plain", {"tag": "db"}, 200)
    body = {"name": "web", "environment": "dev", "provisioner": "plain"}
    rest.work("POST", "/v1/instances", {**body, "tags": ["a", "db"]})
    assert rest("GET", "/v1/instances/web", status=200)["tags"] == ["a", "db"]
    rest.work("POST", "/v1/instances", {**body, "name": "other"})
    found = rest("GET", "/v1/instances?tag=db", status=200)["instances"]
    assert [each["name"] for each in found] == ["other", "web"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/instances/execute_command", {"command": "id"}),
        ("POST", "/v1/packages/install_packages", {"packages": ["a"]}),
    ],
)
def test_what_is_to_come(rest, method, path, body):
    rest.stage.ready()
    if body:
        body |= (
            {"instances": [{"name": "web"}]}
            if "command" in body
            else {"hosts": [{"name": "web"}]}
        )
    rest(method, path, body, 501)


def test_health(rest):
    found = rest.client.get("/healthcheck")
    assert found.status_code == 200, found.get_data(as_text=True)
