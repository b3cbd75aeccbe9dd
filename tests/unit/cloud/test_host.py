# SPDX-License-Identifier: Apache-2.0
"""Services, hypervisors, aggregates: few requests, repeatable changes."""

from __future__ import annotations

import datetime

import pytest

from nova_multi.cloud.host import kept_for
from nova_multi.domain import errors

from .conftest import TASK
from .fake import Answer, nova_error


def raw_service(host, **changes):
    return {
        "id": f"id-{host}",
        "binary": "nova-compute",
        "host": host,
        "zone": "nova",
        "status": "enabled",
        "state": "up",
        "updated_at": "2026-11-20T10:00:00.000000",
        "disabled_reason": None,
        "forced_down": False,
        **changes,
    }


def raw_aggregate(number=1, name="lab", hosts=(), metadata=None):
    return {
        "id": number,
        "uuid": f"uuid-{number}",
        "name": name,
        "hosts": list(hosts),
        "metadata": dict(metadata or {}),
        "availability_zone": None,
    }


def test_services(fake, admin):
    raw = [
        raw_service("node"),
        raw_service("node-lxd", status="disabled", disabled_reason="repair"),
        raw_service("node-docker", state="down"),
        raw_service("dead", forced_down=True),
    ]
    fake.on("compute", "GET", "/os-services", {"services": raw})
    up, disabled, down, dead = admin.hosts.services()
    assert (up.id, up.host, up.enabled, up.up) == ("id-node", "node", True, True)
    assert up.updated == datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC)
    assert (disabled.enabled, disabled.disabled_reason) == (False, "repair")
    assert not down.up
    assert not dead.up
    assert fake.last().query == {"binary": ["nova-compute"]}
    assert len(fake.calls) == 1


def test_enable_and_disable(fake, admin):
    fake.on("compute", "PUT", "/os-services/s", {"service": raw_service("node")})
    admin.hosts.disable("s", "because " * 100)
    sent = fake.last().body
    assert sent["status"] == "disabled"
    assert len(sent["disabled_reason"]) == 255
    admin.hosts.enable("s")
    assert fake.last().body == {"status": "enabled"}


def test_hypervisors_with_their_servers(fake, admin):
    raw = [
        {
            "id": f"uuid-{n}",
            "hypervisor_hostname": f"node-{n}",
            "hypervisor_type": "docker",
            "hypervisor_version": 1,
            "host_ip": "10.0.0.1",
            "state": "up",
            "status": "enabled",
            "service": {"host": f"node-{n}-docker", "id": "x"},
            "servers": [{"uuid": f"s{n}", "name": f"instance-{n}"}],
        }
        for n in range(100)
    ]
    fake.on("compute", "GET", "/os-hypervisors/detail", {"hypervisors": raw})
    found = admin.hosts.hypervisors(with_servers=True)
    assert len(found) == 100
    assert found[3].host == "node-3-docker"
    assert found[3].type == "docker"
    assert found[3].servers == ("s3",)
    assert fake.last().query == {"with_servers": ["true"]}
    assert fake.last().headers["OpenStack-API-Version"] == "compute 2.87"
    assert len(fake.calls) == 1


def test_aggregates(fake, admin):
    raw = raw_aggregate(hosts=["a"], metadata={"filter_tenant_id_p": "p", "x": "y"})
    fake.on("compute", "GET", "/os-aggregates", {"aggregates": [raw]})
    (found,) = admin.hosts.aggregates()
    assert (found.id, found.uuid, found.hosts) == ("1", "uuid-1", ("a",))
    assert kept_for(found) == {"p"}


def test_create_aggregate(fake, admin, mark):
    fake.on("compute", "POST", "/os-aggregates", {"aggregate": raw_aggregate()})
    fake.on(
        "compute", "POST", "/os-aggregates/1/action", {"aggregate": raw_aggregate()}
    )
    assert admin.hosts.create_aggregate("lab", mark, {"a": "b"}).uuid == "uuid-1"
    versions = {call.headers["OpenStack-API-Version"] for call in fake.calls}
    assert versions == {"compute 2.41"}
    assert fake.last().body == {
        "set_metadata": {"metadata": {"a": "b", "nova_multi_task": TASK}}
    }


@pytest.mark.parametrize(
    ("present", "fine"),
    [
        (raw_aggregate(metadata={"nova_multi_task": TASK}), True),
        (raw_aggregate(), True),
        (raw_aggregate(metadata={"nova_multi_task": "another"}), False),
        (raw_aggregate(metadata={"ssd": "true"}), False),
        (raw_aggregate(hosts=["node"]), False),
    ],
)
def test_create_aggregate_again(fake, admin, mark, present, fine):
    fake.on("compute", "POST", "/os-aggregates", nova_error(409, "exists"))
    fake.on("compute", "GET", "/os-aggregates", {"aggregates": [present]})
    fake.on("compute", "POST", "/os-aggregates/1/action", {"aggregate": present})
    if fine:
        assert admin.hosts.create_aggregate("lab", mark).id == "1"
    else:
        with pytest.raises(errors.NameTaken):
            admin.hosts.create_aggregate("lab", mark)
        assert "POST compute/os-aggregates/1/action" not in fake.lines()


def test_projects_come_and_go_by_single_keys(fake, admin):
    fake.on(
        "compute", "POST", "/os-aggregates/1/action", {"aggregate": raw_aggregate()}
    )
    admin.hosts.keep_for("1", ["p1", "p2"])
    assert fake.last().body == {
        "set_metadata": {
            "metadata": {"filter_tenant_id_p1": "p1", "filter_tenant_id_p2": "p2"}
        }
    }
    admin.hosts.keep_no_more("1", ["p1"])
    assert fake.last().body == {
        "set_metadata": {"metadata": {"filter_tenant_id_p1": None}}
    }


def test_add_host(fake, admin):
    fake.on(
        "compute", "POST", "/os-aggregates/1/action", {"aggregate": raw_aggregate()}
    )
    admin.hosts.add_host("1", "node")
    assert fake.last().body == {"add_host": {"host": "node"}}


@pytest.mark.parametrize(("hosts", "fine"), [(["node"], True), ([], False)])
def test_add_host_twice(fake, admin, hosts, fine):
    fake.on("compute", "POST", "/os-aggregates/1/action", nova_error(409, "exists"))
    raw = raw_aggregate(hosts=hosts)
    fake.on("compute", "GET", "/os-aggregates/1", {"aggregate": raw})
    if fine:
        admin.hosts.add_host("1", "node")
    else:
        with pytest.raises(errors.Conflict):
            admin.hosts.add_host("1", "node")


def test_add_host_that_is_unknown(fake, admin):
    fake.on("compute", "POST", "/os-aggregates/1/action", nova_error(404, "no host"))
    with pytest.raises(errors.NotFound):
        admin.hosts.add_host("1", "node")


@pytest.mark.parametrize(
    ("aggregates", "fine"),
    [([], True), ([raw_aggregate()], True), ([raw_aggregate(hosts=["node"])], False)],
)
def test_remove_host_twice(fake, admin, aggregates, fine):
    fake.on("compute", "POST", "/os-aggregates/1/action", nova_error(404, "none"))
    fake.on("compute", "GET", "/os-aggregates", {"aggregates": aggregates})
    if fine:
        admin.hosts.remove_host("1", "node")
    else:
        with pytest.raises(errors.NotFound):
            admin.hosts.remove_host("1", "node")


def test_delete_aggregate(fake, admin):
    fake.on("compute", "DELETE", "/os-aggregates/1", Answer(200))
    assert admin.hosts.delete_aggregate("1") is True
    fake.on("compute", "DELETE", "/os-aggregates/1", nova_error(404, "none"))
    assert admin.hosts.delete_aggregate("1") is False
    fake.on("compute", "DELETE", "/os-aggregates/1", nova_error(400, "not empty"))
    with pytest.raises(errors.Conflict) as caught:
        admin.hosts.delete_aggregate("1")
    assert caught.value.code == "has_hosts"


def test_who_is_no_administrator(fake, cloud):
    fake.on("compute", "GET", "/os-services", nova_error(403, "Policy doesn't allow"))
    with pytest.raises(errors.Forbidden):
        cloud.hosts.services()
