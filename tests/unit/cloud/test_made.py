# SPDX-License-Identifier: Apache-2.0
"""What a task has made is found by whoever takes it over, in one request."""

from __future__ import annotations

import pytest

from nova_multi.cloud.made import IN_DOMAINS, KINDS
from nova_multi.cloud.values import Made

from .conftest import TASK
from .neutron import SINGULAR, Neutron
from .test_compute import raw_server, serve
from .test_host import raw_aggregate
from .test_image import raw_image
from .test_image import serve as serve_images

MINE = f"nova-multi:task={TASK}"


@pytest.mark.parametrize("collection", SINGULAR)
def test_neutrons(fake, cloud, collection):
    neutron = Neutron(fake)
    kind = SINGULAR[collection].replace("floatingip", "floating_ip")
    more = {"floating_ip_address": "203.0.113.1"} if kind == "floating_ip" else {}
    raw = neutron.add(collection, name="", description=MINE, **more)
    neutron.add(collection, description="nova-multi:task=other")
    (found,) = cloud.find_made(TASK, kind)
    assert (found.kind, found.id) == (kind, raw["id"])
    assert found.name == more.get("floating_ip_address", "")
    assert len(fake.calls) == 1


def test_servers(fake, cloud):
    serve(fake, [raw_server(1), raw_server(2, tags=[]), raw_server(3)])
    found = cloud.find_made(TASK, "server")
    assert [each.id for each in found] == ["server-1", "server-3"]


def test_images(fake, cloud):
    serve_images(fake, [raw_image(1, nova_multi_task=TASK), raw_image(2)])
    assert cloud.find_made(TASK, "image") == (Made("image", "image-1", "debian-1"),)


def test_aggregates(fake, admin):
    raw = [raw_aggregate(1, metadata={"nova_multi_task": TASK}), raw_aggregate(2)]
    fake.on("compute", "GET", "/os-aggregates", {"aggregates": raw})
    assert [each.id for each in admin.find_made(TASK, "aggregate")] == ["1"]


@pytest.mark.parametrize("kind", ["user", "group"])
def test_users_and_groups(fake, manager, kind):
    raw = [
        {"id": "1", "name": "a", "domain_id": "d", "nova_multi_task": TASK},
        {"id": "2", "name": "b", "domain_id": "d", "nova_multi_task": "other"},
        {"id": "3", "name": "c", "domain_id": "d"},
    ]
    fake.on("identity", "GET", f"/{kind}s", {f"{kind}s": raw})
    assert manager.find_made(TASK, kind, "d") == (Made(kind, "1", "a"),)
    assert fake.last().query == {"domain_id": ["d"]}


def test_projects(fake, manager):
    raw = {"id": "p", "name": "dev", "domain_id": "d", "tags": [MINE]}
    fake.on("identity", "GET", "/projects", {"projects": [raw]})
    assert manager.find_made(TASK, "project", "d") == (Made("project", "p", "dev"),)
    assert fake.last().query == {"tags": [MINE], "domain_id": ["d"]}


def test_every_kind_is_tested():
    here = {SINGULAR[each].replace("floatingip", "floating_ip") for each in SINGULAR}
    here |= {"server", "image", "aggregate", "user", "group", "project"}
    assert here == {*KINDS, *IN_DOMAINS}
