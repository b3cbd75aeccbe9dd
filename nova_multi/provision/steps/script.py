# SPDX-License-Identifier: Apache-2.0
"""Waits for what a guest's provisioner reports on the console."""

from __future__ import annotations

from typing import Any

from nova_multi.domain import times
from nova_multi.domain.errors import Conflict
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.provision import console
from nova_multi.provision.steps.base import Wait, Work, still_wanted

#: Seconds between looks at a console: less while it is talking.
_FIRST, _LONGEST, _GROWTH = 0.5, 5.0, 1.5


def run(work: Work) -> None:
    """Read the console until the script has ended well.

    :raises Conflict: it failed, or the guest has not reported for too long.
    """
    still_wanted(work)
    seen: dict[str, Any] = dict(work.state.get("console", {}))
    text = _console(work)
    report = console.read(text, work.state["nonce"], seen.get("last", 0))
    if report.last > seen.get("last", 0):
        seen |= {
            "last": report.last,
            "sign": times.format_time(work.tools.clock()),
            "pause": _FIRST,
        }
        if report.phase:
            seen["phase"] = report.phase
        if report.exit_code is not None:
            seen["exit"] = report.exit_code
    else:
        seen["pause"] = min(_LONGEST, seen.get("pause", _FIRST) * _GROWTH)
    # With what was read: a worker that dies here leaves no line out, and none twice.
    work.keep("\n".join(report.log), console=seen)
    if report.begun:
        work.status(TaskStatus.PROVISIONING)
    if "exit" in seen:
        if seen["exit"] == 0:
            _mark(work, provisioning=None)
            return
        fail(work, f"the script ended with exit status {seen['exit']}")
    _check_time(work, seen)
    raise Wait(seen["pause"])


def _console(work: Work) -> str:
    try:
        return work.project().servers.console_log(work.state["server_id"])
    except Conflict:
        # The guest has no console yet, or is being rebooted.
        return ""


def _check_time(work: Work, seen: dict[str, Any]) -> None:
    longest = work.payload.get("timeout") or work.tools.settings.script_timeout
    if work.step_age("provision") > longest:
        fail(work, f"the script has not ended within {longest:.0f} s")
    limit = work.tools.settings.report_timeout
    sign = seen.get("sign")
    if sign:
        quiet = (work.tools.clock() - times.parse_time(sign)).total_seconds()
        if quiet > limit:
            phase = f" in phase {seen['phase']}" if seen.get("phase") else ""
            fail(work, f"the guest has not reported for {quiet:.0f} s{phase}")
    elif work.step_age("provision") > limit:
        fail(work, f"the guest has not reported anything within {limit:.0f} s")


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
