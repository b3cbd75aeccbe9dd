# SPDX-License-Identifier: Apache-2.0
"""What can't be taken is refused with the field and the reason; nothing is changed."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from nova_multi.domain import errors as domain_errors
from nova_multi.exception import ConfigurationError
from tests.unit.api.conftest import Api

BODIES = {
    "/users": {"username": "bob"},
    "/groups": {"name": "new"},
    "/partitions": {"name": "new"},
    "/hosts": {"name": "new"},
    "/environments": {"name": "new", "partition": "co"},
    "/images": {"name": "new", "type": "disk"},
    "/provisioners": {"name": "new"},
    "/instances": {"name": "new"},
    "/instances/clone_instance/web": {},
    "/instances/execute_command": {"command": "ls", "instances": [{"name": "a"}]},
    "/packages/install_packages": {"packages": ["git"], "hosts": ["a"]},
}


@pytest.mark.parametrize("path", BODIES)
def test_unknown_fields_are_named(api: Api, path: str) -> None:
    body = {**BODIES[path], "surprise": 1, "uuid": "x"}
    error = api.error(api("POST", path, body), 400)
    assert {detail["field"] for detail in error["details"]} == {"surprise", "uuid"}
    assert {detail["code"] for detail in error["details"]} == {"unknown_field"}
    assert "surprise" in error["message"]
    assert api.service.callers == []


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("body", [[], "text", 1, None, True])
def test_a_body_is_an_object(api: Api, path: str, body: Any) -> None:
    error = api.error(api("POST", path, json.dumps(body).encode()), 400)
    assert "object" in error["message"]


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"{'name': 'x'}",
        b'{"name": "x",}',
        b"\xff\xfe",
        b'{"name": "\\ud800"}',
        b'{"name": "x"} and more',
        b"[" * 50_000,
        b'{"a":' * 10_000,
        b'{"name": NaN}',
    ],
)
def test_bad_json(api: Api, raw: bytes) -> None:
    error = api.error(api("POST", "/partitions", raw), 400)
    assert error["code"] in ("bad_json", "invalid")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/xml", "", "junk"],
)
def test_a_body_is_json_whatever_its_type_says(api: Api, content_type: str) -> None:
    answer = api("POST", "/partitions", {"name": "co"}, content_type=content_type)
    assert answer.status_code == 201


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("/instances", {"name": 5}, "name"),
    ("/instances", {"name": "a b"}, "name"),
    ("/instances", {"name": "-a"}, "name"),
    ("/instances", {"name": "x" * 64}, "name"),
    ("/instances", {"name": ""}, "name"),
    ("/instances", {"name": "a\0"}, "name"),
    ("/instances", {"name": "d22f20b0-5c5f-4b3e-9b0b-1c1f3a1c2e3d"}, "name"),
    ("/instances", {"name": "a", "memory": -1}, "memory"),
    ("/instances", {"name": "a", "memory": 0}, "memory"),
    ("/instances", {"name": "a", "memory": True}, "memory"),
    ("/instances", {"name": "a", "memory": "lots"}, "memory"),
    ("/instances", {"name": "a", "memory": 10**400}, "memory"),
    ("/instances", {"name": "a", "memory": 1e300}, "memory"),
    ("/instances", {"name": "a", "memory": []}, "memory"),
    ("/instances", {"name": "a", "memory": None}, "memory"),
    ("/instances", {"name": "a", "cpus": "2"}, "cpus"),
    ("/instances", {"name": "a", "cpus": 1.5}, "cpus"),
    ("/instances", {"name": "a", "cpus": 0}, "cpus"),
    ("/instances", {"name": "a", "cpus": True}, "cpus"),
    ("/instances", {"name": "a", "cpus": 10**30}, "cpus"),
    ("/instances", {"name": "a", "hdsize": "2PB"}, "hdsize"),
    ("/instances", {"name": "a", "driver": "vmware"}, "driver"),
    ("/instances", {"name": "a", "driver": {"x": 1}}, "driver"),
    ("/instances", {"name": "a", "host_type": "Small"}, "host_type"),
    ("/instances", {"name": "a", "permissions": "777"}, "permissions"),
    ("/instances", {"name": "a", "permissions": ""}, "permissions"),
    ("/instances", {"name": "a", "permissions": None}, "permissions"),
    ("/instances", {"name": "a", "permissions": "xwrrwxrwx"}, "permissions"),
    ("/instances", {"name": "a", "publish": "80"}, "publish"),
    ("/instances", {"name": "a", "publish": ["70000:80"]}, "publish"),
    ("/instances", {"name": "a", "publish": ["80:80", "80:81"]}, "publish"),
    ("/instances", {"name": "a", "publish": ["80/icmp"]}, "publish"),
    ("/instances", {"name": "a", "publish": [None]}, "publish"),
    ("/instances", {"name": "a", "count": 0}, "count"),
    ("/instances", {"name": "a", "count": 100_000}, "count"),
    ("/instances", {"name": "a", "networks": [5]}, "networks"),
    ("/instances", {"name": "a", "networks": {"a": 1}}, "networks"),
    ("/instances", {"name": "a", "variables": ["A=1"]}, "variables"),
    ("/instances", {"name": "a", "variables": {"A B": "1"}}, "variables"),
    ("/instances", {"name": "a", "variables": {"A": {}}}, "variables"),
    ("/instances", {"name": "a", "variables": {"A": "\0"}}, "variables"),
    ("/instances", {"name": "a", "tags": ["a,b"]}, "tags.0"),
    ("/instances", {"name": "a", "tags": ["x" * 61]}, "tags.0"),
    ("/instances", {"name": "a", "description": "x" * 256}, "description"),
    ("/instances", {"name": "a", "description": "a\0"}, "description"),
    ("/instances", {"name": "a", "environment": ""}, "environment"),
    ("/instances", {}, "name"),
    ("/hosts", {"name": "a", "local_ipv4": "15.54.88.300"}, "local_ipv4"),
    ("/hosts", {"name": "a", "local_ipv6": "yt06::"}, "local_ipv6"),
    ("/hosts", {"name": "a", "local_ipv6": "10.0.0.1"}, "local_ipv6"),
    ("/hosts", {"name": "a", "enabled": "maybe"}, "enabled"),
    ("/hosts", {"name": "a", "enabled": 1}, "enabled"),
    ("/hosts", {"name": "a", "drivers": ["xen"]}, "drivers"),
    ("/hosts", {"name": "a", "drivers": "docker"}, "drivers"),
    ("/partitions", {"name": "a", "limits": 5}, "limits"),
    ("/partitions", {"name": "a", "limits": {"disk": 5}}, "limits.disk"),
    ("/partitions", {"name": "a", "limits": {"cpus": -1}}, "limits.cpus"),
    ("/partitions", {"name": "a", "limits": {"instances": "3"}}, "limits.instances"),
    ("/partitions", {"name": "a", "limits": {"memory": "-1GB"}}, "limits.memory"),
    (
        "/environments",
        {"name": "a", "partition": "b", "limits": {"cpus": None}},
        "limits.cpus",
    ),
    ("/environments", {"name": "a"}, "partition"),
    ("/environments", {"name": "a", "partition": "b", "users": ["", "x"]}, "users"),
    (
        "/environments",
        {"name": "a", "partition": "b", "users": [{"name": "x"}]},
        "users",
    ),
    ("/environments", {"name": "a", "partition": "b", "schedule": []}, "schedule"),
    ("/images", {"name": "a"}, "type"),
    ("/images", {"name": "a", "type": "floppy"}, "type"),
    ("/images", {"type": "disk", "os": "debian"}, "variant"),
    ("/images", {"name": "a", "type": "disk", "architecture": "z80"}, "architecture"),
    ("/images", {"name": "a", "type": "iso", "download_url": "a b"}, "download_url"),
    ("/provisioners", {"name": "a", "depends": ["b"]}, "depends"),
    ("/provisioners", {"name": "a", "depends": [{"name": "b"}]}, "depends"),
    ("/provisioners", {"name": "a", "launch": "1"}, "launch"),
    ("/provisioners", {"name": "a", "script": {"file": "x"}}, "script"),
    ("/users", {"username": "a", "type": "root"}, "type"),
    ("/groups", {"name": "a", "users": [{"id": "x"}]}, "users"),
    ("/instances/execute_command", {"command": "", "instances": ["a"]}, "command"),
    ("/instances/execute_command", {"command": "x", "instances": []}, "instances"),
    (
        "/instances/execute_command",
        {"command": "x", "instances": [{"name": "a", "tag": "b"}]},
        "instances",
    ),
    (
        "/instances/execute_command",
        {"command": "x", "instances": [{"pattern": "a[5:1]"}]},
        "instances",
    ),
    ("/packages/install_packages", {"hosts": ["a"]}, "packages"),
    (
        "/packages/install_packages",
        {"packages": ["git"], "hosts": [{"name": "a", "range": "[1-99999999]"}]},
        "hosts",
    ),
]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    WRONG,
    ids=[f"{n}-{f}" for n, (_, _, f) in enumerate(WRONG)],
)
def test_wrong_values_are_named(
    api: Api, path: str, body: dict[str, Any], field: str
) -> None:
    error = api.error(api("POST", path, body), 400)
    fields = [detail["field"] for detail in error["details"]]
    assert field in fields, error
    assert field.split(".")[0] in json.dumps(error["details"])
    assert api.service.callers == []


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/instances", {"name": "a", "hdsize": 1, "hdspace": 2}, "hdspace"),
        ("/instances", {"name": "a", "environment": "a", "enviroment": "b"}, "same"),
        ("/instances", {"name": "a", "publish": ["80:80"], "count": 2}, "80:80"),
        ("/packages/install_packages", {"packages": ["git"]}, "hosts or tags"),
        ("/packages/install_packages", {"packages": [], "tags": ["a"]}, "packages"),
        (
            "/instances/copy_files",
            {"destination": "/", "instances": [{"name": "a"}]},
            "folder_name",
        ),
        (
            "/instances/copy_files",
            {
                "file": "a",
                "folder_name": "b",
                "destination": "/",
                "instances": [{"name": "a"}],
            },
            "either",
        ),
    ],
)
def test_fields_that_do_not_go_together(
    api: Api, path: str, body: dict[str, Any], words: str
) -> None:
    assert words in api.error(api("POST", path, body), 400)["message"]


def test_all_errors_are_told_at_once(api: Api) -> None:
    body = {"memory": -1, "cpus": 0, "publish": ["x"], "what": 1}
    error = api.error(api("POST", "/instances", body), 400)
    fields = {detail["field"] for detail in error["details"]}
    assert fields == {"name", "memory", "cpus", "publish", "what"}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/environments/x", "partition"),
        ("/hosts/x", "name"),
        ("/images/x", "type"),
        ("/instances/x", "driver"),
    ],
)
def test_what_can_not_be_changed_is_told_so(api: Api, path: str, field: str) -> None:
    error = api.error(api("PUT", path, {field: "docker"}), 400)
    assert error["message"] == f"{field} can't be changed"


def test_a_change_changes_something(api: Api) -> None:
    for path in ("/users/x", "/partitions/x", "/instances/x", "/provisioners/x"):
        assert "nothing to change" in api.error(api("PUT", path, {}), 400)["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/instances/start_instance/web",
        "/environments/dev/apply",
        "/partitions/co/host/node",
        "/instances/web",
    ],
)
def test_no_body_where_none_belongs(api: Api, path: str) -> None:
    method = {"/partitions/co/host/node": "PUT", "/instances/web": "DELETE"}
    answer = api(method.get(path, "POST"), path, {"force": True})
    assert api.error(answer, 400)["code"] == "unknown_field"


@pytest.mark.parametrize(
    "query",
    ["what=1", "limit=0", "limit=-1", "limit=x", "limit=1.5", "limit=1&limit=2"]
    + ["marker=", "driver=xen", "host_type=Small", "marker=%00", "name=a&name=b"],
)
def test_queries_that_a_list_does_not_take(api: Api, query: str) -> None:
    error = api.error(api("GET", f"/instances?{query}"), 400)
    field = query.partition("=")[0]
    assert field in error["message"] or field in str(error["details"])


def test_queries_that_one_object_does_not_take(api: Api) -> None:
    api.error(api("GET", "/instances/web?limit=1"), 400)
    api.error(api("GET", "/users/alice?partition=x"), 400)
    api.error(api("POST", "/instances?dry=1", {"name": "a"}), 400)


def test_a_status_that_no_task_has(api: Api) -> None:
    error = api.error(api("GET", "/tasks/status/asleep"), 400)
    assert "setting up" in error["message"]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have(api: Api, number: str) -> None:
    nested = f'{{"a": [{{"b": {number}}}]}}'
    raw = f'{{"name": "a", "partition": "b", "schedule": {nested}}}'
    error = api.error(api("POST", "/environments", raw.encode()), 400)
    assert error["details"][0]["field"] == "schedule"
    api.error(api("POST", "/environments/plan", nested.encode()), 400)
    raw = f'{{"name": "a", "variables": {{"A": {number}}}}}'
    error = api.error(api("POST", "/instances", raw.encode()), 400)
    assert error["details"][0]["field"] == "variables"
    assert api.service.callers == []


def test_huge_bodies(api: Api) -> None:
    body = {"name": "co", "description": "x" * 200_000}
    assert api.error(api("POST", "/partitions", body), 413)["code"] == "too_large"
    assert api.service.partitions.items == {}


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_only_uploads_may_be_large(api: Api, method: str) -> None:
    for path in ("/files", "/files/seed.txt"):
        answer = api(method, path, b" " * 200_000)
        assert api.error(answer, 413)["code"] == "too_large"


def test_files_may_be_larger_than_other_requests(api: Api) -> None:
    form = {"file": (io.BytesIO(b"x" * 300_000), "large.bin")}
    assert api("POST", "/files", data=form).json["size"] == 300_000


def test_files_have_a_limit_too(tokens: Any, service: Any, tmp_path: Any) -> None:
    from werkzeug.test import Client

    from nova_multi.api.app import create_app
    from tests.unit.api.conftest import make_conf

    conf = make_conf(tmp_path, "[api]\nmax_file_size = 1000\n")
    api = Api(Client(create_app(conf, service)), service)
    form = {"file": (io.BytesIO(b"x" * 2000), "large.bin")}
    api.error(api("POST", "/files", data=form), 413)
    assert service.files.items == {}


def test_an_upload_for_which_there_is_no_room(
    tokens: Any, service: Any, tmp_path: Any
) -> None:
    from werkzeug.test import Client

    from nova_multi.api.app import create_app
    from nova_multi.provision.store import FileStore
    from tests.unit.api.conftest import make_conf

    (tmp_path / "files").touch()
    spool = FileStore(tmp_path / "files").spool
    api = Api(Client(create_app(make_conf(tmp_path), service, spool)), service)
    form = {"file": (io.BytesIO(b"x" * 3_000_000), "large.bin")}
    answer = api("POST", "/files", data=form)
    assert api.error(answer, 503)["code"] == "unavailable"


def test_lengths_that_are_none(api: Api) -> None:
    environ = {"CONTENT_LENGTH": "lots"}
    api.error(api("POST", "/partitions", b"{}", environ_overrides=environ), 400)
    headers = {"Transfer-Encoding": "chunked"}
    api.error(api("POST", "/partitions", b"{}", headers=headers), 411)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"permissions": "rwxrwxrwx"}, "no file"),
        ({"file": (io.BytesIO(b"a"), "../../etc/passwd"), "what": "x"}, "what"),
        ({"upload": (io.BytesIO(b"a"), "a")}, "upload"),
        ({"file": (io.BytesIO(b"a"), "a"), "folder_name": "../up"}, "folder"),
        ({"file": (io.BytesIO(b"a"), "a"), "permissions": "rw"}, "permissions"),
        ({"file": (io.BytesIO(b"a"), "a\tb")}, "name"),
        (
            {"file": (io.BytesIO(b"a"), "a"), "file_data": (io.BytesIO(b"a"), "b")},
            "one",
        ),
    ],
)
def test_forms_that_are_no_file(api: Api, form: Any, words: str) -> None:
    assert words in api.error(api("POST", "/files", data=form), 400)["message"]
    assert api.service.files.items == {}


def test_a_file_keeps_only_the_end_of_its_path(api: Api) -> None:
    form = {"file": (io.BytesIO(b"a"), "..\\..\\seeds/seed.txt")}
    assert api("POST", "/files", data=form).json["name"] == "seed.txt"


def test_files_are_forms(api: Api) -> None:
    error = api.error(api("POST", "/files", {"name": "x"}), 400)
    assert error["code"] == "bad_form"
    broken = {"content_type": "multipart/form-data; boundary=x"}
    api.error(api("POST", "/files", b"--x\r\nbroken", **broken), 400)
    api.error(api("PUT", "/files/x", data={}, content_type="multipart/form-data"), 400)


def test_virtshells_spellings_of_values(api: Api) -> None:
    body = {
        "name": "transactional_log",
        "enviroment": "development_co",
        "description": "Server transactional only for store logs",
        "host_type": "GeneralPurpose",
        "driver": "lxc",
        "permissions": "xwrx-r--r",
        "hdspace": "2GB",
    }
    assert api("POST", "/api/virtshell/v1/instances", body).status_code == 202
    made = api("GET", "/instances/transactional_log").json
    assert made["environment"] == "development_co"
    assert made["driver"] == "lxd" and made["hdsize"] == "2GB"
    assert made["permissions"] == "rwxr-xr--"


def test_instances_are_picked(api: Api) -> None:
    body = {
        "instances": [{"name": "db"}, {"pattern": "grid_[1:5]"}, {"tag": "web"}],
        "command": "apt-get upgrade",
    }
    api("POST", "/instances/execute_command", body)
    picked = [(pick.pattern, pick.tag) for pick in api.service.picked]
    assert picked == [("db", None), ("grid_[1:5]", None), (None, "web")]
    body = {
        "packages": [{"name": "git"}],
        "instances": [{"name": "WebServer_", "range": "[1-3]"}],
        "tags": [{"name": "db"}],
    }
    api("POST", "/api/virtshell/v1/install_packages", body)
    picked = [(pick.pattern, pick.tag) for pick in api.service.picked]
    assert picked == [("WebServer_[1-3]", None), (None, "db")]


def test_limits_of_partitions_and_environments(api: Api) -> None:
    body: dict[str, Any] = {"name": "co", "limits": {"instances": 9, "memory": "4GB"}}
    answer = api("POST", "/partitions", body).json
    assert answer["limits"] == {"instances": 9, "cpus": None, "memory": 4096}
    body = {"name": "dev", "partition": "co", "limits": {"memory": 512}}
    assert api("POST", "/environments", body).status_code == 202
    shown = api("GET", "/environments/dev").json
    assert shown["limits"] == {"instances": None, "cpus": None, "memory": 512}
    answer = api("PUT", "/partitions/co", {"limits": {}}).json
    assert set(answer["limits"].values()) == {None}


def test_amounts_reach_the_service_in_mb(api: Api) -> None:
    body = {"name": "p", "memory": 1.5, "hdsize": "1500MB"}
    answer = api("POST", "/provisioners", body).json
    (made,) = api.service.provisioners.items.values()
    assert made.memory_mb == 1536 and made.hdsize_gb == 2
    assert answer["memory"] == 1.5 and answer["hdsize"] == 2
    api("POST", "/instances", {"name": "i", "memory": 256, "hdsize": 3})
    (instance,) = api.service.instances.items.values()
    assert instance.memory_mb == 256 and instance.disk_gb == 3


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (domain_errors.Invalid("a", field="image"), 400, "invalid"),
        (domain_errors.Forbidden("a"), 403, "forbidden"),
        (domain_errors.NotFound("a"), 404, "not_found"),
        (domain_errors.NameTaken("a"), 409, "name_taken"),
        (domain_errors.Conflict("a", code="port_taken"), 409, "port_taken"),
        (domain_errors.Unsupported("a"), 501, "unsupported"),
        (domain_errors.Unavailable("a", retry_after=17), 503, "unavailable"),
        (RuntimeError("password=secret"), 500, "internal"),
    ],
)
def test_errors_of_the_service(
    api: Api, monkeypatch: Any, error: Exception, status: int, code: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(api.service.instances, "list", fail)
    answer = api("GET", "/instances")
    told = api.error(answer, status)
    assert told["code"] == code
    assert "secret" not in answer.get_data(as_text=True)
    assert answer.headers.get("Retry-After") == ("17" if status == 503 else None)


def test_a_service_that_is_not_set_up_says_so(
    api: Api, monkeypatch: Any, caplog: Any
) -> None:
    def fail(*_: Any) -> None:
        raise ConfigurationError("the database has no tables yet: secret place")

    monkeypatch.setattr(api.service.instances, "list", fail)
    answer = api("GET", "/instances")
    told = api.error(answer, 503)
    assert told["code"] == "unusable" and "operator" in told["message"]
    assert "place" not in answer.get_data(as_text=True)
    assert caplog.text.count("place") == 1 and "Traceback" not in caplog.text
    assert int(answer.headers["Retry-After"]) > 5


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (None, 200),
        ("", 200),
        ("*/*", 200),
        ("application/json", 200),
        ("application/*", 200),
        ("text/html, application/json;q=0.1", 200),
        ("application/json; charset=utf-8", 200),
        ("text/html", 406),
        ("application/xml", 406),
        ("application/json;q=0", 406),
        ("application/json;q=0, */*", 406),
        ("junk", 406),
    ],
)
def test_only_json_is_spoken(api: Api, accept: str | None, status: int) -> None:
    headers = {} if accept is None else {"Accept": accept}
    for path in ("/v1/users", "/healthcheck"):
        answer = api("GET", path, headers=headers)
        assert answer.status_code == status
        if status == 406:
            assert answer.data == b""


def test_health(api: Api, service: Any) -> None:
    from nova_multi.provision.service import Backend

    service.backends.append(Backend("messaging", False, "does not answer"))
    answer = api("GET", "/healthcheck", token=None)
    assert answer.status_code == 503
    assert answer.json["healthy"] is False
    assert [found["name"] for found in answer.json["backends"]] == [
        "database",
        "messaging",
    ]


def test_out_of_service(tokens: Any, service: Any, tmp_path: Any) -> None:
    from werkzeug.test import Client

    from nova_multi.api.app import create_app
    from tests.unit.api.conftest import make_conf

    file = tmp_path / "away"
    conf = make_conf(tmp_path, f"[healthcheck]\ndisable_by_file_path = {file}\n")
    api = Api(Client(create_app(conf, service)), service)
    assert api("GET", "/v1/healthcheck").status_code == 200
    file.touch()
    assert api.error(api("GET", "/healthcheck"), 503)["code"] == "out_of_service"
    assert api("GET", "/users").status_code == 200
