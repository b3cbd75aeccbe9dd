# SPDX-License-Identifier: Apache-2.0
"""Waits for the instances that an instance's provisioner depends on.

Their addresses reach its script as environment variables: ``DATABASE_ADDRESS`` is the
first one of the provisioner ``database``, ``DATABASE_ADDRESSES`` are those of all.
``DATABASE_OUTPUT_PORT`` is what its script has reported as the output ``port``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.provisioner import variable_prefix
from nova_multi.domain.task import TaskStatus
from nova_multi.provision.steps.base import Step, Wait, Work, still_wanted
from nova_multi.provision.store import Record

#: Seconds between looks, if nothing wakes the task before.
_LOOK = 2.0


def is_ready(record: Record) -> bool:
    """Whether an instance's making has ended well."""
    marks = ("creating", "provisioning", "failed", "deleting")
    return bool(record.openstack_id) and not any(map(record.data.get, marks))


def _wait(work: Work) -> None:
    still_wanted(work)
    given: dict[str, str] = {}
    for name, needed in work.payload["needs"].items():
        records = _standing(work, name, needed)
        given |= outputs(name, records[0].data.get("outputs") or {})
        given |= variables(name, [_address(work, name, each) for each in records])
    work.keep(given=given)


def _standing(work: Work, name: str, needed: dict[str, Any]) -> list[Record]:
    """The records of a dependency's instances.

    Of those that this request has made each one has to be there; of others any.

    :raises Wait: one is still being made.
    :raises Conflict: one has failed, or is gone.
    """
    found, missing = [], ""
    for uuid, task_uuid in needed["instances"]:
        # In this order: a record may be dropped by the last thing that its task does.
        failure = _failure(work, task_uuid)
        record = work.find_record(Kind.INSTANCE, uuid)
        if record and is_ready(record):
            found.append(record)
        elif failure:
            missing = f"dependency {name} failed: {failure}"
        elif record is None or record.data.get("deleting"):
            missing = f"dependency {name} is gone: its instance was deleted"
        else:
            told = work.state.get("waits_for", [])
            if uuid not in told:
                line = f"waits for instance {record.name} of {name}, task {task_uuid}"
                work.keep(line, waits_for=[*told, uuid])
            raise Wait(_LOOK)
    if missing and (needed["made"] or not found):
        raise Conflict(missing, code="dependency_failed")
    return found


def _failure(work: Work, task_uuid: str) -> str:
    """What went wrong in an instance's making."""
    try:
        task = work.tools.store.task(task_uuid, log=False)
    except NotFound:
        # It ended so long ago that it is forgotten.
        return ""
    return task.history[-1].message if task.status is TaskStatus.ERROR else ""


def _address(work: Work, name: str, record: Record) -> str:
    """In the environment's own network, which an instance's first port is in."""
    ports = record.data.get("ports") or [""]
    try:
        addresses = work.project().networks.port(ports[0]).addresses
    except NotFound as error:
        raise Conflict(f"dependency {name}: instance {record.name} is gone") from error
    if not addresses:
        raise Conflict(f"dependency {name}: instance {record.name} has no address")
    return min(addresses, key=lambda address: ":" in address)


def variables(name: str, addresses: Sequence[str]) -> dict[str, str]:
    """What a script is told of a dependency.

    :param name: the provisioner's.
    :param addresses: at least one.
    """
    prefix = variable_prefix(name)
    return {
        f"{prefix}_ADDRESS": addresses[0],
        f"{prefix}_ADDRESSES": " ".join(addresses),
    }


def outputs(name: str, reported: Mapping[str, str]) -> dict[str, str]:
    """What a script is told of a dependency's outputs: only ever as data.

    :param name: the provisioner's.
    """
    prefix = variable_prefix(name)
    return {
        f"{prefix}_OUTPUT_{each.upper()}": value
        for each, value in sorted(reported.items())
    }


STEP = Step("dependencies", "instance", _wait)
