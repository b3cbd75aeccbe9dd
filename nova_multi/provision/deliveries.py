# SPDX-License-Identifier: Apache-2.0
"""What guests fetch besides their user-data, for as long as they may.

A delivery is kept, sealed, from before its server is asked for until its task ends.
Nova's metadata service asks for it when its guest does. Without secrets in it, it is
given as often as it is asked for. With secrets it is handed out once: not before the
guest has said on its console that its script has begun, for what asks earlier is
cloud-init, which keeps on its disk whatever it is told; then from the first time on
for a short while only, in which a guest whose answer got lost, or that was started
anew, may ask again; and no more as soon as the guest has said that it has it.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
from collections.abc import Iterator, Mapping

from nova_multi.domain import times
from nova_multi.domain.errors import Conflict, NameTaken, NotFound
from nova_multi.domain.names import Kind
from nova_multi.provision.guest import Composed
from nova_multi.provision.store import Record, Store
from nova_multi.provision.tools import Tools

LOG = logging.getLogger(__name__)

#: Kind of the records; they are called as their task.
KIND = "delivery"
#: Seconds from the first time that secrets are given until they are no more.
WINDOW = 90.0
#: Keys of the answer; the guest looks for them.
PAYLOAD, REFUSED = "nova_multi_payload", "nova_multi_refused"

_SEALED, _SECRET, _GIVEN, _DONE = "sealed", "secret", "given", "done"
#: Whether the guest's script has begun, which is what asks from then on.
_BEGUN = "begun"
#: Times that a request is looked at again if others were quicker.
_TRIES = 5


def keep(tools: Tools, task_uuid: str, composed: Composed) -> None:
    """Keep what a guest fetches; a repetition changes nothing.

    :raises Conflict: there is no key to seal it with.
    """
    if not composed.payload:
        return
    now = tools.clock()
    record = Record(
        kind=KIND,
        uuid=tools.new_uuid(),
        name=task_uuid,
        created=now,
        modified=now,
        data={
            _SEALED: tools.seal.close(composed.payload),
            _SECRET: composed.secret,
        },
        task_uuid=task_uuid,
    )
    try:
        tools.store.add_record(record)
    except NameTaken:
        LOG.debug("the delivery of task %s is kept already", task_uuid)


def hand_out(tools: Tools, server_id: str, project_id: str) -> Mapping[str, str]:
    """What a server's guest is told now, for Nova's dynamic vendordata.

    :param project_id: the server's, as Nova says.
    """
    delivery = _of_server(tools.store, server_id, project_id)
    if delivery is None:
        return {}
    for left in reversed(range(_TRIES)):
        data = delivery.data
        now = tools.clock()
        if not data.get(_SECRET):
            return {PAYLOAD: tools.seal.open(data[_SEALED])}
        given = data.get(_GIVEN)
        if data.get(_DONE) or (given and _age(now, given) > WINDOW):
            LOG.warning("server %s asks again for its secrets", server_id)
            return {REFUSED: _REFUSAL}
        if not data.get(_BEGUN):
            return {}
        # Before it counts as given: the key may not be known here yet.
        told = {PAYLOAD: tools.seal.open(data[_SEALED])}
        if given:
            return told
        try:
            tools.store.update_record(
                KIND,
                delivery.uuid,
                merge={_GIVEN: times.format_time(now)},
                expected={_GIVEN: None, _DONE: None},
            )
        except NotFound:
            return {}
        except Conflict:
            # Asked twice at a time.
            if not left:
                raise
            delivery = tools.store.record(KIND, delivery.uuid)
            continue
        LOG.info("the secrets of server %s are handed out", server_id)
        return told
    raise AssertionError("not reached")


_REFUSAL = (
    "the secrets of this instance were handed out before, which is done once: make the"
    " instance anew"
)


def begun(store: Store, task_uuid: str) -> None:
    """A guest's script has begun: from now on it is what asks."""
    delivery = _of_task(store, task_uuid)
    if delivery and delivery.data.get(_SECRET) and not delivery.data.get(_BEGUN):
        store.update_record(KIND, delivery.uuid, merge={_BEGUN: True})


def received(store: Store, task_uuid: str) -> None:
    """A guest has what it fetches: its secrets are given no more, and forgotten."""
    delivery = _of_task(store, task_uuid)
    if delivery and delivery.data.get(_SECRET) and not delivery.data.get(_DONE):
        store.update_record(KIND, delivery.uuid, merge={_DONE: True, _SEALED: None})


def forget(store: Store, task_uuid: str) -> None:
    """Give nothing of a task any more, and keep nothing."""
    delivery = _of_task(store, task_uuid)
    if delivery:
        store.delete_record(KIND, delivery.uuid)


def sweep(tools: Tools) -> None:
    """Forget those whose tasks have ended."""
    found = tools.store.list_records(KIND)
    ended = tools.store.ends([each.task_uuid for each in found])
    for each in found:
        if each.task_uuid in ended:
            tools.store.delete_record(KIND, each.uuid)


def _of_server(store: Store, server_id: str, project_id: str) -> Record | None:
    """The delivery for a server that we have made, and know as ours."""
    found = (
        store.list_records(Kind.INSTANCE, openstack_ids=[server_id])
        if server_id
        else []
    )
    for instance in found:
        if instance.data.get("deleting"):
            continue
        if project_id and project_id in _projects(store, instance):
            return _of_task(store, instance.task_uuid)
    return None


def _projects(store: Store, instance: Record) -> Iterator[str]:
    """Where an instance's server may be."""
    yield instance.project_id
    # One that was asked for while its environment was made knows of no project.
    with contextlib.suppress(NotFound):
        yield store.record(Kind.ENVIRONMENT, instance.scope).openstack_id


def _of_task(store: Store, task_uuid: str) -> Record | None:
    found = store.list_records(KIND, scope="", name=task_uuid)
    return found[0] if found else None


def _age(now: datetime.datetime, since: str) -> float:
    return (now - times.parse_time(since)).total_seconds()
