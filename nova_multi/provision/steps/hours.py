# SPDX-License-Identifier: Apache-2.0
"""What tasks of working hours do beside applying and destroying.

They see that it is still the time for them, and keep the disks that are to be there
again.

A disk is kept as an image that Nova makes of the stopped server. Until all of them are
whole nothing is destroyed; from then on none of them is taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_multi.domain.errors import Conflict, DomainError, NotFound, Unavailable
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Present
from nova_multi.domain.schedule import Unsaved
from nova_multi.domain.task import TaskStatus
from nova_multi.provision import hours, presence, saved
from nova_multi.provision.steps.base import Step, Wait, Work, made, take_back
from nova_multi.provision.store import Record

_LOOK = 1.0
_LOOK_LISTENING = 5.0
#: Key of the task's state: its time is over.
LATE = "late"
#: States of servers that can be saved, and of images that never will be whole.
_STOPPABLE = ("ACTIVE", "SHUTOFF")
_GONE = ("killed", "deleted", "pending_delete")


# -- whether it is time


def _check_time(work: Work) -> None:
    """See whether it is still to be done, however long the task has waited.

    :raises Conflict: it could not even be begun.
    """
    if "open" not in work.payload:
        return
    record = work.find_record(Kind.ENVIRONMENT)
    schedule = hours.schedule_of(record) if record else None
    if schedule is None or schedule.is_open(work.tools.clock()) != work.payload["open"]:
        over = "over" if work.payload["open"] else "not over any more"
        work.keep(f"its hours are {over}: nothing is done", **{LATE: True})
        return
    if work.payload.get("problem"):
        raise Conflict(str(work.payload["problem"]))


TIME = Step("time", "environment", _check_time)


# -- what is to be kept


def _stop(work: Work) -> None:
    """Stop the servers whose disks are to be kept, so that the guests have written all.

    :raises Wait: one is not off yet.
    """
    work.status(TaskStatus.DELETING)
    if work.state.get(LATE):
        return
    if "disks" not in work.state:
        record = work.record(Kind.ENVIRONMENT)
        work.keep(project_id=record.openstack_id, disks=_found(work, record))
    waits = False
    for disk in list(work.state["disks"]):
        waits |= _saving(work, disk, "stop", _stopped)
    if not waits:
        return
    if work.step_age("stop") > work.tools.settings.build_timeout:
        raise Conflict("its servers take too long to stop", code="timeout")
    raise _again(work)


def _again(work: Work) -> Wait:
    return Wait(_LOOK_LISTENING if work.tools.settings.listening else _LOOK)


def _found(work: Work, environment: Record) -> list[dict[str, Any]]:
    """What there is that is to be kept."""
    parts = hours.saved_parts(environment)
    found = []
    for each in work.tools.store.list_records(Kind.INSTANCE, scope=environment.uuid):
        data = each.data
        if data.get(presence.PART) not in parts:
            continue
        if not each.openstack_id or data.get("creating"):
            work.log(f"{each.name} was never made: there is nothing to save")
            continue
        disk = {
            "part": data[presence.PART],
            "index": data[presence.INDEX],
            "name": each.name,
            "server": each.openstack_id,
            "image": data.get(presence.IMAGE_NAME, ""),
            "driver": data.get("driver"),
            "disk_gb": data.get("disk_gb", 0),
        }
        found.append(disk)
    return found


def _saving(
    work: Work,
    disk: dict[str, Any],
    what: str,
    do: Callable[[Work, dict[str, Any]], bool],
) -> bool:
    """Do something for one disk; where the schedule says so, a failure is no end.

    :param what: for messages.
    :returns: whether it is to be done again.
    :raises Conflict: it can't be done, and nothing is to be destroyed without it.
    """
    try:
        return do(work, disk)
    except Unavailable:
        raise
    except DomainError as error:
        told = f"{disk['name']} can't be saved ({what}): {error.message}"
        record = work.record(Kind.ENVIRONMENT)
        if hours.schedule_of(record).unsaved is Unsaved.KEEP:
            raise Conflict(f"{told}; nothing was destroyed") from error
        if disk.get("image_id"):
            work.project().images.delete(disk["image_id"])
        _leave_out(work, disk, f"{told}; it is destroyed all the same")
        return False


def _leave_out(work: Work, disk: dict[str, Any], why: str) -> None:
    left = [each for each in work.state["disks"] if each is not disk]
    work.keep(why, disks=left)


def _stopped(work: Work, disk: dict[str, Any]) -> bool:
    """Have a server stopped; whether it isn't yet."""
    servers = work.project().servers
    try:
        server = servers.server(disk["server"])
    except NotFound:
        server = None
    if server is None or server.status == "DELETED":
        # What is gone has nothing to lose; what was saved before stays.
        _leave_out(work, disk, f"{disk['name']} is gone: there is nothing to save")
        return False
    if server.task_state:
        return True
    if server.status not in _STOPPABLE:
        raise Conflict(f"its server is in state {server.status}")
    if server.status == "SHUTOFF":
        return False
    if not disk.get("ran"):
        # Before it is stopped: whoever takes over has to know what to start again.
        disk["ran"] = True
        work.save()
    servers.stop(disk["server"])
    return True


def _start_again(work: Work) -> None:
    """So that what was not saved can be used."""
    for disk in work.state.get("disks", ()):
        if disk.get("ran"):
            try:
                work.project().servers.start(disk["server"])
            except NotFound:
                continue
            work.took_back(f"stop of {disk['name']}")


STOP = Step("stop", "instances of environment", _stop, _start_again)


def _image_name(disk: dict[str, Any]) -> str:
    return f"{disk['name']}-snapshot"


def _take(work: Work) -> None:
    for disk in list(work.state.get("disks", ())):
        if not disk.get("image_id"):
            _saving(work, disk, "snapshot", _taken)


def _taken(work: Work, disk: dict[str, Any]) -> bool:
    disk["image_id"] = work.project().servers.snapshot(
        disk["server"], _image_name(disk), work.mark
    )
    work.save()
    return False


def _delete_taken(work: Work) -> None:
    cloud = work.project()
    ids = [
        each["image_id"] for each in work.state.get("disks", ()) if "image_id" in each
    ]
    ids += [each for each in made(work, cloud, "image") if each not in ids]
    take_back(work, "snapshot", ids, cloud.images.delete)


SNAPSHOT = Step("snapshot", "instances of environment", _take, _delete_taken)


def _whole(work: Work) -> None:
    """Wait until all of them are there, and from then on have them.

    :raises Wait: one isn't yet.
    """
    waits = False
    for disk in list(work.state.get("disks", ())):
        waits |= _saving(work, disk, "snapshot", _is_coming)
    if waits:
        raise _again(work)
    disks = work.state.get("disks", ())
    if not disks:
        return
    names = ", ".join(each["name"] for each in disks)
    # From here on they are worth more than what they were made of.
    work.keep(
        "" if work.state.get("kept") else f"saved: {names}",
        kept=f"saved before that: {names}",
    )
    record = work.record(Kind.ENVIRONMENT)
    for disk in disks:
        _keep(work, record, disk)


def _is_coming(work: Work, disk: dict[str, Any]) -> bool:
    try:
        image = work.project().images.image(disk["image_id"])
    except NotFound as error:
        # Nova takes back a snapshot that failed.
        raise Conflict("it failed: its image is gone") from error
    if image.status == "active":
        return False
    if image.status in _GONE:
        raise Conflict(f"it failed: its image is {image.status}")
    if work.step_age("saved") > work.tools.settings.build_timeout:
        raise Conflict("it takes too long", code="timeout")
    return True


def _keep(work: Work, environment: Record, disk: dict[str, Any]) -> None:
    """Put one in the place of the one before it."""
    store, now = work.tools.store, work.tools.clock()
    name = saved.name(disk["part"], disk["index"])
    found = store.list_records(saved.KIND, scope=environment.uuid, name=name)
    data = {key: disk[key] for key in ("part", "index", "image", "driver", "disk_gb")}
    before = found[0].openstack_id if found else ""
    if before == disk["image_id"]:
        return
    if found:
        store.update_record(
            saved.KIND, found[0].uuid, openstack_id=disk["image_id"], data=data
        )
    else:
        store.add_record(
            Record(
                kind=saved.KIND,
                uuid=work.tools.new_uuid(),
                name=name,
                created=now,
                modified=now,
                scope=environment.uuid,
                project_id=environment.openstack_id,
                openstack_id=disk["image_id"],
                data=data,
                task_uuid=work.uuid,
            )
        )
    if before:
        work.project().images.delete(before)


SAVED = Step("saved", "instances of environment", _whole)


# -- outside ports


def keep_ports(work: Work, environment: Record, present: Present) -> None:
    """Remember which outside ports instances have: they are to get them back."""
    ports = {
        saved.name(each.part, each.index): [str(port) for port in each.published]
        for each in present.instances
        if each.part and each.published
    }
    if ports:
        kept = {**environment.data.get(hours.PORTS, {}), **ports}
        merge = {hours.PORTS: kept}
        work.tools.store.update_record(Kind.ENVIRONMENT, environment.uuid, merge=merge)


def ports_as_before(environment: Record, part: str, index: int) -> list[str]:
    """Outside ports that an instance had when it was closed, to be wished for."""
    found = environment.data.get(hours.PORTS, {}).get(saved.name(part, index), ())
    return list(found)


# -- what is not needed any more


def _drop(work: Work) -> None:
    """Delete the disks of what its definition and schedule don't name any more."""
    record = work.find_record(Kind.ENVIRONMENT)
    if record is None or work.state.get(LATE):
        return
    counts = {
        name: int(each.get("count", 1))
        for name, each in (work.payload["definition"].get("instances") or {}).items()
    }
    wanted = {(name, index) for name, n in counts.items() for index in range(n)}
    work.tools.store.lifetimes.want_no_more(
        record.uuid, work.tools.clock(), parts=wanted
    )
    # What was to come back from its disk has, whether a schedule names it or not.
    parts = hours.schedule_of(record).save
    gone = [
        each
        for each in saved.records(work.tools.store, record.uuid)
        if each.data[saved.PART] not in parts
        or (each.data[saved.PART], each.data[saved.INDEX]) not in wanted
    ]
    _forget(work, record, gone)
    _all_back(work, record)


def _drop_all(work: Work) -> None:
    record = work.find_record(Kind.ENVIRONMENT)
    if record is not None:
        work.tools.store.lifetimes.want_no_more(record.uuid, work.tools.clock())
        _forget(work, record, saved.records(work.tools.store, record.uuid))
        _all_back(work, record)


def _all_back(work: Work, environment: Record) -> None:
    """Nothing is to come back any more."""
    left = environment.data.get(hours.CLOSED_SAVE)
    if left:
        work.tools.store.update_record(
            Kind.ENVIRONMENT, environment.uuid, merge={hours.CLOSED_SAVE: None}
        )


def _forget(work: Work, environment: Record, gone: list[Record]) -> None:
    names = ", ".join(each.name for each in gone)
    if gone:
        saved.forget(work.tools, environment, gone)
        work.log(f"saved disks were deleted: {names}")


DROP = Step("saved disks", "environment", _drop)
DROP_ALL = Step("saved disks", "environment", _drop_all)
