# SPDX-License-Identifier: Apache-2.0
"""Every route, called as VirtShell's documentation shows, and in all its spellings."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import pytest
from werkzeug.test import Client

from nova_multi.api import paths
from nova_multi.api.routes import all_routes
from tests.functional.api.stage import Stage

#: Method, path, body, status. In this order each finds what it needs.
CALLS: tuple[tuple[str, str, Any, int], ...] = (
    ("GET", "/healthcheck", None, 200),
    ("POST", "/groups", {"name": "staff"}, 201),
    ("POST", "/users", {"username": "alice", "type": "regular"}, 201),
    ("PUT", "/groups/staff", {"users": ["alice"]}, 200),
    ("PUT", "/users/alice", {"login": "alice", "groups": ["staff"]}, 200),
    ("GET", "/users", None, 200),
    ("GET", "/users/alice", None, 200),
    ("GET", "/groups", None, 200),
    ("GET", "/groups/staff", None, 200),
    ("PUT", "/hosts/node1", {"os": "debian", "type": "StorageOptimized"}, 200),
    ("GET", "/hosts", None, 200),
    ("GET", "/hosts/node1", None, 200),
    ("POST", "/hosts", {"name": "host-01", "drivers": ["docker"]}, 501),
    ("POST", "/partitions", {"name": "co", "description": "Ours"}, 202),
    ("PUT", "/partition/co", {"description": "Theirs"}, 200),
    ("GET", "/partitions", None, 200),
    ("GET", "/partitions/co", None, 200),
    ("PUT", "/partitions/co/host/node1", None, 202),
    ("GET", "/partitions/co/hosts", None, 200),
    (
        "POST",
        "/enviroments",
        {"name": "dev", "partition": "co", "users": [{"login": "alice"}]},
        202,
    ),
    ("PUT", "/enviroments/dev", {"description": "of ours"}, 200),
    ("GET", "/enviroments", None, 200),
    ("GET", "/environments/dev", None, 200),
    ("GET", "/environments/dev/hosts", None, 200),
    ("GET", "/environments/dev/partition", None, 200),
    ("POST", "/environments/plan", {"name": "dev", "instances": {}}, 200),
    ("PUT", "/environments/dev/definition", {"name": "dev"}, 200),
    ("POST", "/environments/dev/apply", None, 202),
    ("GET", "/environments/dev/outputs", None, 200),
    ("POST", "/environments/dev/destroy", None, 202),
    ("GET", "/environments/dev/usage", None, 200),
    # One of the operator's, with what is known of it here.
    ("PUT", "/image", {"name": "debian", "type": "disk", "os": "debian"}, 201),
    ("POST", "/images", {"name": "x", "type": "disk", "colour": "red"}, 400),
    ("GET", "/images", None, 200),
    ("GET", "/image/debian", None, 200),
    ("PUT", "/images/debian", {"timezone": "UTC"}, 200),
    ("GET", "/files", None, 200),
    ("GET", "/files/seed.txt", None, 200),
    ("GET", "/file/seed.txt", None, 200),
    (
        "POST",
        "/provisioners",
        {
            "name": "site",
            "description": "A site",
            "launch": 1,
            "memory": 1,
            "cpus": 1,
            "hdsize": 2,
            "image": "debian",
            "driver": "kvm",
            "script": "echo made\n",
            "tag": "web",
            "permissions": "rwxr-x---",
        },
        201,
    ),
    ("PUT", "/provisioners/site", {"description": "Ours"}, 200),
    ("GET", "/provisioners", None, 200),
    ("GET", "/provisioners/site", None, 200),
    (
        "POST",
        "/instances",
        {
            "name": "web",
            "memory": "2GB",
            "cpus": 2,
            "hdsize": "2GB",
            "enviroment": "dev",
            "provisioner": "site",
            "host_type": "StorageOptimized",
            "driver": "kvm",
            "publish": ["8080:80"],
            "tags": ["front"],
        },
        202,
    ),
    ("PUT", "/instances/web", {"description": "of ours", "publish": ["80"]}, 202),
    ("GET", "/instances", None, 200),
    ("GET", "/instances/web", None, 200),
    ("POST", "/instances/stop_instance/web", None, 202),
    ("POST", "/instances/start_instance/web", None, 202),
    ("POST", "/instances/restart_instance/web", None, 202),
    ("POST", "/instances/clone_instance/web", {"name": "web2"}, 202),
    ("PUT", "/instances/stop_instance/web", None, 202),
    ("PUT", "/instances/start_instance/web", None, 202),
    ("PUT", "/instances/restart_instance/web", None, 202),
    ("PUT", "/instances/clone_instance/web", {"name": "web3"}, 202),
    (
        "POST",
        "/instances/execute_command",
        {"command": "id", "instances": [{"name": "web"}, {"pattern": "w*"}]},
        501,
    ),
    (
        "POST",
        "/instances/copy_files",
        {
            "file": "seed.txt",
            "destination": "/tmp/seed.txt",
            "instances": [{"tag": "front"}, {"pattern": "grid_[1:5]"}],
        },
        501,
    ),
    (
        "POST",
        "/install_packages",
        {"packages": ["git"], "hosts": [{"name": "web", "range": "[1-3]"}]},
        501,
    ),
    ("PUT", "/upgrade_packages", {"packages": ["git"], "tags": ["front"]}, 501),
    ("POST", "/remove_packages", {"packages": ["git"], "tags": ["front"]}, 501),
    ("POST", "/packages", {"packages": ["git"], "tags": ["front"]}, 501),
    ("PUT", "/packages", {"packages": ["git"], "tags": ["front"]}, 501),
    ("DELETE", "/packages", {"packages": ["git"], "tags": ["front"]}, 501),
    ("GET", "/properties", {"properties": ["memory"], "tags": ["front"]}, 501),
    # Nova's service account may.
    ("POST", "/vendordata", {"instance-id": "i-1", "project-id": "p-1"}, 403),
    ("GET", "/tasks", None, 200),
    ("GET", "/tasks/status/provisioned", None, 200),
    ("GET", "/tasks/TASK", None, 200),
    ("DELETE", "/tasks/TASK", None, 200),
    ("DELETE", "/instances/web", None, 202),
    ("DELETE", "/instances/web2", None, 202),
    ("DELETE", "/instances/web3", None, 202),
    ("DELETE", "/enviroments/dev", None, 202),
    ("DELETE", "/partitions/co/host/node1", None, 202),
    ("DELETE", "/partition/co", None, 202),
    ("DELETE", "/hosts/node1", None, 501),
    ("DELETE", "/provisioners/site", None, 200),
    ("DELETE", "/image/debian", None, 202),
    ("DELETE", "/file/seed.txt", None, 200),
    ("DELETE", "/users/alice", None, 200),
    ("DELETE", "/groups/staff", None, 200),
)
#: What takes a form instead of JSON.
FORMS = {("POST", "/files"), ("PUT", "/files/{name}")}


def _route_of(method: str, path: str) -> tuple[str, str]:
    """The row of the route table that a call means; the most particular goes first."""
    asked = paths.canonical(method, path)
    found = [
        route.path
        for route in all_routes()
        if route.method == method
        and re.fullmatch(re.sub(r"{\w+}", "[^/]+", route.path), asked)
    ]
    return method, min(found, key=lambda each: each.count("{"))


def test_every_route_is_called() -> None:
    called = {_route_of(method, path) for method, path, _, _ in CALLS} | FORMS
    assert called == {(route.method, route.path) for route in all_routes()}


def _upload(stage: Stage, method: str, path: str, content: bytes) -> Any:
    form = {"file": (io.BytesIO(content), "seed.txt"), "folder_name": "seeds"}
    return stage(method, path, data=form)


def test_the_calls_of_the_documentation(stage: Stage) -> None:
    assert _upload(stage, "POST", "/files", b"old").status_code == 201
    assert _upload(stage, "PUT", "/files/seed.txt", b"new").status_code == 200
    task = ""
    prefixes = paths.PREFIXES
    for number, (method, path, body, status) in enumerate(CALLS):
        prefix = prefixes[number % len(prefixes)]
        slash = "/" if number % 2 else ""
        asked = f"{prefix}{path.replace('TASK', task)}{slash}"
        answer = stage(method, asked, body, status)
        if status == 202:
            stage.work()
            ended = stage.task(answer)
            assert ended["status"] != "error", (asked, ended["status_history"])
            task = ended["uuid"]
        if path == "/file/seed.txt" and method == "GET":
            assert base64.b64decode(answer.json["content"]) == b"new"
        if status >= 400:
            error = answer.json["error"]
            assert set(error) == {"code", "message", "details"}
    # Taken up and let go: it was the operator's all the time.
    assert stage.get("/v1/images/debian")["status"] == "active"
    assert stage.cloud.left() == {}


@pytest.fixture
def filled(stage: Stage) -> Stage:
    """Something of every kind."""
    stage.ready()
    stage("POST", "/v1/users", {"username": "alice"}, 201)
    stage("POST", "/v1/groups", {"name": "staff"}, 201)
    assert _upload(stage, "POST", "/files", b"x").status_code == 201
    body = {"name": "web", "environment": "dev", "provisioner": "plain"}
    stage.do("POST", "/v1/instances", body, "created")
    return stage


def test_all_spellings_say_the_same(filled: Stage) -> None:
    task = filled.get("/v1/tasks")["tasks"][0]["uuid"]
    others = {
        "environments": ("enviroments", "environment", "enviroment"),
        "images": ("image",),
        "partitions": ("partition",),
    }
    for path in (
        "users",
        "users/alice",
        "groups/staff",
        "partitions",
        "partitions/dev_co",
        "partitions/dev_co/hosts",
        "hosts",
        "environments",
        "environments/dev",
        "environments/dev/partition",
        "images",
        "images/debian",
        "files",
        "files/seed.txt",
        "file/seed.txt",
        "provisioners/plain",
        "instances",
        "instances/web",
        "tasks",
        f"tasks/{task}",
        "tasks/status/created",
        "tasks/status/received",
    ):
        expected = filled.get(f"/v1/{path}")
        first, _, rest = path.partition("/")
        for noun in (first, *others.get(first, ())):
            for prefix in paths.PREFIXES:
                for end in ("", "/"):
                    asked = "/".join(filter(None, [noun, rest]))
                    found = filled.get(f"{prefix}/{asked}{end}")
                    if not rest and noun.startswith("enviro"):
                        # A list is called as it was asked for.
                        assert list(found.values()) == list(expected.values())
                    else:
                        assert found == expected, (prefix, noun, end)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("application/*;q=0.2, text/html", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("application/xml, text/*", 406),
    ],
)
def test_json_only(stage: Stage, accept: str, status: int) -> None:
    answer = stage("GET", "/v1/tasks", headers={"Accept": accept})
    assert answer.status_code == status
    assert (answer.data == b"") == (status == 406)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/xml"])
def test_bodies_are_json_whatever_they_say(
    stage: Stage, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    body = {"name": "p", "image": "debian"}
    stage("POST", "/v1/provisioners", body, 201, headers=headers)
    error = stage.error("POST", "/v1/provisioners", b"{'x'}", 400, headers=headers)
    assert error["code"] == "bad_json"


def test_curl_sends_its_own_content_type(stage: Stage) -> None:
    answer = stage(
        "POST",
        "/v1/provisioners",
        b'{"name": "p", "image": "debian"}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 201, answer.text


def test_pages(filled: Stage) -> None:
    names = [f"p{number:02}" for number in range(7)]
    for name in names:
        filled("POST", "/v1/provisioners", {"name": name, "image": "debian"}, 201)
    path, seen = "/v1/provisioners?limit=3", []
    while path:
        answer = filled("GET", path, status=200)
        seen += [each["name"] for each in answer.json["provisioners"]]
        link = re.match(r"<(.*)>; rel=\"next\"", answer.headers.get("Link", ""))
        path = link[1] if link else ""
    assert sorted(seen) == sorted([*names, "plain", "site"])
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("name", ["nobody", "0" * 36, "x" * 255])
def test_what_is_not_there(stage: Stage, name: str) -> None:
    for noun in ("instances", "environments", "partitions", "images", "provisioners"):
        assert stage("GET", f"/v1/{noun}/{name}").status_code == 404
        assert stage("DELETE", f"/v1/{noun}/{name}").status_code == 404


def test_nobody_is_told_what_there_is(filled: Stage) -> None:
    """A stranger finds the same where there is something and where there isn't."""
    keystone = filled.cloud.keystone
    keystone.add_project("elsewhere", "p-elsewhere", domain="default")
    mallory = keystone.add_user("mallory", **{"p-elsewhere": "member"})
    token = keystone.issue(mallory, "p-elsewhere")
    for noun, name in (
        ("instances", "web"),
        ("environments", "dev"),
        ("partitions", "dev_co"),
        ("users", "alice"),
    ):
        answers = []
        for each in (name, "nobody"):
            for method in ("GET", "DELETE"):
                found = filled(method, f"/v1/{noun}/{each}", token=token)
                told = found.get_data(as_text=True).replace(each, "NAME")
                answers.append((method, found.status_code, told))
        assert answers[:2] == answers[2:]
        assert all(status in (403, 404) for _, status, _ in answers)
    assert filled("GET", "/v1/instances", token=token).json == {"instances": []}
    assert isinstance(filled.client, Client)
