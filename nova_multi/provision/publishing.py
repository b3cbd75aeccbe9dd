# SPDX-License-Identifier: Apache-2.0
"""Published ports of an instance on its environment's one publishing address.

The address is made with the first port that is published. A record with a unique name
is the lock that keeps two tasks from making two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nova_multi.cloud import marks
from nova_multi.cloud.publish import PortTaken
from nova_multi.cloud.values import Forwarding, Port
from nova_multi.domain.errors import Conflict, NameTaken, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.publish import Place, Publish
from nova_multi.provision.steps.base import Wait, Work, made
from nova_multi.provision.store import Record
from nova_multi.provision.tools import Tools

#: Kind of the records of publishing addresses; their scope is the environment.
ADDRESS = "address"
_NAME = "publish"
#: Seconds until another task's address is looked for again.
_LOOK_AGAIN = 0.5


def address_record(tools: Tools, environment: str) -> Record | None:
    """The record of an environment's publishing address."""
    found = tools.store.list_records(ADDRESS, scope=environment, name=_NAME)
    return found[0] if found else None


def taken(tools: Tools, environment: str) -> dict[Place, str]:
    """Which ports the instances of an environment have, by our own records."""
    found: dict[Place, str] = {}
    for record in tools.store.list_records(Kind.INSTANCE, scope=environment):
        texts = record.data.get("published") or record.data.get("publish") or ()
        for wanted in map(Publish.parse, texts):
            if wanted.place:
                found[wanted.place] = f"instance {record.name}"
    return found


def ensure_address(work: Work) -> str:
    """Id of the environment's publishing address, made if there is none yet.

    :raises Wait: another task is making it.
    """
    tools, environment = work.tools, work.payload["environment"]
    record = address_record(tools, environment)
    if record is None:
        record = _reserve(work, environment)
    if record.openstack_id:
        return record.openstack_id
    if record.task_uuid != work.uuid:
        if not _ended(tools, record.task_uuid):
            raise Wait(_LOOK_AGAIN)
        # Its maker did not live to make it. One of those who see this wins.
        tools.store.delete_record(ADDRESS, record.uuid)
        raise Wait(0)
    cloud = work.project()
    external = cloud.networks.external(tools.settings.external_network)
    address = cloud.publishing.create_address(external.id, work.mark)
    tools.store.update_record(
        ADDRESS,
        record.uuid,
        openstack_id=address.id,
        merge={"address": address.address},
    )
    return address.id


def _reserve(work: Work, environment: str) -> Record:
    now = work.tools.clock()
    record = Record(
        kind=ADDRESS,
        uuid=work.tools.new_uuid(),
        name=_NAME,
        created=now,
        modified=now,
        scope=environment,
        task_uuid=work.uuid,
    )
    try:
        work.tools.store.add_record(record)
    except NameTaken as error:
        raise Wait(_LOOK_AGAIN) from error
    return record


def _ended(tools: Tools, task_uuid: str) -> bool:
    try:
        return tools.store.task(task_uuid).is_final
    except NotFound:
        return True


def release_unused(work: Work) -> None:
    """Take back the address if this task made it, and nobody else uses it."""
    tools, environment = work.tools, work.payload["environment"]
    record = address_record(tools, environment)
    ours = record if record and record.task_uuid == work.uuid else None
    cloud = work.project()
    for each in made(work, cloud, "floating_ip", ours.openstack_id if ours else None):
        if record and not ours and record.openstack_id == each:
            continue
        if cloud.publishing.forwardings(each):
            return
        # First the name, so that nobody begins to use what goes away.
        if ours:
            tools.store.delete_record(ADDRESS, ours.uuid)
        try:
            if cloud.publishing.release_address(each):
                work.took_back(f"publishing address {each}")
        except Conflict:
            if ours:
                tools.store.add_record(ours)
            return
    if ours:
        tools.store.delete_record(ADDRESS, ours.uuid)


def release_idle(work: Work, environment: Record) -> None:
    """Take back an environment's address, whoever made it, if nobody uses it."""
    tools = work.tools
    record = address_record(tools, environment.uuid)
    if record is None:
        return
    cloud = tools.of_environment(environment)
    if record.openstack_id and cloud.publishing.forwardings(record.openstack_id):
        return
    # First the name, so that nobody begins to use what goes away.
    tools.store.delete_record(ADDRESS, record.uuid)
    try:
        if record.openstack_id:
            cloud.publishing.release_address(record.openstack_id)
    except Conflict:
        tools.store.add_record(record)


def publish(
    work: Work,
    port_id: str,
    wanted: Iterable[Publish],
    wishes: Iterable[Publish] = (),
) -> list[Publish]:
    """Publish ports of a guest's port.

    :param wishes: outside ports for those that may have any, as far as they are free.
    :returns: the same with their outside numbers.
    :raises Conflict: one is taken, and by whom.
    """
    cloud, environment = work.project(), work.payload["environment"]
    address_id = ensure_address(work)
    port = cloud.networks.port(port_id)
    wished = {(each.inside, each.protocol): each for each in wishes}
    done = []
    for each in wanted:
        try:
            forwarding = _forward(
                work, address_id, each, port, wished.get((each.inside, each.protocol))
            )
        except PortTaken as error:
            raise Conflict(
                f"{each.protocol} port {each.outside} is already published by"
                f" {_holder(work.tools, error)}",
                field="publish",
                code=error.code,
            ) from error
        cloud.publishing.open(port_id, each, work.mark, environment)
        done.append(Publish(forwarding.outside, each.inside, each.protocol))
    return done


def _forward(
    work: Work, address_id: str, wanted: Publish, port: Port, wish: Publish | None
) -> Forwarding:
    """Forward a port; one that may have any outside port has the wished one if it can.

    :raises PortTaken: it may not have any, and its own is taken.
    """
    publishing = work.project().publishing
    free = work.tools.settings.ports
    if wish is not None and wanted.outside is None:
        # Also one that is published already, at another port than the wished one.
        own = [
            each
            for each in publishing.forwardings(address_id)
            if each.port_id == port.id and _among(each, [wanted])
        ]
        if own:
            return own[0]
        try:
            return publishing.publish(address_id, wish, port, work.mark, free)
        except PortTaken:
            work.log(f"outside port {wish.outside} is taken: it gets another one")
    return publishing.publish(address_id, wanted, port, work.mark, free)


def _holder(tools: Tools, error: PortTaken) -> str:
    """Who has a port, by the name that users know."""
    records: Sequence[Record] = ()
    if error.server_id:
        records = tools.store.list_records(
            Kind.INSTANCE, openstack_ids=[error.server_id]
        )
    if not records:
        # Published before there was a server.
        task = marks.read([error.forwarding.description]).get("task")
        if task:
            records = tools.store.list_records(Kind.INSTANCE, task_uuid=task)
    if records:
        return f"instance {records[0].name}"
    return f"server {error.server_id}" if error.server_id else "another server"


def unpublish(
    work: Work,
    port_ids: Sequence[str],
    wanted: Iterable[Publish] | None = None,
    opened: Iterable[Publish] = (),
) -> None:
    """Publish ports of these guest's ports no more.

    :param wanted: which of them; None for all.
    :param opened: what was let in for them: a former owner of the task may have taken
        the forwarding away, and lived no longer.
    """
    tools, environment = work.tools, work.payload["environment"]
    record = address_record(tools, environment)
    if record is None or not record.openstack_id:
        return
    cloud = work.project()
    wanted = None if wanted is None else list(wanted)
    try:
        present = cloud.publishing.forwardings(record.openstack_id)
    except NotFound:
        present = ()
    closing: list[tuple[str | None, Publish]] = []
    for each in present:
        if each.port_id in port_ids and (wanted is None or _among(each, wanted)):
            if cloud.publishing.unpublish(record.openstack_id, each.id):
                work.took_back(f"published port {each.outside}/{each.protocol}")
            inside = Publish(each.outside, each.inside, each.protocol)
            closing.append((each.port_id, inside))
    # Also what was opened for a forwarding that is gone already.
    for each_wanted in (*(wanted or ()), *opened):
        closing += [(port_id, each_wanted) for port_id in port_ids]
    # Groups know nothing of outside ports: each is asked for once.
    once = {(port, each.inside, each.protocol): each for port, each in closing}
    for (port_id, *_), inside in once.items():
        cloud.publishing.close(port_id, inside, environment)


def _among(forwarding: Forwarding, wanted: Iterable[Publish]) -> bool:
    return any(
        (each.protocol, each.inside) == (forwarding.protocol, forwarding.inside)
        and each.outside in (None, forwarding.outside)
        for each in wanted
    )
