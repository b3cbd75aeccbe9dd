# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping and restarting instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nova_multi.domain import times
from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.names import Kind
from nova_multi.provision.steps.base import Step, Wait, Work

_LOOK = 1.0
_LOOK_LISTENING = 5.0


def start(work: Work) -> Sequence[Step]:
    """Start it."""
    return _action("start", _start, "ACTIVE")


def stop(work: Work) -> Sequence[Step]:
    """Stop it."""
    return _action("stop", _stop, "SHUTOFF")


def restart(work: Work) -> Sequence[Step]:
    """Restart it."""
    return _action("restart", _restart, "ACTIVE")


def _action(verb: str, do: Callable[[Work], None], wanted: str) -> list[Step]:
    def wait(work: Work) -> None:
        _wait_for(work, wanted)

    return [
        Step("find", "instance", _find),
        Step(verb, "server", do),
        Step("wait", "server", wait),
    ]


def _find(work: Work) -> None:
    record = work.record(Kind.INSTANCE)
    if not record.openstack_id:
        raise Conflict("the instance has no server yet")
    environment = work.record(Kind.ENVIRONMENT, record.scope)
    work.keep(project_id=environment.openstack_id, server_id=record.openstack_id)


def _start(work: Work) -> None:
    work.project().servers.start(work.state["server_id"])


def _stop(work: Work) -> None:
    work.project().servers.stop(work.state["server_id"])


def _restart(work: Work) -> None:
    servers, server_id = work.project().servers, work.state["server_id"]
    if work.again and _rebooted(work):
        return
    if servers.server(server_id).status == "SHUTOFF":
        servers.start(server_id)
    else:
        servers.reboot(server_id)


def _rebooted(work: Work) -> bool:
    """Whether a former owner's request came through: once is enough."""
    began = times.parse_time(work.begun["restart"])
    return any(
        action.name in ("reboot", "start") and action.start and action.start >= began
        for action in work.project().servers.actions(work.state["server_id"])
    )


def _wait_for(work: Work, wanted: str) -> None:
    try:
        server = work.project().servers.server(work.state["server_id"])
    except NotFound as error:
        raise Conflict("the server was deleted meanwhile") from error
    if not server.task_state:
        if server.status == wanted:
            return
        if server.status == "ERROR":
            fault = server.fault.message if server.fault else "Nova gives no reason"
            raise Conflict(f"Nova: {fault}", code="server_error")
    if work.step_age("wait") > work.tools.settings.build_timeout:
        raise Conflict(
            f"server {server.id} is {server.status} ({server.task_state}), not"
            f" {wanted}",
            code="timeout",
        )
    raise Wait(_LOOK_LISTENING if work.tools.settings.listening else _LOOK)
