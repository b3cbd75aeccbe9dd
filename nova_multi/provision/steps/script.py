# SPDX-License-Identifier: Apache-2.0
"""Waits for what a guest's provisioner reports on the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_multi.domain import times
from nova_multi.domain.errors import Conflict
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.provision import console
from nova_multi.provision.steps.base import Wait, Work, still_wanted

#: Seconds between looks at a console: less while it is talking.
_FIRST, _LONGEST, _GROWTH = 0.5, 5.0, 1.5
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
    if report.begun:
        work.status(TaskStatus.PROVISIONING)
    if report.message:
        work.message(TaskStatus.PROVISIONING, report.message)
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
            seen["exit"] = report.exit_code
    else:
        seen["pause"] = min(_LONGEST, seen.get("pause", _FIRST) * _GROWTH)
    # With what was read: a worker that dies here leaves no line out, and none twice.
    work.keep("\n".join([*report.log, *left_out]), console=seen)
    if "timed_out" in seen and "exit" in seen:
        limit = seen["timed_out"]
        fail(work, f"the guest ended the script after its {limit} s{_tail(seen)}")
    if "exit" in seen:
        if seen["exit"] == 0:
            _mark(work, provisioning=None)
            return
        fail(work, f"the script ended with exit status {seen['exit']}{_tail(seen)}")
    _check_time(work, seen)
    raise Wait(seen["pause"])


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
    if not work.tools.settings.delete_failed:
        _mark(work, provisioning=None, failed=True)
        work.keep(kept=f"the instance is kept: {work.name}")
    raise Conflict(why, code="provisioner_failed")


def _mark(work: Work, **marks: Any) -> None:
    """Tell those who depend on the instance how it came out."""
    work.tools.store.update_record(Kind.INSTANCE, work.payload["record"], merge=marks)
