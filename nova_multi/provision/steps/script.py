# SPDX-License-Identifier: Apache-2.0
"""Waits for what a guest's provisioner reports on the console."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from nova_multi.domain import times
from nova_multi.domain.errors import Conflict
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.provision import console, deliveries, secret_inputs
from nova_multi.provision.steps.base import Wait, Work, still_wanted

#: Seconds between looks at a console: less while it is talking.
_FIRST, _LONGEST, _GROWTH = 0.5, 5.0, 1.5
#: Looks a second at all silent consoles together, as long as each has one in _LONGEST;
#: and the part of its silence that one is left alone for.
_LOOKS, _SILENCE = 8, 1 / 30
#: Seconds within which a guest has ended a script whose time is over, and said so.
_GRACE = 30.0
#: Lines of a script that failed, and the characters of each, which its error tells.
_LAST_LINES, _LAST_LENGTH = 5, 200


def time_limit(work: Work) -> int:
    """Seconds that the script may take; never more than the operator allows."""
    longest = work.tools.settings.script_timeout
    return max(1, int(min(work.payload.get("timeout") or longest, longest)))


def run(work: Work) -> None:
    """Read the console until the script has ended well.

    :raises Conflict: it failed, or the guest has not reported for too long.
    """
    still_wanted(work)
    seen: dict[str, Any] = dict(work.state.get("console", {}))
    text = _console(work)
    report = console.read(text, work.state["nonce"], seen.get("last", 0))
    if report.log or report.message:
        veil = secret_inputs.veil(work.tools, work.payload)
        report = dataclasses.replace(
            report, log=tuple(map(veil, report.log)), message=veil(report.message)
        )
    if report.begun:
        work.status(TaskStatus.PROVISIONING, at=_when(work, report.began_at))
    if report.message:
        work.message(TaskStatus.PROVISIONING, report.message)
    if report.begun and not seen.get("last"):
        deliveries.begun(work.tools.store, work.uuid)
    if report.received:
        deliveries.received(work.tools.store, work.uuid)
    left_out = _keep_outputs(work, report)
    if report.last > seen.get("last", 0):
        now = times.format_time(work.tools.clock())
        seen |= {"last": report.last, "sign": now, "pause": _FIRST}
        seen.setdefault("began", now)
        lines = [line[:_LAST_LENGTH] for line in report.log if line.strip()]
        seen["tail"] = [*seen.get("tail", ()), *lines][-_LAST_LINES:]
        if report.phase:
            seen["phase"] = report.phase
        if report.timed_out is not None:
            seen["timed_out"] = report.timed_out
        if report.exit_code is not None:
            seen |= {"exit": report.exit_code, "ended": report.ended_at}
    else:
        longest = _longest(work, _age(work, seen.get("sign")))
        seen["pause"] = min(longest, seen.get("pause", _FIRST) * _GROWTH)
    # With what was read: a worker that dies here leaves no line out, and none twice.
    work.keep("\n".join([*report.log, *left_out]), console=seen)
    if "timed_out" in seen and "exit" in seen:
        limit = seen["timed_out"]
        fail(work, f"the guest ended the script after its {limit} s{_tail(seen)}")
    if "exit" in seen:
        if seen["exit"] == 0:
            _mark(work, provisioning=None)
            deliveries.forget(work.tools.store, work.uuid)
            at = _when(work, seen.get("ended"))
            work.status(TaskStatus.PROVISIONED, at=at)
            return
        fail(work, f"the script ended with exit status {seen['exit']}{_tail(seen)}")
    _check_time(work, seen)
    raise Wait(seen["pause"])


def _longest(work: Work, quiet: float) -> float:
    """Seconds that a console may be left alone: one, where there are but few of them.

    :param quiet: seconds that it has been so.
    """
    tasks: int = work.tools.memory.get("parked", 1)
    return min(_LONGEST, max(1.0, tasks / _LOOKS, quiet * _SILENCE))


def _when(work: Work, seconds: int | None) -> datetime.datetime | None:
    """The moment that a guest told, by its own clock, which may be wrong.

    :param seconds: since 1970.
    :returns: None for now, also where it can't have been then.
    """
    if seconds is None:
        return None
    now = work.tools.clock()
    # Its clock shows whole seconds.
    age = now.timestamp() - seconds
    if not 0 <= age <= work.step_age("provision") + 1:
        return None
    return now - datetime.timedelta(seconds=age)


def _keep_outputs(work: Work, report: console.Report) -> list[str]:
    """Keep what the guest reports of itself; repeating it changes nothing.

    :returns: lines for the log.
    """
    if not report.outputs:
        return []
    known = work.record(Kind.INSTANCE).data.get("outputs") or {}
    merged, left_out = console.with_outputs(known, report.outputs)
    if merged != known:
        _mark(work, outputs=merged)
    return [f"[output {name} is left out: there are too many]" for name in left_out]


def _tail(seen: Mapping[str, Any]) -> str:
    lines = seen.get("tail")
    return f", after: {' | '.join(lines)}" if lines else ""


def _console(work: Work) -> str:
    try:
        return work.project().servers.console_log(work.state["server_id"])
    except Conflict:
        # The guest has no console yet, or is being rebooted.
        return ""


def _check_time(work: Work, seen: dict[str, Any]) -> None:
    limit = time_limit(work)
    if _age(work, seen.get("began")) > limit + _GRACE:
        fail(work, f"the script has not ended within {limit} s{_tail(seen)}")
    patience = work.tools.settings.report_timeout
    if not seen.get("sign"):
        if work.step_age("provision") > patience:
            fail(work, f"the guest has not reported anything within {patience:.0f} s")
        return
    if work.payload.get("timeout"):
        # Whoever says how long it may take knows that it may be silent for as long.
        patience = max(patience, limit + _GRACE)
    quiet = _age(work, seen["sign"])
    if quiet > patience:
        phase = f" in phase {seen['phase']}" if seen.get("phase") else ""
        told = f"the guest has not reported for {quiet:.0f} s{phase}"
        fail(work, f"{told}{_tail(seen)}")


def _age(work: Work, since: str | None) -> float:
    """Seconds since then."""
    if since is None:
        return 0.0
    return (work.tools.clock() - times.parse_time(since)).total_seconds()


def fail(work: Work, why: str) -> None:
    """End with an error; the instance stays to be looked at, unless told otherwise.

    :raises Conflict: always.
    """
    deliveries.forget(work.tools.store, work.uuid)
    if not work.tools.settings.delete_failed:
        _mark(work, provisioning=None, failed=True)
        work.keep(kept=f"the instance is kept: {work.name}")
    raise Conflict(why, code="provisioner_failed")


def _mark(work: Work, **marks: Any) -> None:
    """Tell those who depend on the instance how it came out."""
    work.tools.store.update_record(Kind.INSTANCE, work.payload["record"], merge=marks)
