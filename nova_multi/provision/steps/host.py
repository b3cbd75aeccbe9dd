# SPDX-License-Identifier: Apache-2.0
"""Hosts that enter and leave partitions, all their hypervisors together."""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.cloud.values import Aggregate
from nova_multi.domain.errors import Conflict, NameTaken
from nova_multi.domain.host import check_addable
from nova_multi.domain.names import Kind
from nova_multi.provision.machines import PARTITION_KEY, Machine, machines
from nova_multi.provision.steps.base import Step, Wait, Work, has_ended
from nova_multi.provision.store import Record
from nova_multi.provision.tools import Tools

#: Kind of the records of machines that just enter a partition.
ENTERING = "entering"
#: Seconds until another task's machine is looked for again.
_LOOK_AGAIN = 0.5


def add(work: Work) -> Sequence[Step]:
    """Put a machine into a partition."""
    return [
        Step("reserve", "host", _reserve, _release),
        Step("check", "host", _check),
        Step("aggregate", "aggregate for host", _aggregate, _delete_aggregate),
        Step("projects", "aggregate for host", _keep_for),
        Step("hosts", "host", _add, _take_out),
        Step("release", "host", _release),
    ]


def remove(work: Work) -> Sequence[Step]:
    """Take a machine out of a partition."""
    return [Step("hosts", "host", _remove)]


def projects_of(tools: Tools, partition: str) -> list[str]:
    """Projects of a partition and its environments."""
    records = [
        tools.store.record(Kind.PARTITION, partition),
        *tools.store.list_records(Kind.ENVIRONMENT, scope=partition),
    ]
    return [record.openstack_id for record in records if record.openstack_id]


def check(tools: Tools, partition: str, machine: Machine) -> None:
    """See that a machine may be put into a partition.

    :raises Conflict: it is in another one, or carries foreign servers.
    """
    names = machines(tools).partition_names()
    own = projects_of(tools, partition)
    foreign: list[str] = []
    if machine.servers:
        cloud = tools.clouds.admin()
        foreign = [
            server.name
            for host in machine.compute_hosts
            for server in cloud.servers.servers(everywhere=True, host=host)
            if server.project_id not in own
        ]
    host = machine.host(names.get(machine.partition, ""))
    check_addable(host, names.get(partition, ""), sorted(foreign))


def _reserve(work: Work) -> None:
    """Keep others from putting the machine into another partition meanwhile.

    Nova takes a host into any number of aggregates. A record with a unique name is the
    lock, until the machine's aggregate tells where it is.

    :raises Wait: another task has it.
    """
    store, now = work.tools.store, work.tools.clock()
    record = Record(
        kind=ENTERING,
        uuid=work.tools.new_uuid(),
        name=work.payload["host"],
        created=now,
        modified=now,
        task_uuid=work.uuid,
    )
    try:
        store.add_record(record)
    except NameTaken as error:
        for other in store.list_records(ENTERING, name=record.name):
            if other.task_uuid == work.uuid:
                return
            if has_ended(work, other.task_uuid):
                store.delete_record(ENTERING, other.uuid)
        raise Wait(_LOOK_AGAIN) from error


def _release(work: Work) -> None:
    store = work.tools.store
    for each in store.list_records(ENTERING, name=work.payload["host"]):
        if each.task_uuid == work.uuid:
            store.delete_record(ENTERING, each.uuid)


def _check(work: Work) -> None:
    machine = machines(work.tools).named(work.payload["host"], age=0)
    check(work.tools, work.payload["partition"], machine)
    # Of hosts that are in it already nothing is to be taken back.
    present = set(machine.aggregate.hosts) if machine.aggregate else set()
    work.keep(hosts=[h for h in machine.compute_hosts if h not in present])


def _of_partition(work: Work) -> Aggregate | None:
    for aggregate in work.tools.clouds.admin().hosts.aggregates():
        if aggregate.metadata.get(PARTITION_KEY) == work.payload["partition"]:
            return aggregate
    return None


def _aggregate(work: Work) -> None:
    found = _of_partition(work)
    if found is None:
        record = work.record(Kind.PARTITION, work.payload["partition"])
        try:
            found = work.tools.clouds.admin().hosts.create_aggregate(
                f"nova-multi-{record.name}",
                work.mark,
                {PARTITION_KEY: record.uuid},
            )
        except NameTaken:
            # Another host enters at the same time.
            found = _of_partition(work)
            if found is None:
                raise
    work.keep(aggregate_id=found.id)


def _delete_aggregate(work: Work) -> None:
    admin = work.tools.clouds.admin()
    for each in admin.find_made(work.uuid, "aggregate"):
        try:
            if admin.hosts.delete_aggregate(each.id):
                work.took_back(f"aggregate {each.name}")
        except Conflict:
            # Another host has come into it.
            continue


def _keep_for(work: Work) -> None:
    work.tools.clouds.admin().hosts.keep_for(
        work.state["aggregate_id"], projects_of(work.tools, work.payload["partition"])
    )


def _add(work: Work) -> None:
    hosts = work.tools.clouds.admin().hosts
    for host in work.state["hosts"]:
        hosts.add_host(work.state["aggregate_id"], host)
    machines(work.tools).forget()


def _take_out(work: Work) -> None:
    hosts = work.tools.clouds.admin().hosts
    for host in work.state["hosts"]:
        hosts.remove_host(work.state["aggregate_id"], host)
    work.took_back(f"host {work.payload['host']}")
    machines(work.tools).forget()


def _remove(work: Work) -> None:
    hosts = work.tools.clouds.admin().hosts
    machine = machines(work.tools).named(work.payload["host"], age=0)
    if machine.aggregate and machine.partition == work.payload["partition"]:
        for host in machine.compute_hosts:
            hosts.remove_host(machine.aggregate.id, host)
    machines(work.tools).forget()
    aggregate = _of_partition(work)
    if aggregate and not aggregate.hosts:
        hosts.delete_aggregate(aggregate.id)
