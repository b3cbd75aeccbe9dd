# SPDX-License-Identifier: Apache-2.0
"""Waits for the instances that an instance's provisioner depends on.

Their addresses reach its script as environment variables: ``DATABASE_ADDRESS`` is the
first one of the provisioner ``database``, ``DATABASE_ADDRESSES`` are those of all its
instances.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.task import Task, TaskStatus
from nova_multi.provision.steps.base import Step, Wait, Work
from nova_multi.provision.store import Record

#: Seconds between looks, if nothing wakes the task before.
_LOOK = 2.0


def _wait(work: Work) -> None:
    given: dict[str, str] = {}
    for name, needed in work.payload["needs"].items():
        records = [_standing(work, name, *each) for each in needed]
        given |= variables(name, [_address(work, name, each) for each in records])
    work.keep(given=given)


def _standing(work: Work, name: str, uuid: str, task_uuid: str) -> Record:
    """The record of an instance whose making has ended well.

    :raises Wait: it goes on.
    :raises Conflict: it has not ended well, or the instance is gone.
    """
    # In this order: a record may be dropped by the last thing that its task does.
    task = _task(work, task_uuid)
    record = work.find_record(Kind.INSTANCE, uuid)
    if task and task.status is TaskStatus.ERROR:
        raise Conflict(f"dependency {name} failed: {task.history[-1].message}")
    if record is None or record.data.get("deleting"):
        raise Conflict(f"dependency {name} is gone: its instance was deleted")
    if task is None or task.is_final:
        return record
    told = work.state.get("waits_for", [])
    if uuid not in told:
        line = f"waits for instance {record.name} of {name}, task {task_uuid}"
        work.keep(line, waits_for=[*told, uuid])
    raise Wait(_LOOK)


def _task(work: Work, uuid: str) -> Task | None:
    try:
        return work.tools.store.task(uuid)
    except NotFound:
        # It ended so long ago that it is forgotten.
        return None


def _address(work: Work, name: str, record: Record) -> str:
    try:
        server = work.project().servers.server(record.openstack_id)
    except NotFound as error:
        raise Conflict(f"dependency {name}: instance {record.name} is gone") from error
    own = [each.address for each in server.addresses if not each.floating]
    if not own:
        raise Conflict(f"dependency {name}: instance {record.name} has no address")
    return own[0]


def variables(name: str, addresses: Sequence[str]) -> dict[str, str]:
    """What a script is told of a dependency.

    :param name: the provisioner's; in the names of variables with capitals, and ``_``
        for whatever a shell does not take.
    :param addresses: at least one.
    """
    prefix = re.sub(r"[^A-Z0-9]", "_", name.upper())
    prefix = f"_{prefix}" if prefix[0].isdigit() else prefix
    return {
        f"{prefix}_ADDRESS": addresses[0],
        f"{prefix}_ADDRESSES": " ".join(addresses),
    }


STEP = Step("dependencies", "instance", _wait)
