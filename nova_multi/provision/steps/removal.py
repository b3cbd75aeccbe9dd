# SPDX-License-Identifier: Apache-2.0
"""Deleting an instance with everything that it brought, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.publish import Publish
from nova_multi.domain.task import TaskStatus
from nova_multi.domain.usage import End
from nova_multi.provision import lives, publishing
from nova_multi.provision.steps.base import Step, Wait, Work
from nova_multi.provision.steps.instance import gone

_LOOK = 1.0
_LOOK_LISTENING = 5.0


def delete(work: Work) -> Sequence[Step]:
    """What has been deleted stays so; an error leaves the rest to another try."""
    return [
        Step("makers", "instance", _wait_for_makers, _want_again),
        Step("unpublish", "published ports of instance", _unpublish),
        Step("server", "server", _server),
        Step("gone", "server", _gone),
        Step("ports", "ports of instance", _ports),
        Step("snapshot", "snapshot of instance", _snapshot),
        Step("name", "instance", _name),
    ]


def _wait_for_makers(work: Work) -> None:
    """Until the task that makes it has seen that it is not wanted any more."""
    record = work.find_record(Kind.INSTANCE)
    if record is None:
        return
    if record.task_uuid and record.task_uuid != work.uuid:
        try:
            maker = work.tools.store.task(record.task_uuid)
        except NotFound:
            maker = None
        if maker and not maker.is_final:
            work.tools.signals.wake(maker.uuid)
            raise Wait(_LOOK)
    # It may have made something of it after this task was accepted.
    record = work.find_record(Kind.INSTANCE)
    if record is None:
        return
    environment = work.record(Kind.ENVIRONMENT, record.scope)
    work.keep(
        project_id=environment.openstack_id,
        server_id=record.openstack_id or None,
        ports=list(record.data.get("ports", ())),
        snapshot=record.data.get("snapshot"),
        opened=[
            *record.data.get("publish", ()),
            *record.data.get("published", ()),
        ],
    )


def _want_again(work: Work) -> None:
    """So that it can be tried once more."""
    if work.find_record(Kind.INSTANCE):
        work.tools.store.update_record(
            Kind.INSTANCE, work.payload["record"], merge={"deleting": None}
        )


def _unpublish(work: Work) -> None:
    work.status(TaskStatus.DELETING)
    if work.state.get("ports"):
        opened = map(Publish.parse, work.state.get("opened", ()))
        publishing.unpublish(work, work.state["ports"], opened=opened)


def _server(work: Work) -> None:
    if work.state.get("server_id"):
        work.project().servers.delete(work.state["server_id"])


def _gone(work: Work) -> None:
    server_id = work.state.get("server_id")
    if not server_id:
        return
    if gone(work, server_id):
        closed = work.payload.get("closed")
        lives.end(work.tools, server_id, End.CLOSED if closed else End.DELETED)
        return
    server = _server_now(work, server_id)
    if server == "ERROR" and work.step_age("gone") > work.tools.settings.lease:
        raise Conflict(f"server {server_id} went to ERROR instead of away")
    if work.step_age("gone") > work.tools.settings.build_timeout:
        raise Conflict(f"server {server_id} is still there: Nova does not delete it")
    raise Wait(_LOOK_LISTENING if work.tools.settings.listening else _LOOK)


def _server_now(work: Work, server_id: str) -> str:
    try:
        server = work.project().servers.server(server_id)
    except NotFound:
        return ""
    return server.status if not server.task_state else ""


def _ports(work: Work) -> None:
    # None, and no project, where its maker has taken everything back before.
    for port_id in work.state.get("ports", ()):
        work.project().networks.delete_port(port_id)


def _snapshot(work: Work) -> None:
    if work.state.get("snapshot"):
        work.project().images.delete(work.state["snapshot"])


def _name(work: Work) -> None:
    work.tools.store.delete_record(Kind.INSTANCE, work.payload["record"])
