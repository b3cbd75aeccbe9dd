# SPDX-License-Identifier: Apache-2.0
"""Partitions: a project, and with the first host an aggregate."""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.provision import contents
from nova_multi.provision.machines import PARTITION_KEY, machines
from nova_multi.provision.steps.base import Step, Work
from nova_multi.provision.steps.environment import (
    delete_project,
    join,
    make_project,
)


def create(work: Work) -> Sequence[Step]:
    """Make a partition."""
    own = [] if work.tools.single else [PROJECT]
    return [NAME, *own, READY]


def delete(work: Work) -> Sequence[Step]:
    """Delete a partition; it must be empty."""
    own = (
        []
        if work.tools.single
        else [
            Step("hosts", "hosts of partition", _release_hosts),
            Step("project", "project", _delete_project),
        ]
    )
    return [
        Step("empty", "partition", _check_empty, _usable),
        *own,
        Step("name", "partition", _forget),
    ]


def _nothing(work: Work) -> None:
    return


def _free_name(work: Work) -> None:
    if work.tools.store.delete_record(Kind.PARTITION, work.payload["record"]):
        work.took_back(f"name {work.name}")


NAME = Step("name", "partition", _nothing, _free_name)


def _project(work: Work) -> None:
    project_id = make_project(work, None, work.payload.get("description", ""))
    work.keep(project_id=project_id)
    join(work, project_id)
    work.tools.store.update_record(
        Kind.PARTITION,
        work.payload["record"],
        openstack_id=project_id,
        project_id=project_id,
    )
    work.tools.store.set_object(work.uuid, project_id, work.fencing)


PROJECT = Step("project", "project", _project, delete_project)


def _ready(work: Work) -> None:
    work.tools.store.update_record(
        Kind.PARTITION, work.payload["record"], merge={"state": "ready"}
    )


READY = Step("ready", "partition", _ready)


def _check_empty(work: Work) -> None:
    work.status(TaskStatus.DELETING)
    record = work.find_record(Kind.PARTITION)
    if record is None:
        return
    contents.check_empty(work.tools.store, record)
    project_id = contents.standing_project(work.tools, record.openstack_id)
    work.keep(project_id=project_id or None)
    contents.check_project_empty(work.tools, project_id)


def _usable(work: Work) -> None:
    if work.find_record(Kind.PARTITION):
        begun = "hosts" in work.begun
        state = "error" if begun else work.payload.get("state", "ready")
        work.tools.store.update_record(
            Kind.PARTITION, work.payload["record"], merge={"state": state}
        )


def _release_hosts(work: Work) -> None:
    hosts = work.tools.clouds.admin().hosts
    for aggregate in hosts.aggregates():
        if aggregate.metadata.get(PARTITION_KEY) == work.payload["record"]:
            for host in aggregate.hosts:
                hosts.remove_host(aggregate.id, host)
            hosts.delete_aggregate(aggregate.id)
    machines(work.tools).forget()


def _delete_project(work: Work) -> None:
    project_id = work.state.get("project_id")
    if project_id:
        work.tools.clouds.manager().identity.delete_project(project_id)
        work.tools.clouds.forget(project_id)


def _forget(work: Work) -> None:
    work.tools.store.delete_record(Kind.PARTITION, work.payload["record"])
