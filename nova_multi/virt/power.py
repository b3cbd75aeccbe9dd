# SPDX-License-Identifier: Apache-2.0
"""Power states: from an engine's guest to Nova's words, and when a start is one."""

from __future__ import annotations

import os

from nova.compute import power_state

from nova_multi.virt.engine import GuestState

#: Total: a unit test holds it against the enumeration.
NOVA_STATES: dict[GuestState, int] = {
    GuestState.RUNNING: power_state.RUNNING,
    GuestState.PAUSED: power_state.PAUSED,
    GuestState.STOPPED: power_state.SHUTDOWN,
    GuestState.CRASHED: power_state.CRASHED,
    # Nova leaves a server alone while it has no state to go by.
    GuestState.CHANGING: power_state.NOSTATE,
    GuestState.UNKNOWN: power_state.NOSTATE,
}

#: Seconds after its start in which a guest's end counts as a failed start: at least,
#: and at most on a machine where everything takes its time.
SETTLE_TIME = 0.05
SETTLE_TIME_MAX = 1.0

_STAT = "/proc/stat"


def settle_time() -> float:
    """Seconds in which a guest that fails at once will have failed.

    The more processes want a core just now, the later the guest's has had its turn.
    """
    return min(SETTLE_TIME * max(1.0, _queue()), SETTLE_TIME_MAX)


def _queue() -> float:
    """Processes that run, could run, or wait for a disk now, for each core."""
    with open(_STAT, encoding="ascii") as lines:
        fields = dict(line.split(maxsplit=1) for line in lines)
    wanting = int(fields["procs_running"]) + int(fields["procs_blocked"])
    return wanting / len(os.sched_getaffinity(0))
