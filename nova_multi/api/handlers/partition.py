# SPDX-License-Identifier: Apache-2.0
"""Partitions and the hosts in them."""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.api.handlers.base import Call, Noun, Route
from nova_multi.api.schemas import partition
from nova_multi.api.schemas.base import ScopeQuery
from nova_multi.api.schemas.host import HostAnswer
from nova_multi.domain.host import Host
from nova_multi.provision.service import Accepted


def hosts(call: Call) -> Sequence[Host]:
    """``GET /partitions/{name}/hosts``."""
    return call.service.partitions.hosts(call.caller, call.name)


def add_host(call: Call) -> Accepted | None:
    """``PUT /partitions/{name}/host/{hostname}``."""
    hostname = call.names["hostname"]
    return call.service.partitions.add_host(call.caller, call.name, hostname)


def remove_host(call: Call) -> Accepted | None:
    """``DELETE /partitions/{name}/host/{hostname}``."""
    hostname = call.names["hostname"]
    return call.service.partitions.remove_host(call.caller, call.name, hostname)


ROUTES = [
    *Noun(
        noun="partition",
        plural="partitions",
        collection=lambda service: service.partitions,
        create=partition.PartitionCreate,
        change=partition.PartitionChange,
        answer=partition.PartitionAnswer,
        filters=partition.PartitionQuery,
        query=ScopeQuery,
    ).routes(),
    Route(
        "GET",
        "/partitions/{name}/hosts",
        hosts,
        "List the hosts of a partition",
        "multi:partition:hosts",
        answer=HostAnswer,
        plural="hosts",
    ),
    Route(
        "PUT",
        "/partitions/{name}/host/{hostname}",
        add_host,
        "Put a host into a partition",
        "multi:partition:add_host",
        verb="add_host",
        accepts=True,
    ),
    Route(
        "DELETE",
        "/partitions/{name}/host/{hostname}",
        remove_host,
        "Take a host out of a partition",
        "multi:partition:remove_host",
        verb="remove_host",
        accepts=True,
    ),
]
