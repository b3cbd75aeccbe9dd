# SPDX-License-Identifier: Apache-2.0
"""The provisioning layer's requests against the real Nova API and Placement."""

from __future__ import annotations

import uuid
from typing import Any

import openstack.connection
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint
from nova.tests.functional import integrated_helpers
from openstack.placement.v1 import _proxy as placement_proxy

from nova_multi.cloud.clouds import Cloud
from nova_multi.cloud.marks import Mark, tag
from nova_multi.cloud.values import Needs, NewServer
from nova_multi.domain import errors
from nova_multi.domain.driver import Driver
from nova_multi.domain.host import HostType
from tests.fixtures.nova_case import NovaCase
from tests.functional.base import _api_paste

TYPE = HostType.STORAGE_OPTIMIZED


class CloudLayerTest(NovaCase, integrated_helpers.ProviderUsageBaseTestCase):
    """Two computes of Nova's own fake driver."""

    compute_driver = "fake.MediumFakeDriver"

    def setUp(self) -> None:
        self.flags(api_paste_config=_api_paste(), group="wsgi")
        super().setUp()
        for host in ("node1", "node2"):
            self._start_compute(host)
        self.cloud = self._cloud()
        self.mark = Mark(str(uuid.uuid4()), environment=str(uuid.uuid4()))

    def _cloud(self) -> Cloud:
        session: Any = ks_session.Session(
            auth=token_endpoint.Token("http://unused", "admin"),
            additional_headers={
                "X-Auth-User": self.api.auth_user,
                "X-User-Id": self.api.auth_user,
                "X-Auth-Project-Id": self.api.project_id,
                "X-Roles": "admin,member,reader",
            },
        )
        connection = openstack.connection.Connection(
            session=session,
            compute_endpoint_override=self.api.base_url,
            compute_api_version="2",
        )
        # Nova's tests have openstacksdk make something else of this service.
        connection._proxies["placement"] = placement_proxy.Proxy(
            session=session,
            service_type="placement",
            endpoint_override=self.placement.fixture.endpoint,
        )
        return Cloud(connection)

    def _flavor(self, **more: Any) -> Any:
        return self.cloud.flavors.find_or_make(1, 64, 1, **more)

    def _new(self, name: str, **more: Any) -> NewServer:
        image = "155d900f-4e14-4e4c-a73d-069cbf4541e6"
        network = self.neutron.network_1["id"]
        more = {"flavor_id": self._flavor().id, "networks": (network,), **more}
        return NewServer(name=name, image_id=image, **more)

    def test_flavors(self) -> None:
        made = self._flavor(host_type=TYPE, driver=Driver.DOCKER)
        assert made.id == "nm-c1-m64-d1-docker-storage-optimized"
        assert self._flavor(host_type=TYPE, driver=Driver.DOCKER) == made
        assert made.extra_specs == {
            f"trait:{TYPE.trait}": "required",
            "trait:CUSTOM_HYPERVISOR_DOCKER": "required",
        }
        assert self._flavor().id == "nm-c1-m64-d1"
        names = [flavor.name for flavor in self.cloud.flavors.flavors()]
        assert len(names) == len(set(names))
        # As another that looked before it was made.
        assert self.cloud.flavors._make("nm-c1-m64-d1", (1, 64, 1)).id == "nm-c1-m64-d1"
        assert self.cloud.flavors.find_fitting(1, 64, 1).memory_mb == 64
        assert self.cloud.flavors.delete("nm-c1-m64-d1") is True
        assert self.cloud.flavors.delete("nm-c1-m64-d1") is False

    def test_servers(self) -> None:
        servers = self.cloud.servers
        new = self._new("web.1", user_data=b"#!/bin/sh\n", metadata={"a": "b"})
        server_id = servers.create(new, self.mark)
        assert servers.create(new, self.mark, again=True) == server_id
        self._wait_for_server_parameter({"id": server_id}, {"status": "ACTIVE"})

        environment = tag("environment", self.mark.environment or "")
        (found,) = servers.servers(tags=[environment], name="web.1")
        assert (found.id, found.status) == (server_id, "ACTIVE")
        assert (found.flavor.cpus, found.flavor.memory_mb) == (1, 64)
        assert found.flavor.name == "nm-c1-m64-d1"
        assert found.host in ("node1", "node2")
        assert found.addresses
        assert set(found.tags) == set(self.mark.tags)
        assert found.metadata == {"a": "b"}
        assert servers.server(server_id) == found
        assert [m.id for m in self.cloud.find_made(self.mark.task, "server")] == [
            server_id
        ]
        everywhere = servers.servers(project_ids=[found.project_id], limit=5)
        assert [each.id for each in everywhere] == [server_id]
        since = servers.servers(changed_since=found.created, host=found.host)
        assert [each.id for each in since] == [server_id]

        (create,) = servers.actions(server_id)
        assert (create.name, create.message) == ("create", None)
        assert servers.action(server_id, create.request_id).events
        for verb, status in (("stop", "SHUTOFF"), ("start", "ACTIVE")):
            getattr(servers, verb)(server_id)
            self._wait_for_server_parameter({"id": server_id}, {"status": status})
            getattr(servers, verb)(server_id)
        servers.reboot(server_id)
        servers.set_tags(server_id, [*self.mark.tags, "more"])
        servers.rename(server_id, name="new", description="words")
        assert servers.server(server_id).name == "new"
        assert servers.console_log(server_id)
        limits = {"instances": 1, "cpus": None, "memory_mb": 4096}
        servers.set_limits(found.project_id, **limits)
        self.assertRaises(errors.Forbidden, servers.create, self._new("x"), self.mark)
        assert servers.delete(server_id) is True
        self._wait_until_deleted({"id": server_id, "status": "ACTIVE"})
        assert servers.delete(server_id) is False
        self.assertRaises(errors.NotFound, servers.server, server_id)

    def test_a_named_host(self) -> None:
        for host in ("node2", "node1"):
            server = self.cloud.servers.create(self._new(host, host=host), self.mark)
            self._wait_for_server_parameter({"id": server}, {"status": "ACTIVE"})
            assert self.cloud.servers.server(server).host == host
        hypervisors = self.cloud.hosts.hypervisors(with_servers=True)
        servers = {each.id: each.host for each in self.cloud.servers.servers()}
        for each in hypervisors:
            assert [servers[server] for server in each.servers] == [each.host]

    def test_hosts_and_places(self) -> None:
        hosts, placement = self.cloud.hosts, self.cloud.placement
        services = {service.host: service for service in hosts.services()}
        assert set(services) == {"node1", "node2"}
        assert all(service.enabled and service.up for service in services.values())
        ids = {each.host: each.id for each in hosts.hypervisors()}
        assert {provider.id for provider in placement.providers()} == set(ids.values())

        made = hosts.create_aggregate("lab", self.mark, {"a": "b"})
        assert hosts.create_aggregate("lab", self.mark).id == made.id
        self.assertRaises(
            errors.NameTaken, hosts.create_aggregate, "lab", Mark("another")
        )
        for _ in range(2):
            hosts.add_host(made.id, "node1")
        self.assertRaises(errors.NotFound, hosts.add_host, made.id, "nowhere")
        hosts.keep_for(made.id, ["p1", "p2"])
        kept = hosts.keep_no_more(made.id, ["p1"])
        assert kept.metadata["filter_tenant_id_p2"] == "p2"
        assert "filter_tenant_id_p1" not in kept.metadata
        (found,) = self.cloud.find_made(self.mark.task, "aggregate")
        assert found.id == made.id

        def missing(**more: Any) -> tuple[str, ...]:
            return placement.missing(Needs(**{"cpus": 1, "memory_mb": 64, **more}))

        inside = frozenset({made.uuid})
        assert missing() == missing(aggregates=inside) == ()
        assert missing(aggregates=inside, node=ids["node2"]) == ("node",)
        assert missing(outside=inside, node=ids["node2"]) == ()
        assert missing(memory_mb=10**7) == ("memory",)
        assert missing(driver=Driver.LIBVIRT) == ()
        assert missing(driver=Driver.DOCKER) == ("driver",)
        assert missing(host_type=TYPE) == ("type",)
        placement.set_host_type(ids["node1"], TYPE)
        assert missing(host_type=TYPE, aggregates=inside) == ()
        assert missing(host_type=TYPE, node=ids["node2"]) == ("node",)
        hosts.disable(services["node1"].id, "repair")
        assert missing(host_type=TYPE) == ("enabled",)
        hosts.enable(services["node1"].id)
        assert missing(host_type=TYPE) == ()
        placement.set_host_type(ids["node1"], None)
        assert not placement.has_allocations(ids["node1"])

        self.assertRaises(errors.Conflict, hosts.delete_aggregate, made.id)
        for _ in range(2):
            hosts.remove_host(made.id, "node1")
        assert hosts.delete_aggregate(made.id) is True
        assert hosts.delete_aggregate(made.id) is False
