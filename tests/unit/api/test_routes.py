# SPDX-License-Identifier: Apache-2.0
"""Every route, in every spelling."""

from __future__ import annotations

import io
from typing import Any

import pytest

from nova_multi.api.routes import all_routes
from tests.unit.api.conftest import Api

PREFIXES = ["/v1", "/api/virtshell/v1", "/virtshell/api/v1", "/api/virtsh/v1", ""]
PICKED = {"instances": [{"name": "web"}]}
NOVA = {"instance-id": "server-1", "project-id": "project-1"}
PACKAGES = {"packages": [{"name": "git"}], "hosts": [{"name": "web"}]}


def _form() -> dict[str, Any]:
    return {"data": {"file": (io.BytesIO(b"abc"), "new.txt")}}


def _text_form() -> dict[str, Any]:
    return {"data": {"permissions": "rwxr-x---"}, "content_type": "multipart/form-data"}


NAMES = {"web", "dev", "co", "alice", "team", "node", "debian", "site", "seed.txt"}
NAMES |= {"setting up", "{task}", "{ended}"}

#: Method, path, body or a form, status; in an order in which each can work.
CALLS: list[tuple[str, str, Any, int]] = [
    ("GET", "/users", None, 200),
    ("POST", "/users", {"username": "bob"}, 201),
    ("GET", "/users/alice", None, 200),
    ("PUT", "/users/alice", {"type": "system"}, 200),
    ("DELETE", "/users/alice", None, 200),
    ("GET", "/groups", None, 200),
    ("POST", "/groups", {"name": "new"}, 201),
    ("GET", "/groups/team", None, 200),
    ("PUT", "/groups/team", {"users": ["alice"]}, 200),
    ("DELETE", "/groups/team", None, 200),
    ("GET", "/partitions", None, 200),
    ("POST", "/partitions", {"name": "new"}, 201),
    ("GET", "/partitions/co", None, 200),
    ("PUT", "/partitions/co", {"description": "x"}, 200),
    ("DELETE", "/partitions/co", None, 200),
    ("GET", "/partitions/co/hosts", None, 200),
    ("PUT", "/partitions/co/host/node", None, 200),
    ("DELETE", "/partitions/co/host/node", None, 200),
    ("GET", "/partition/co", None, 200),
    ("PUT", "/partition/co/host/node", None, 200),
    ("GET", "/hosts", None, 200),
    ("POST", "/hosts", {"name": "new"}, 501),
    ("GET", "/hosts/node", None, 200),
    ("PUT", "/hosts/node", {"enabled": "false"}, 200),
    ("DELETE", "/hosts/node", None, 200),
    ("GET", "/environments", None, 200),
    ("POST", "/environments", {"name": "new", "partition": "co"}, 202),
    ("GET", "/environments/dev", None, 200),
    ("PUT", "/environments/dev", {"description": "x"}, 200),
    ("DELETE", "/environments/dev", None, 200),
    ("GET", "/environments/dev/hosts", None, 200),
    ("GET", "/environments/dev/partition", None, 200),
    ("POST", "/environments/plan", {"name": "dev"}, 200),
    ("PUT", "/environments/dev/definition", {"name": "dev"}, 200),
    ("POST", "/environments/dev/apply", None, 202),
    ("POST", "/environments/dev/destroy", None, 202),
    ("GET", "/environments/dev/outputs", None, 200),
    ("GET", "/environments/dev/usage", None, 200),
    ("GET", "/enviroments", None, 200),
    ("POST", "/enviroments", {"name": "new", "partition": "co"}, 202),
    ("GET", "/enviroments/dev/hosts", None, 200),
    ("GET", "/images", None, 200),
    ("POST", "/images", {"name": "new", "type": "disk"}, 202),
    ("PUT", "/image", {"name": "new", "type": "disk"}, 202),
    ("GET", "/images/debian", None, 200),
    ("PUT", "/images/debian", {"os": "debian"}, 200),
    ("DELETE", "/images/debian", None, 200),
    ("GET", "/image/debian", None, 200),
    ("GET", "/files", None, 200),
    ("POST", "/files", _form, 201),
    ("GET", "/files/seed.txt", None, 200),
    ("PUT", "/files/seed.txt", _text_form, 200),
    ("DELETE", "/files/seed.txt", None, 200),
    ("GET", "/file/seed.txt", None, 200),
    ("POST", "/file", _form, 201),
    ("GET", "/provisioners", None, 200),
    ("POST", "/provisioners", {"name": "new"}, 201),
    ("GET", "/provisioners/site", None, 200),
    ("PUT", "/provisioners/site", {"cpus": None}, 200),
    ("DELETE", "/provisioners/site", None, 200),
    ("GET", "/instances", None, 200),
    ("POST", "/instances", {"name": "new"}, 202),
    ("GET", "/instances/web", None, 200),
    ("PUT", "/instances/web", {"tags": ["a"]}, 200),
    ("DELETE", "/instances/web", None, 202),
    *(
        (method, f"/instances/{verb}_instance/web", None, 202)
        for method in ("POST", "PUT")
        for verb in ("start", "stop", "restart", "clone")
    ),
    ("POST", "/instances/execute_command", {"command": "ls", **PICKED}, 202),
    (
        "POST",
        "/instances/copy_files",
        {"uuid_file": "seed.txt", "destination": "/x", **PICKED},
        202,
    ),
    ("POST", "/packages/install_packages", PACKAGES, 202),
    ("PUT", "/packages/upgrade_packages", PACKAGES, 202),
    ("POST", "/packages/remove_packages", PACKAGES, 202),
    ("DELETE", "/packages", PACKAGES, 202),
    ("POST", "/packages", PACKAGES, 202),
    ("PUT", "/packages", PACKAGES, 202),
    ("POST", "/install_packages", PACKAGES, 202),
    ("PUT", "/upgrade_packages", PACKAGES, 202),
    ("GET", "/properties", {"properties": ["memory"], "hosts": ["web"]}, 200),
    ("GET", "/properties?properties=memory,cpu&hosts=web*&tags=db", None, 200),
    ("POST", "/vendordata", NOVA, 403),
    ("GET", "/tasks", None, 200),
    ("GET", "/tasks/{task}", None, 200),
    ("GET", "/tasks/status/setting up", None, 200),
    ("DELETE", "/tasks/{ended}", None, 200),
    ("GET", "/healthcheck", None, 200),
    ("GET", "/openapi.json", None, 200),
]


@pytest.fixture
def full(api: Api) -> Api:
    """One of each."""
    api.service.add_host("node")
    for path, body in (
        ("/users", {"username": "alice"}),
        ("/groups", {"name": "team"}),
        ("/partitions", {"name": "co"}),
        ("/environments", {"name": "dev", "partition": "co"}),
        ("/images", {"name": "debian", "type": "disk"}),
        ("/provisioners", {"name": "site", "script": "#!/bin/sh"}),
        ("/instances", {"name": "web", "environment": "dev"}),
    ):
        assert api("POST", path, body).status_code in (201, 202), path
    form = {"file": (io.BytesIO(b"content"), "seed.txt")}
    assert api("POST", "/files", data=form).status_code == 201
    return api


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_route_in_every_spelling(full: Api, prefix: str, slash: str) -> None:
    for method, path, body, status in CALLS:
        # Each call finds the objects as they were: some delete them.
        kept = {
            name: dict(collection.items)
            for name, collection in vars(full.service).items()
            if hasattr(collection, "items") and isinstance(collection.items, dict)
        }
        task, ended = list(full.service.tasks.items)[:2]
        full.service.advance(ended, "error")
        path = path.format(task=task, ended=ended)
        path, question, query = path.partition("?")
        more = body() if callable(body) else {}
        answer = full(
            method,
            f"{prefix}{path}{slash}{question}{query}",
            None if callable(body) else body,
            **more,
        )
        told = f"{method} {prefix}{path}{slash}: {answer.get_data(as_text=True)}"
        assert answer.status_code == status, told
        assert answer.mimetype == "application/json", told
        assert answer.json is not None, told
        if status == 202:
            assert answer.json["task"] in full.service.tasks.items
            at = f"{prefix or '/v1'}/tasks/{answer.json['task']}"
            assert answer.headers["Location"].endswith(at)
        for name, items in kept.items():
            getattr(full.service, name).items = items


def test_calls_cover_the_table() -> None:
    def shape(path: str) -> str:
        parts = path.partition("?")[0].split("/")
        return "/".join("{}" if part in NAMES else part for part in parts)

    called = {(method, shape(path)) for method, path, _, _ in CALLS}
    for route in all_routes():
        path = route.path
        for name in ("name", "hostname", "status", "uuid"):
            path = path.replace(f"{{{name}}}", "{}")
        if (route.method, path) == ("PUT", "/images"):
            path = "/image"
        assert (route.method, path) in called


def test_the_verb_of_an_answer(full: Api) -> None:
    expected = {
        ("POST", "/instances/start_instance/web"): "start",
        ("PUT", "/instances/stop_instance/web"): "stop",
        ("PUT", "/instances/restart_instance/web"): "restart",
        ("PUT", "/instances/clone_instance/web"): "clone",
        ("DELETE", "/instances/web"): "delete",
    }
    for (method, path), verb in expected.items():
        body = full(method, path).json
        assert body == {verb: "in progress", "task": body["task"]}
    picked = {"command": "ls", "instances": [{"tag": "x"}]}
    assert "execute" in full("POST", "/instances/execute_command", picked).json
    for call, verb in {"install": "install", "remove": "remove"}.items():
        answer = full("POST", f"/packages/{call}_packages", PACKAGES)
        assert answer.json[verb] == "in progress"
    answer = full("PUT", "/partitions/co/host/node")
    assert answer.json == {"add_host": "success"}
    assert full("DELETE", "/users/alice").json == {"delete": "success"}


def test_the_list_is_spelled_as_it_was_asked_for(full: Api) -> None:
    assert list(full("GET", "/enviroments").json) == ["enviroments"]
    assert list(full("GET", "/v1/environments").json) == ["environments"]


def test_content_of_a_file(full: Api) -> None:
    answer = full("GET", "/file/seed.txt").json
    assert answer["content"] == "Y29udGVudA=="
    assert answer["size"] == 7 and answer["name"] == "seed.txt"
    assert "content" not in full("GET", "/files/seed.txt").json


@pytest.mark.parametrize("size", [0, 1, 2, 3, 3 * 64 * 1024 + 1])
def test_content_of_any_length(api: Api, size: int) -> None:
    import base64

    content = bytes(n % 251 for n in range(size))
    form = {"file_data": (io.BytesIO(content), "x.bin"), "folder_name": "seeds"}
    made = api("POST", "/files", data=form)
    assert made.json["folder_name"] == "seeds" and made.json["size"] == size
    answer = api("GET", "/file/x.bin").json
    assert base64.b64decode(answer["content"], validate=True) == content


def test_pages(api: Api) -> None:
    for number in range(5):
        api("POST", "/users", {"username": f"user{number}"})
    names = []
    path = "/api/virtshell/v1/users?limit=2"
    for _ in range(3):
        answer = api("GET", path)
        names += [user["username"] for user in answer.json["users"]]
        link = answer.headers.get("Link", "")
        path = link[1:].partition(">")[0]
    assert names == [f"user{number}" for number in range(5)]
    assert not link


def test_a_page_is_no_larger_than_the_operator_says(
    tokens: Any, service: Any, tmp_path: Any
) -> None:
    from werkzeug.test import Client

    from nova_multi.api.app import create_app
    from tests.unit.api.conftest import make_conf

    conf = make_conf(tmp_path, "[api]\nmax_limit = 2\n")
    api = Api(Client(create_app(conf, service)), service)
    for number in range(5):
        api("POST", "/users", {"username": f"user{number}"})
    for query in ("", "?limit=4", f"?limit={10**30}"):
        assert len(api("GET", f"/users{query}").json["users"]) == 2


def test_filters(full: Api) -> None:
    full("POST", "/instances", {"name": "db", "environment": "dev", "driver": "lxc"})
    found = full("GET", "/instances?driver=lxd").json["instances"]
    assert [instance["name"] for instance in found] == ["db"]
    assert full("GET", "/instances?driver=kvm").json == {"instances": []}
    assert full("GET", "/hosts?enabled=true&partition=nowhere").json == {"hosts": []}
    for query in ("images?status=queued", "users?groups=none", "groups?users=nobody"):
        assert full("GET", f"/{query}").status_code == 200, query
    assert len(full("GET", "/tasks?status=received").json["tasks"]) == 0
    assert len(full("GET", "/tasks/status/pending").json["tasks"]) == 4


def test_an_ambiguous_name_needs_an_environment(full: Api) -> None:
    full("POST", "/instances", {"name": "web", "environment": "other"})
    error = full.error(full("GET", "/instances/web"), 409)
    assert error["code"] == "ambiguous"
    answer = full("GET", "/instances/web?environment=other")
    assert answer.json["environment"] == "other"
    assert full("PUT", "/instances/web?environment=dev", {"cpus": 2}).json["cpus"] == 2


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "POST"])
def test_methods_that_a_route_does_not_take(full: Api, method: str) -> None:
    answer = full(method, "/v1/instances/web")
    assert full.error(answer, 405)["code"] == "method_not_allowed"
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "PUT", "DELETE"}


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v1/v1/users",
        "/v2/users",
        "/users//alice",
        "/v1users",
    ],
)
def test_paths_that_lead_nowhere(full: Api, path: str) -> None:
    full.error(full("GET", path), 404)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/api/virtshell/v1"])
def test_discovery(api: Api, path: str) -> None:
    (version,) = api("GET", path, token=None).json["versions"]
    assert (version["id"], version["status"]) == ("v1.0", "CURRENT")
    assert version["links"][0]["href"] == "http://localhost/v1/"


def test_head_is_get_without_a_body(full: Api) -> None:
    answer = full("HEAD", "/v1/users")
    assert answer.status_code == 200 and not answer.data


def test_names_that_nothing_can_have(full: Api) -> None:
    for name in ("%00", "x" * 256, "a%0Ab"):
        full.error(full("GET", f"/users/{name}"), 404)
