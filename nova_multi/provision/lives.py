# SPDX-License-Identifier: Apache-2.0
"""Keeps from when to when servers lived, for reports of usage.

What the service does itself is kept at once. What others do is found out now and then:
a server that is gone without a task of ours, or one from before an upgrade.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Mapping

from nova_multi.cloud.values import Server
from nova_multi.domain.errors import NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.usage import End, Lifetime
from nova_multi.provision import presence
from nova_multi.provision.store import Record
from nova_multi.provision.tools import Tools

LOG = logging.getLogger(__name__)


def begin(tools: Tools, instance: str, server: str) -> None:
    """A server of an instance runs.

    :param instance: UUID of the instance's record.
    """
    try:
        record = tools.store.record(Kind.INSTANCE, instance)
        environment = tools.store.record(Kind.ENVIRONMENT, record.scope)
    except NotFound:
        # Deleted in this very moment.
        return
    now = tools.clock()
    tools.store.lifetimes.begin(_life(record, environment, server, now))


def end(tools: Tools, server: str, why: End) -> None:
    """A server is gone."""
    tools.store.lifetimes.end(server, tools.clock(), why)


def _life(
    record: Record, environment: Record, server: str, began: datetime.datetime
) -> Lifetime:
    data = record.data
    return Lifetime(
        server=server,
        environment=environment.uuid,
        environment_name=environment.name,
        instance=record.uuid,
        name=record.name,
        began=began,
        part=data.get(presence.PART, ""),
        number=data.get(presence.INDEX, 0),
        driver=data.get("driver") or "",
        cpus=data.get("cpus", 0),
        memory_mb=data.get("memory_mb", 0),
        disk_gb=data.get("disk_gb", 0),
    )


def look(tools: Tools) -> None:
    """See what was done by other hands, and what is not known yet."""
    environments = {
        each.uuid: each for each in tools.store.list_records(Kind.ENVIRONMENT)
    }
    records = tools.store.list_records(Kind.INSTANCE)
    _add_unknown(tools, environments, records)
    living = tools.store.lifetimes.living()
    if not living:
        return
    by_server = {each.openstack_id: each for each in records if each.openstack_id}
    there = _servers(tools, environments, living)
    for life in living:
        record = by_server.get(life.server)
        if record is not None and _is_worked_on(tools, record):
            # Its task tells when it is gone, and why.
            continue
        server = there.get(life.server)
        if server is not None and server.status != "DELETED":
            continue
        at = server.updated if server and server.updated else tools.clock()
        tools.store.lifetimes.end(life.server, max(at, life.began), End.GONE)
        LOG.info("server %s (%s) is gone", life.server, life.name)


def _add_unknown(
    tools: Tools, environments: Mapping[str, Record], records: Iterable[Record]
) -> None:
    standing = [
        each
        for each in records
        if each.openstack_id and not each.data.get("creating")
        if each.scope in environments
    ]
    known = tools.store.lifetimes.known(each.openstack_id for each in standing)
    for each in standing:
        if each.openstack_id not in known:
            home = environments[each.scope]
            life = _life(each, home, each.openstack_id, each.created)
            tools.store.lifetimes.begin(life)


def _servers(
    tools: Tools, environments: Mapping[str, Record], living: Iterable[Lifetime]
) -> Mapping[str, Server]:
    """What Nova knows of them, also of those that were deleted."""
    if tools.single:
        servers, projects = tools.clouds.project("").servers, None
    else:
        servers = tools.clouds.admin().servers
        projects = {
            environments[each.environment].openstack_id
            for each in living
            if each.environment in environments
        }
        if not projects:
            return {}
    found = {each.id: each for each in servers.servers(project_ids=projects)}
    began = [each.began for each in living if each.server not in found]
    if began:
        since = min(began)
        gone = servers.servers(project_ids=projects, changed_since=since)
        found = {**{each.id: each for each in gone}, **found}
    return found


def _is_worked_on(tools: Tools, record: Record) -> bool:
    """Whether a task is at making or deleting it."""
    tasks = set(filter(None, (record.data.get("deleting"), record.task_uuid)))
    return bool(tasks - tools.store.ends(tasks).keys())
