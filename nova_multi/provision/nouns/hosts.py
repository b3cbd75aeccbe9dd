# SPDX-License-Identifier: Apache-2.0
"""Machines: what they have, and whether they are used."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from nova_multi.cloud.values import ComputeService
from nova_multi.domain.errors import DomainError, NotFound, Unsupported
from nova_multi.domain.host import Host
from nova_multi.domain.names import Kind
from nova_multi.provision.machines import Machine, machines, type_of
from nova_multi.provision.nouns.base import Noun, attributes, page
from nova_multi.provision.nouns.partitions import Partitions
from nova_multi.provision.service import Accepted, Caller, Fields, Page, Query, Scope
from nova_multi.provision.steps import host as host_steps
from nova_multi.provision.store import Record

_FILTERS = {
    **attributes("name", "os", "type", "enabled", "state", "partition"),
    "driver": lambda host: host.drivers,
}
#: What OpenStack has no home for.
_WRITTEN_DOWN = (
    "os",
    "memory_mb",
    "capacity_mb",
    "local_ipv4",
    "local_ipv6",
    "public_ipv4",
    "public_ipv6",
)
_REASON = "disabled through nova-multi"


class Hosts(Noun):
    """See :class:`nova_multi.provision.service.Service.hosts`."""

    def list(self, caller: Caller, query: Query) -> Page[Host]:
        """Every machine."""
        found = machines(self._tools).hosts()
        return page(found, query, lambda host: host.name, _FILTERS)

    def show(self, caller: Caller, name: str, scope: Scope) -> Host:
        """One of them."""
        for host in machines(self._tools).hosts():
            if name in (host.name, host.uuid):
                return host
        raise NotFound(f"there is no host {name}", field="host")

    def create(self, caller: Caller, fields: Fields, scope: Scope) -> Host | Accepted:
        """Write down what is known of a machine that runs nova-compute already."""
        name = fields["name"]
        if all(each.name != name for each in machines(self._tools).all(age=0)):
            raise Unsupported(
                f"{name} runs no nova-compute: a machine is made a host by deploying"
                " the compute services on it"
            )
        return self.change(caller, name, fields, scope)

    def change(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Host | Accepted:
        """Enable, disable, give it a type; note the rest. A partition takes a task."""
        host = self.show(caller, name, scope)
        machine = machines(self._tools).named(host.name)
        if "drivers" in fields and set(fields["drivers"] or ()) != set(
            machine.services
        ):
            raise Unsupported(
                f"host {host.name} has {', '.join(machine.services)}; drivers come and"
                " go by deploying them",
                field="drivers",
            )
        partition = fields.get("partition")
        enters = bool(partition) and partition != host.partition
        if enters:
            # All that could be refused is refused before anything is changed.
            wanted = self._find.partition(caller, str(partition))
            host_steps.check(self._tools, wanted.uuid, machine)
        with self._nova_put_back(machine, fields):
            self._in_nova(machine, fields)
            record = self._written_down(caller, host, fields)
        self._audit(caller, "update", record)
        accepted = None
        if enters:
            accepted = Partitions(self._tools).add_host(
                caller, str(partition), host.name
            )
        return accepted or self.show(caller, host.name, scope)

    def delete(self, caller: Caller, name: str, scope: Scope) -> Accepted | None:
        """Not ours: what makes a machine a host is deployed."""
        self.show(caller, name, scope)
        raise Unsupported(
            "a machine is a host as long as its compute services are deployed; disable"
            " it to keep new instances off"
        )

    def _written_down(self, caller: Caller, host: Host, fields: Fields) -> Record:
        data: dict[str, Any] = {k: fields[k] for k in _WRITTEN_DOWN if k in fields}
        found = self._store.list_records(Kind.HOST, name=host.name)
        if not found:
            record = self._new(Kind.HOST, host.name, caller, data=data)
            return self._keep(dataclasses.replace(record, uuid=host.uuid))
        return self._store.update_record(Kind.HOST, found[0].uuid, merge=data)

    def _in_nova(self, machine: Machine, fields: Fields) -> None:
        if fields.get("enabled") is not None:
            for service in machine.services.values():
                if service.enabled != fields["enabled"]:
                    self._switch(service, fields["enabled"])
        if fields.get("type"):
            placement = self._tools.clouds.admin().placement
            for provider in machine.providers.values():
                placement.set_host_type(provider.id, fields["type"])

    def _switch(self, service: ComputeService, enabled: bool) -> None:
        hosts = self._tools.clouds.admin().hosts
        if enabled:
            hosts.enable(service.id)
        else:
            hosts.disable(service.id, _REASON)

    @contextlib.contextmanager
    def _nova_put_back(self, before: Machine, fields: Fields) -> Iterator[None]:
        """Make a machine what it was in Nova, if not all of it could be changed.

        :param fields: what is changed.
        """
        machines(self._tools).forget()
        try:
            yield
        except DomainError:
            wanted = fields.get("enabled")
            for service in before.services.values():
                with contextlib.suppress(DomainError):
                    if wanted is not None and service.enabled != wanted:
                        self._switch(service, service.enabled)
            placement = self._tools.clouds.admin().placement
            for provider in before.providers.values() if fields.get("type") else ():
                with contextlib.suppress(DomainError):
                    placement.set_host_type(provider.id, type_of([provider]))
            raise
        finally:
            machines(self._tools).forget()
