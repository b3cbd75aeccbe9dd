# SPDX-License-Identifier: Apache-2.0
"""What runs servers: compute services, hypervisors, and their aggregates.

For administrators. A machine with several hypervisors has a service for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from openstack import exceptions as sdk
from openstack.compute.v2 import service as _service

from nova_multi.cloud import marks, times
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import translated
from nova_multi.cloud.values import Aggregate, ComputeService, Hypervisor
from nova_multi.domain import errors

#: Keys of an aggregate's metadata that begin so name projects that its hosts are kept
#: for, both to AggregateMultiTenancyIsolation and to the request for allocations.
TENANT_KEY = "filter_tenant_id"
#: From 2.88 on the answer has each host's uptime, and Nova asks every compute for it.
_HYPERVISOR_VERSION = "2.87"
#: From here on an aggregate tells its UUID, by which Placement knows it.
_AGGREGATE_VERSION = "2.41"


class Hosts:
    """Services, hypervisors and aggregates of the cloud.

    :param connection: an administrator's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def services(self) -> tuple[ComputeService, ...]:
        """Every nova-compute, in one request."""
        with translated("list the compute services"):
            found = self._connection.compute.services(binary="nova-compute")
            return tuple(_service_value(service) for service in found)

    def enable(self, service_id: str) -> None:
        """Let Nova put servers on a host again.

        :raises NotFound: there is no such service.
        """
        self._set_status(service_id, {"status": "enabled"})

    def disable(self, service_id: str, reason: str) -> None:
        """Keep new servers off a host; those that are there stay.

        :raises NotFound: there is no such service.
        """
        self._set_status(
            service_id, {"status": "disabled", "disabled_reason": reason[:255]}
        )

    def _set_status(self, service_id: str, changes: dict[str, str]) -> None:
        with translated(f"change compute service {service_id}"):
            self._connection.compute.update_service(service_id, **changes)

    def hypervisors(self, *, with_servers: bool = False) -> tuple[Hypervisor, ...]:
        """Every hypervisor, and on request the servers on each; in one request."""
        query = {"with_servers": "true"} if with_servers else {}
        with translated("list the hypervisors"):
            found: list[Hypervisor] = []
            while True:
                response = self._connection.compute.get(
                    "/os-hypervisors/detail",
                    params=query,
                    microversion=_HYPERVISOR_VERSION,
                )
                sdk.raise_from_response(response)
                body = response.json()
                found += map(_hypervisor_value, body["hypervisors"])
                if not body.get("hypervisors_links") or not body["hypervisors"]:
                    return tuple(found)
                query = {**query, "marker": body["hypervisors"][-1]["id"]}

    def aggregates(self) -> tuple[Aggregate, ...]:
        """Every aggregate, in one request."""
        with translated("list the aggregates"):
            found = self._aggregates("GET", "")["aggregates"]
            return tuple(map(_aggregate_value, found))

    def create_aggregate(
        self, name: str, mark: marks.Mark, metadata: Mapping[str, str] | None = None
    ) -> Aggregate:
        """Make an aggregate without hosts; one that the task made before is it.

        :raises NameTaken: another one has that name.
        """
        try:
            with translated(f"make aggregate {name}", conflict=errors.NameTaken):
                made = _aggregate_value(
                    self._aggregates("POST", "", {"aggregate": {"name": name}})[
                        "aggregate"
                    ]
                )
        except errors.NameTaken:
            made = self._made_before(name, mark.task)
        return self.set_metadata(
            made.id, {**(metadata or {}), marks.TASK_KEY: mark.task}
        )

    def _made_before(self, name: str, task: str) -> Aggregate:
        for found in self.aggregates():
            # Nova takes the mark in a second request, which may not have come about: a
            # bare one may as well be ours.
            bare = not found.hosts and not found.metadata
            if found.name == name and (
                bare or found.metadata.get(marks.TASK_KEY) == task
            ):
                return found
        raise errors.NameTaken(f"there is another aggregate called {name}")

    def delete_aggregate(self, aggregate_id: str) -> bool:
        """Delete an aggregate; its hosts have to be out.

        :returns: False if there is none any more.
        :raises Conflict: it still has hosts.
        """
        with translated(f"delete aggregate {aggregate_id}"):
            try:
                self._connection.compute.delete_aggregate(
                    aggregate_id, ignore_missing=False
                )
            except sdk.NotFoundException:
                return False
            except sdk.BadRequestException as error:
                raise errors.Conflict(
                    f"aggregate {aggregate_id} still has hosts", code="has_hosts"
                ) from error
        return True

    def add_host(self, aggregate_id: str, host: str) -> None:
        """Put a compute host into an aggregate; one that is in it stays.

        :raises NotFound: there is no such aggregate, or no such host.
        :raises Conflict: its availability zone is another one.
        """
        try:
            with translated(f"put host {host} into aggregate {aggregate_id}"):
                self._act(aggregate_id, "add_host", {"host": host})
        except errors.Conflict:
            if host not in self._aggregate(aggregate_id).hosts:
                raise

    def remove_host(self, aggregate_id: str, host: str) -> None:
        """Take a compute host out of an aggregate; one that isn't in it stays out."""
        try:
            with translated(f"take host {host} out of aggregate {aggregate_id}"):
                self._act(aggregate_id, "remove_host", {"host": host})
        except errors.NotFound:
            found = [each for each in self.aggregates() if each.id == aggregate_id]
            if found and host in found[0].hosts:
                raise

    def set_metadata(
        self, aggregate_id: str, metadata: Mapping[str, str | None]
    ) -> Aggregate:
        """Change single keys of an aggregate; None takes one away."""
        with translated(f"change aggregate {aggregate_id}"):
            return self._act(aggregate_id, "set_metadata", {"metadata": dict(metadata)})

    def keep_for(self, aggregate_id: str, project_ids: Iterable[str]) -> Aggregate:
        """Let servers of these projects onto the hosts, too.

        From the first project on, those of all others are kept off. One key each, so
        that two requests at once don't undo each other.
        """
        return self.set_metadata(
            aggregate_id, {tenant_key(project): project for project in project_ids}
        )

    def keep_no_more(self, aggregate_id: str, project_ids: Iterable[str]) -> Aggregate:
        """Let no more servers of these projects onto the hosts."""
        return self.set_metadata(
            aggregate_id, {tenant_key(project): None for project in project_ids}
        )

    def _aggregate(self, aggregate_id: str) -> Aggregate:
        with translated(f"show aggregate {aggregate_id}"):
            found = self._aggregates("GET", f"/{aggregate_id}")
            return _aggregate_value(found["aggregate"])

    def _act(self, aggregate_id: str, action: str, arguments: Any) -> Aggregate:
        path = f"/{aggregate_id}/action"
        found = self._aggregates("POST", path, {action: arguments})
        return _aggregate_value(found["aggregate"])

    def _aggregates(self, method: str, path: str, body: Any = None) -> Any:
        # openstacksdk asks for actions in a version whose answer lacks the UUID.
        response = self._connection.compute.request(
            f"/os-aggregates{path}",
            method,
            json=body,
            microversion=_AGGREGATE_VERSION,
        )
        sdk.raise_from_response(response)
        return response.json()


def tenant_key(project_id: str) -> str:
    """The key of an aggregate's metadata that lets a project in."""
    return f"{TENANT_KEY}_{project_id}"


def kept_for(aggregate: Aggregate) -> frozenset[str]:
    """Projects that an aggregate's hosts are kept for; empty for all."""
    return frozenset(
        value for key, value in aggregate.metadata.items() if key.startswith(TENANT_KEY)
    )


def _service_value(service: _service.Service) -> ComputeService:
    return ComputeService(
        id=str(service.id),
        host=service.host,
        zone=service.availability_zone or "",
        enabled=service.status == "enabled",
        up=service.state == "up" and not service.is_forced_down,
        disabled_reason=service.disabled_reason,
        updated=times.read(service.updated_at),
    )


def _hypervisor_value(raw: Mapping[str, Any]) -> Hypervisor:
    return Hypervisor(
        id=str(raw["id"]),
        name=raw["hypervisor_hostname"],
        host=raw.get("service", {}).get("host", ""),
        type=raw.get("hypervisor_type") or "",
        up=raw.get("state") == "up",
        enabled=raw.get("status") == "enabled",
        address=raw.get("host_ip") or "",
        servers=tuple(each["uuid"] for each in raw.get("servers", ())),
    )


def _aggregate_value(raw: Mapping[str, Any]) -> Aggregate:
    return Aggregate(
        id=str(raw["id"]),
        uuid=raw["uuid"],
        name=raw["name"],
        hosts=tuple(raw.get("hosts") or ()),
        metadata=dict(raw.get("metadata") or {}),
    )
