# SPDX-License-Identifier: Apache-2.0
"""Power states: from an engine's guest to Nova's words."""

from __future__ import annotations

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
