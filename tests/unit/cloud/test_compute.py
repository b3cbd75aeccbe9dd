# SPDX-License-Identifier: Apache-2.0
"""Servers: what is asked of Nova, how often, and what comes of its answers."""

from __future__ import annotations

import base64
import datetime

import pytest

from nova_multi.cloud.marks import Mark
from nova_multi.cloud.values import NewServer, ServerAddress
from nova_multi.domain import errors

from .conftest import ENVIRONMENT, TASK
from .fake import Answer, nova_error


def raw_server(number=0, **changes):
    """As Nova answers from 2.47 on."""
    return {
        "id": f"server-{number}",
        "name": f"web{number}",
        "status": "ACTIVE",
        "tenant_id": "project-1",
        "user_id": "user-1",
        "created": "2026-11-20T10:00:00Z",
        "updated": "2026-11-20T10:00:05Z",
        "image": {"id": "image-1", "links": []},
        "flavor": {
            "vcpus": 2,
            "ram": 512,
            "disk": 1,
            "ephemeral": 0,
            "swap": 0,
            "original_name": "m1.tiny",
            "extra_specs": {"trait:X": "required"},
        },
        "addresses": {
            "net": [
                {
                    "addr": "10.0.0.5",
                    "version": 4,
                    "OS-EXT-IPS:type": "fixed",
                    "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01",
                },
                {"addr": "203.0.113.9", "version": 4, "OS-EXT-IPS:type": "floating"},
            ]
        },
        "metadata": {"a": "b"},
        "tags": [f"nova-multi:task={TASK}"],
        "OS-EXT-SRV-ATTR:host": "node-docker",
        "OS-EXT-SRV-ATTR:hypervisor_hostname": "node-docker",
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:vm_state": "active",
        "OS-EXT-STS:power_state": 1,
        **changes,
    }


def serve(fake, servers, page=1000):
    """Nova's list: pages, and only the filters that are used here."""

    def answer(call):
        found = servers
        for tag in call.query.get("tags", [""])[0].split(","):
            found = [each for each in found if not tag or tag in each["tags"]]
        if marker := call.query.get("marker"):
            ids = [each["id"] for each in found]
            found = found[ids.index(marker[0]) + 1 :]
        size = min(page, int(call.query.get("limit", [page])[0]))
        body = {"servers": found[:size]}
        if len(found) >= size and body["servers"]:
            last = body["servers"][-1]["id"]
            href = f"http://nova.test/v2.1/servers/detail?marker={last}"
            body["servers_links"] = [{"rel": "next", "href": href}]
        return body

    fake.on("compute", "GET", "/servers/detail", answer)


# -- reading


def test_a_server(fake, cloud):
    fault = {"code": 500, "message": "No valid host", "created": "2026-11-20T10:00:05Z"}
    raw = raw_server(fault=fault)
    fake.on("compute", "GET", "/servers/server-0", {"server": raw})
    server = cloud.servers.server("server-0")
    assert (server.id, server.name, server.status) == ("server-0", "web0", "ACTIVE")
    assert server.created == datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC)
    assert (server.flavor.cpus, server.flavor.memory_mb, server.flavor.disk_gb) == (
        2,
        512,
        1,
    )
    assert server.flavor.name == "m1.tiny"
    assert server.flavor.extra_specs == {"trait:X": "required"}
    assert server.image_id == "image-1"
    assert server.host == "node-docker"
    assert server.addresses == (
        ServerAddress("net", "10.0.0.5", 4, mac="fa:16:3e:00:00:01"),
        ServerAddress("net", "203.0.113.9", 4, floating=True),
    )
    assert server.fault.message == "No valid host"
    assert server.tags == (f"nova-multi:task={TASK}",)
    assert server.metadata == {"a": "b"}


def test_a_server_that_tells_little(fake, cloud):
    """One that was just asked for, booted from a volume, seen by a mere user."""
    raw = {"id": "s", "name": "n", "status": "BUILD", "image": "", "tenant_id": "p"}
    fake.on("compute", "GET", "/servers/s", {"server": raw})
    server = cloud.servers.server("s")
    assert server.image_id is None
    assert server.host is None
    assert server.fault is None
    assert server.addresses == ()


@pytest.mark.parametrize("number", [1, 30, 999])
def test_a_list_costs_one_request(fake, cloud, number):
    serve(fake, [raw_server(n) for n in range(number)])
    assert len(cloud.servers.servers()) == number
    assert len(fake.calls) == 1


def test_a_thousand_servers_cost_as_little(fake, cloud):
    serve(fake, [raw_server(n) for n in range(1000)])
    found = cloud.servers.servers()
    assert len({server.id for server in found}) == 1000
    # Nova can't tell that a full page was the last.
    assert len(fake.calls) == 2
    assert found[999].flavor.cpus == 2
    assert found[999].addresses


def test_a_page_is_one_page(fake, cloud):
    serve(fake, [raw_server(n) for n in range(50)])
    found = cloud.servers.servers(limit=10, marker="server-9")
    assert [server.id for server in found] == [f"server-{n}" for n in range(10, 20)]
    assert len(fake.calls) == 1


def test_filters(fake, admin):
    serve(fake, [])
    since = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    admin.servers.servers(
        project_ids=["p1"], tags=["a", "b"], host="h", changed_since=since, name="w.1"
    )
    assert fake.last().query == {
        "all_tenants": ["True"],
        "project_id": ["p1"],
        "tags": ["a,b"],
        "host": ["h"],
        "changes-since": ["2026-01-02T00:00:00+00:00"],
        "name": ["^w.1$"],
    }


def test_a_mere_user_asks_for_no_more_than_its_project(fake, cloud):
    serve(fake, [])
    cloud.servers.servers()
    assert fake.last().query == {}


@pytest.mark.parametrize(("projects", "requests"), [(2, 2), (4, 4), (5, 1), (40, 1)])
def test_servers_of_several_projects(fake, admin, projects, requests):
    """Of a few one by one, so that others' servers cost nothing."""
    servers = [
        raw_server(
            n, tenant_id=f"p{n % 50}", created=f"2026-01-01T00:{59 - n % 60:02}:00Z"
        )
        for n in range(60)
    ]
    serve(fake, servers)
    wanted = {f"p{n}" for n in range(projects)}
    found = admin.servers.servers(project_ids=wanted)
    assert {server.project_id for server in found} == wanted
    assert len({server.id for server in found}) == len(found)
    assert [each.created for each in found] == sorted(
        (each.created for each in found), reverse=True
    )
    assert len(fake.calls) == requests
    asked = [call.query.get("project_id") for call in fake.calls]
    if requests > 1:
        assert {each for (each,) in asked} == wanted
    else:
        assert asked == [None]


def test_names_are_no_patterns(fake, cloud):
    serve(fake, [raw_server(0, name="a.b"), raw_server(1, name="axb")])
    assert [s.name for s in cloud.servers.servers(name="a.b")] == ["a.b"]


# -- creating

NEW = NewServer(
    name="web",
    image_id="image-1",
    flavor_id="flavor-1",
    ports=("port-1",),
    networks=("net-1",),
    security_groups=("sg-1",),
    user_data=b"#!/bin/sh\n",
    metadata={"k": "v"},
)


def test_create(fake, cloud, mark):
    fake.on("compute", "POST", "/servers", {"server": {"id": "s-1", "adminPass": "x"}})
    assert cloud.servers.create(NEW, mark) == "s-1"
    assert len(fake.calls) == 1
    assert fake.last().body == {
        "server": {
            "name": "web",
            "imageRef": "image-1",
            "flavorRef": "flavor-1",
            "networks": [{"port": "port-1"}, {"uuid": "net-1"}],
            "security_groups": [{"name": "sg-1"}],
            "user_data": base64.b64encode(b"#!/bin/sh\n").decode(),
            "metadata": {"k": "v"},
            "tags": [
                f"nova-multi:task={TASK}",
                f"nova-multi:environment={ENVIRONMENT}",
            ],
        }
    }
    # Tags are taken from 2.52 on.
    version = fake.last().headers["OpenStack-API-Version"].split()[1]
    assert float(version.split(".")[1]) >= 52


def test_create_without_a_network_or_on_a_host(fake, admin, mark):
    fake.on("compute", "POST", "/servers", {"server": {"id": "s"}})
    admin.servers.create(NewServer("w", "i", "f", host="node-lxd", zone="z"), mark)
    body = fake.last().body["server"]
    assert body["networks"] == "none"
    assert body["host"] == "node-lxd"
    assert body["availability_zone"] == "z"
    assert "user_data" not in body


def test_create_again_finds_what_was_made(fake, cloud, mark):
    serve(fake, [raw_server(3, name="other"), raw_server(4, name="web")])
    assert cloud.servers.create(NEW, mark, again=True) == "server-4"
    assert fake.lines() == ["GET compute/servers/detail"]


def test_create_again_makes_what_was_not(fake, cloud, mark):
    serve(fake, [raw_server(3, name="other"), raw_server(4, name="web", tags=[])])
    fake.on("compute", "POST", "/servers", {"server": {"id": "s-9"}})
    assert cloud.servers.create(NEW, mark, again=True) == "s-9"


def test_user_data_over_the_limit(fake, cloud, mark):
    new = NewServer("w", "i", "f", user_data=b"x" * 49152)
    with pytest.raises(errors.Invalid) as caught:
        cloud.servers.create(new, mark)
    assert caught.value.field == "user_data"
    assert not fake.calls


def test_user_data_at_the_limit(fake, cloud, mark):
    fake.on("compute", "POST", "/servers", {"server": {"id": "s"}})
    cloud.servers.create(NewServer("w", "i", "f", user_data=b"x" * 49149), mark)


def test_a_quota_that_is_used_up(fake, cloud, mark):
    message = "Quota exceeded for cores: Requested 2, but already used 4 of 4 cores"
    fake.on("compute", "POST", "/servers", nova_error(403, message))
    with pytest.raises(errors.Forbidden, match="already used 4 of 4 cores"):
        cloud.servers.create(NEW, mark)


# -- actions


@pytest.mark.parametrize(
    ("verb", "action"), [("start", {"os-start": None}), ("stop", {"os-stop": None})]
)
def test_power(fake, cloud, verb, action):
    fake.on("compute", "POST", "/servers/s/action", Answer(202))
    getattr(cloud.servers, verb)("s")
    assert fake.last().body == action
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    ("verb", "status", "doing", "fine"),
    [
        ("start", "ACTIVE", None, True),
        ("start", "SHUTOFF", "powering-on", True),
        ("start", "ACTIVE", "deleting", False),
        ("start", "ERROR", None, False),
        ("stop", "SHUTOFF", None, True),
        ("stop", "ACTIVE", "powering-off", True),
        ("stop", "ACTIVE", None, False),
    ],
)
def test_power_twice(fake, cloud, verb, status, doing, fine):
    message = "Cannot while it is in vm_state x"
    fake.on("compute", "POST", "/servers/s/action", nova_error(409, message))
    raw = raw_server(status=status, **{"OS-EXT-STS:task_state": doing})
    fake.on("compute", "GET", "/servers/s", {"server": raw})
    if fine:
        getattr(cloud.servers, verb)("s")
    else:
        with pytest.raises(errors.Conflict, match="vm_state x"):
            getattr(cloud.servers, verb)("s")


def test_reboot(fake, cloud):
    fake.on("compute", "POST", "/servers/s/action", Answer(202))
    cloud.servers.reboot("s", "HARD")
    assert fake.last().body == {"reboot": {"type": "HARD"}}


def test_delete(fake, cloud):
    fake.on("compute", "DELETE", "/servers/s", Answer(204))
    assert cloud.servers.delete("s") is True
    fake.on("compute", "DELETE", "/servers/s", nova_error(404, "gone"))
    assert cloud.servers.delete("s") is False
    fake.on("compute", "DELETE", "/servers/s", nova_error(409, "locked"))
    with pytest.raises(errors.Conflict):
        cloud.servers.delete("s")


def test_snapshot(fake, cloud, mark):
    fake.on("image", "GET", "/images", {"images": []})
    fake.on("compute", "POST", "/servers/s/action", Answer(202, {"image_id": "i-9"}))
    assert cloud.servers.snapshot("s", "copy", mark) == "i-9"
    assert fake.last().body == {
        "createImage": {"name": "copy", "metadata": {"nova_multi_task": TASK}}
    }
    assert fake.last().headers["OpenStack-API-Version"] == "compute 2.45"


def test_snapshot_again(fake, cloud, mark):
    fake.on("image", "GET", "/images", {"images": [{"id": "i-8"}]})
    assert cloud.servers.snapshot("s", "copy", mark) == "i-8"
    assert fake.last().query == {"nova_multi_task": [TASK], "name": ["copy"]}
    assert not fake.lines("compute")


def test_console(fake, cloud):
    fake.on("compute", "POST", "/servers/s/action", {"output": "login:"})
    assert cloud.servers.console_log("s", 20) == "login:"
    assert fake.last().body == {"os-getConsoleOutput": {"length": 20}}
    console = {"protocol": "serial", "type": "serial", "url": "ws://nova/?token=x"}
    fake.on(
        "compute", "POST", "/servers/s/remote-consoles", {"remote_console": console}
    )
    assert cloud.servers.console_url("s") == "ws://nova/?token=x"


def test_tags_name_and_limits(fake, admin):
    fake.on("compute", "PUT", "/servers/s/tags", {"tags": ["a"]})
    admin.servers.set_tags("s", ["b", "a", "a"])
    assert fake.last().body == {"tags": ["a", "b"]}
    fake.on("compute", "PUT", "/servers/s", {"server": raw_server()})
    admin.servers.rename("s", name="new")
    assert fake.last().body == {"server": {"name": "new"}}
    fake.on("compute", "PUT", "/os-quota-sets/p", {"quota_set": {}})
    admin.servers.set_limits("p", instances=3, cpus=None, memory_mb=1024)
    assert fake.last().body == {"quota_set": {"instances": 3, "cores": -1, "ram": 1024}}


# -- what was done

ACTION = {
    "action": "create",
    "instance_uuid": "s",
    "request_id": "req-1",
    "project_id": "p",
    "user_id": "u",
    "start_time": "2026-11-20T10:00:00.000000",
    "updated_at": "2026-11-20T10:00:03.500000",
    "message": "Error",
}


def test_actions(fake, cloud):
    fake.on(
        "compute",
        "GET",
        "/servers/s/os-instance-actions",
        {"instanceActions": [ACTION, {**ACTION, "action": "stop", "message": None}]},
    )
    create, stop = cloud.servers.actions("s")
    assert (create.name, create.request_id, create.message) == (
        "create",
        "req-1",
        "Error",
    )
    assert create.updated.microsecond == 500000
    assert create.updated.tzinfo is datetime.UTC
    assert stop.message is None
    assert len(fake.calls) == 1


def test_an_action_with_its_events(fake, cloud):
    events = [
        {
            "event": "compute__do_build_and_run_instance",
            "start_time": "2026-11-20T10:00:01.000000",
            "finish_time": None,
            "result": None,
            "host": "node-lxd",
            "details": None,
        }
    ]
    fake.on(
        "compute",
        "GET",
        "/servers/s/os-instance-actions/req-1",
        {"instanceAction": {**ACTION, "events": events}},
    )
    (event,) = cloud.servers.action("s", "req-1").events
    assert event.name == "compute__do_build_and_run_instance"
    assert event.result is None
    assert event.host == "node-lxd"
    assert fake.last().headers["OpenStack-API-Version"] == "compute 2.84"


def test_marks_without_environment(fake, cloud):
    fake.on("compute", "POST", "/servers", {"server": {"id": "s"}})
    cloud.servers.create(NEW, Mark(TASK))
    assert fake.last().body["server"]["tags"] == [f"nova-multi:task={TASK}"]
