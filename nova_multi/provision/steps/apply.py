# SPDX-License-Identifier: Apache-2.0
"""Making an environment as its definition says, and taking it away again.

What is to be done is decided once, when the task has its turn, and kept. Each change is
a task of its own, which takes back what it has half-made; this one only begins them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from nova_multi import spec
from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Action, Plan, PlanStep
from nova_multi.domain.task import TaskStatus
from nova_multi.provision import (
    definitions,
    planner,
    presence,
    publishing,
    secret_inputs,
)
from nova_multi.provision.nouns.lookup import Lookup
from nova_multi.provision.service import Caller
from nova_multi.provision.steps import hours, subtasks
from nova_multi.provision.steps.base import Step, Wait, Work, has_ended
from nova_multi.provision.steps.scheduling import Schedule
from nova_multi.provision.store import Record

#: Seconds between looks, if nothing wakes the task before.
_LOOK = 2.0
#: Steps of a plan that are told one by one in the task's log.
_TOLD = 1000
#: Steps that the message of an error names; the others are counted.
_NAMED = 5
_SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "-/+",
    Action.DELETE: "-",
}


def apply(work: Work) -> Sequence[Step]:
    """Make an environment as its definition says."""
    return [
        TURN,
        hours.TIME,
        Step("plan", "environment", _plan),
        Step("run", "environment", _run),
        hours.DROP,
    ]


def destroy(work: Work) -> Sequence[Step]:
    """Delete all that definitions have made in an environment."""
    return [
        TURN,
        Step("plan", "environment", _plan_destroy),
        # Images are in the project, which may go with the last step of the plan.
        hours.DROP_ALL,
        Step("run", "environment", _run),
        Step("forget", "definition of environment", _forget),
    ]


def close(work: Work) -> Sequence[Step]:
    """Delete what definitions have made until its hours begin again.

    What is to be the same then stays: network, publishing address, generated values,
    and the disks that are saved.
    """
    return [
        TURN,
        hours.TIME,
        hours.STOP,
        hours.SNAPSHOT,
        hours.SAVED,
        Step("plan", "environment", _plan_close),
        Step("run", "environment", _run),
    ]


# -- one after the other


def _wait_for_turn(work: Work) -> None:
    """Until all who were accepted before have ended."""
    record = work.find_record(Kind.ENVIRONMENT)
    queue = record.data.get(definitions.QUEUE, []) if record else []
    before = queue[: queue.index(work.uuid)] if work.uuid in queue else []
    for uuid in before:
        if not has_ended(work, uuid):
            if "waits_for" not in work.state:
                work.keep(f"waits for task {uuid}", waits_for=uuid)
            raise Wait(_LOOK)


TURN = Step("turn", "environment", _wait_for_turn)


# -- what is to be done


def _plan(work: Work) -> None:
    if work.state.get(hours.LATE):
        _keep(work, Plan(work.name, ""))
        return
    record = _environment(work)
    present = presence.read(work.tools, record)
    facts = definitions.facts_of(work.payload["facts"])
    secrets = secret_inputs.read(work.tools.store, work.tools.seal, record.uuid)
    ways = work.tools.settings.ways
    facts = dataclasses.replace(facts, room=secrets.room, ways=ways)
    # Its schedule counts since it was accepted, and may have been changed since then.
    definition = spec.load_dict(work.payload["definition"])
    definition = dataclasses.replace(definition, schedule=None)
    found = planner.plan(definition, present, facts)
    _check_rights(work, record, found)
    _keep(work, found)


def _plan_destroy(work: Work) -> None:
    work.status(TaskStatus.DELETING)
    record = work.find_record(Kind.ENVIRONMENT)
    present = presence.read(work.tools, record)
    name = record.name if record else work.name
    found = planner.plan_destroy(name, "", present)
    if record:
        _check_rights(work, record, found)
    _keep(work, found)


def _plan_close(work: Work) -> None:
    record = work.find_record(Kind.ENVIRONMENT)
    if work.state.get(hours.LATE) or record is None:
        _keep(work, Plan(work.name, ""))
        return
    present = presence.read(work.tools, record)
    found = planner.plan_destroy(record.name, "", present, stays=True)
    hours.keep_ports(work, record, present)
    _keep(work, found, "its hours are over")


def _check_rights(work: Work, environment: Record, found: Plan) -> None:
    """See that who has asked may change what is to be changed.

    Others were at it since then: it may be more than there was.

    :raises Forbidden: an instance is not left to them.
    """
    asker = Caller(
        work.task.user_id,
        work.task.project_id,
        # Tasks from before an upgrade don't tell.
        admin=work.payload.get("admin", True),
    )
    Lookup(work.tools).check_instances(asker, environment, found.changed)


def _environment(work: Work) -> Record:
    record = work.find_record(Kind.ENVIRONMENT)
    if record is None:
        why = subtasks.why(work, work.payload["environment_task"])
        raise Conflict(why or "it was deleted meanwhile", code="deleted")
    return record


def _keep(work: Work, found: Plan, why: str = "") -> None:
    """Keep what is to be done.

    :param why: for the log, in place of each step's own reason.
    """
    lines = [_line(step, why) for step in found.steps[:_TOLD]]
    if len(found.steps) > _TOLD:
        lines.append(f"and {len(found.steps) - _TOLD} more")
    text = "\n".join(lines) or "nothing to do"
    work.keep(text, plan=[subtasks.written(step) for step in found.steps])


def _line(step: PlanStep, why: str) -> str:
    return f"{_SIGNS[step.action]} {step.kind} {step.name} ({why or step.reason})"


# -- doing it


def _run(work: Work) -> None:
    schedule = work.memory.get("schedule")
    if schedule is None:
        steps = [subtasks.read(each) for each in work.state["plan"]]
        width = work.payload.get("width") or work.tools.settings.apply_width
        schedule = Schedule(steps, subtasks.Maker(work, steps), width)
        work.memory["schedule"] = schedule
    schedule.go_on()
    if not schedule.ended:
        raise Wait(_LOOK)
    if schedule.failed or schedule.skipped:
        raise Conflict(_told(schedule))


def _told(schedule: Schedule) -> str:
    failed = schedule.failed
    parts = [f"{name}: {why}" for name, why in failed[:_NAMED]]
    if len(failed) > _NAMED:
        parts.append(f"and {len(failed) - _NAMED} more")
    text = f"{len(failed)} of {schedule.total} failed: {'; '.join(parts)}"
    if schedule.skipped:
        names = ", ".join(schedule.skipped[:_NAMED])
        more = len(schedule.skipped) - _NAMED
        text += f"; not begun, since they need these: {names}"
        text += f" and {more} more" if more > 0 else ""
    return text


# -- what is known of it


def _forget(work: Work) -> None:
    """As if there never had been a definition, unless an apply of one waits."""
    store = work.tools.store
    record = work.find_record(Kind.ENVIRONMENT)
    if record is None:
        definitions.forget(store, work.payload["record"])
        return
    if not definitions.had_address(store, record):
        publishing.release_idle(work, record)
    if _is_waited_for(work, record):
        return
    kept = definitions.kept(store, record.uuid)
    try:
        store.change_with(record, [definitions.QUEUE], gone=kept)
    except NotFound:
        definitions.forget(store, record.uuid)
    except Conflict as error:
        # Somebody was accepted just now.
        raise Wait(0) from error


def _is_waited_for(work: Work, record: Record) -> bool:
    """Whether others were accepted after this task: what is kept is theirs."""
    queue = record.data.get(definitions.QUEUE, [])
    after = queue[queue.index(work.uuid) + 1 :] if work.uuid in queue else []
    return not all(has_ended(work, uuid) for uuid in after)
