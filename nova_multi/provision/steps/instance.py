# SPDX-License-Identifier: Apache-2.0
"""Making instances: a place, a flavor, a port, published ports, the server, its script.

Ports are published before there is a server, so that what can be refused is refused
early, and a server that is ACTIVE is all there is to wait for.
"""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.cloud import marks
from nova_multi.cloud.clouds import Cloud
from nova_multi.cloud.values import NewServer, Server
from nova_multi.domain import times
from nova_multi.domain.errors import Conflict, DomainError, Forbidden, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.publish import Publish
from nova_multi.domain.task import TaskStatus
from nova_multi.domain.usage import End
from nova_multi.provision import (
    deliveries,
    guest,
    lives,
    placing,
    poll,
    publishing,
    secret_inputs,
)
from nova_multi.provision.steps import children, dependencies, place, script
from nova_multi.provision.steps.base import (
    Step,
    Wait,
    Work,
    made,
    ready,
    still_wanted,
    take_back,
)
from nova_multi.provision.store import Fenced

_ACTIVE = frozenset({"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"})
#: Seconds between looks at what may take a while.
_LOOK = 1.0
_LOOK_LISTENING = 5.0


def create(work: Work) -> Sequence[Step]:
    """Make an instance, or wait for those of a request for several."""
    if work.payload.get("children"):
        return children.STEPS
    needs = [dependencies.STEP] if work.payload.get("needs") else []
    steps = [NAME, ENVIRONMENT, *needs, *_MAKE]
    if work.task.goal is TaskStatus.PROVISIONED:
        steps.append(Step("provision", "instance", script.run))
    return steps


def clone(work: Work) -> Sequence[Step]:
    """Make an instance from a snapshot of another one."""
    return [NAME, ENVIRONMENT, SNAPSHOT, SNAPSHOT_READY, *_MAKE]


# -- the name


def _claim_name(work: Work) -> None:
    still_wanted(work)


def _free_name(work: Work) -> None:
    if work.tools.store.delete_record(Kind.INSTANCE, work.payload["record"]):
        work.took_back(f"name {work.name}")


NAME = Step("name", "instance", _claim_name, _free_name)


# -- the environment


def _environment(work: Work) -> None:
    record = ready(work, Kind.ENVIRONMENT, work.payload["environment"])
    work.keep(
        project_id=record.openstack_id,
        network_id=record.data.get("network_id"),
        group_id=record.data.get("group_id"),
    )


ENVIRONMENT = Step("environment", "instance", _environment)


# -- the port


def _port(work: Work) -> None:
    cloud = work.project()
    group = work.state.get("group_id")
    networks = work.payload.get("interfaces") or [
        work.state["network_id"],
        *work.payload.get("networks", ()),
    ]
    ports = []
    addresses: list[str] = []
    for number, network_id in enumerate(networks):
        port = cloud.networks.create_port(
            work.name if not number else f"{work.name}-{number + 1}",
            work.mark,
            network_id=network_id,
            security_groups=[group] if group else (),
        )
        ports.append(port.id)
        if not number:
            addresses = sorted(port.addresses, key=lambda address: ":" in address)
    work.keep(ports=ports)
    work.tools.store.update_record(
        Kind.INSTANCE,
        work.payload["record"],
        merge={
            "ports": ports,
            # So that others need not ask for them, nor for what it was made with.
            "addresses": addresses,
            "flavor": work.state["flavor"],
            "published_on": work.payload.get("published_on", 0),
        },
    )


def _delete_port(work: Work) -> None:
    cloud = work.project()
    ids = list(work.state.get("ports", ()))
    ids += [each for each in made(work, cloud, "port") if each not in ids]
    take_back(work, "port", ids, cloud.networks.delete_port)


# -- published ports


def wanted_ports(work: Work) -> list[Publish]:
    """The ports that are to be published."""
    return [Publish.parse(text) for text in work.payload.get("publish", ())]


def _publish(work: Work) -> None:
    wanted = wanted_ports(work)
    if not wanted:
        return
    port = work.state["ports"][work.payload.get("published_on", 0)]
    wishes = map(Publish.parse, work.payload.get("wished_ports", ()))
    done = publishing.publish(work, port, wanted, wishes)
    work.tools.store.update_record(
        Kind.INSTANCE,
        work.payload["record"],
        merge={"published": [str(each) for each in done]},
    )


def _unpublish(work: Work) -> None:
    if wanted_ports(work):
        publishing.unpublish(work, work.state.get("ports", []), wanted_ports(work))
        publishing.release_unused(work)


# -- the server


def _server(work: Work) -> None:
    still_wanted(work)
    payload, host = work.payload, work.state.get("compute_host")
    composed = _composed(work)
    if composed:
        deliveries.keep(work.tools, work.uuid, composed)
    new = NewServer(
        name=work.name,
        image_id=work.state.get("image_id") or payload["image"],
        flavor_id=work.state["flavor_id"],
        ports=tuple(work.state["ports"]),
        user_data=composed.user_data if composed else None,
        metadata={marks.TASK_KEY: work.uuid},
        description=payload.get("description") or None,
        host=host,
    )
    cloud = work.project()
    if host:
        cloud = _as_administrator(work)
    server_id = cloud.servers.create(new, work.mark, again=work.again)
    if work.again:
        _delete_doubles(work, server_id)
    try:
        work.keep(server_id=server_id)
    except Fenced:
        _drop_unknown(work, cloud, server_id)
        raise
    store = work.tools.store
    store.update_record(Kind.INSTANCE, payload["record"], openstack_id=server_id)
    store.set_object(work.uuid, server_id, work.fencing)


def _as_administrator(work: Work) -> Cloud:
    """Only an administrator of the server's own project may demand a host."""
    clouds, project_id = work.tools.clouds, work.state["project_id"]
    admin = clouds.admin()
    granted = work.tools.memory.setdefault("administered", set())
    if project_id not in granted:
        try:
            admin.grants.grant(project_id, "admin", user_id=admin.user_id)
        except Forbidden:
            if work.payload.get("node"):
                raise
            work.log("no host can be demanded here: Nova chooses")
            return work.project()
        granted.add(project_id)
    return clouds.admin(project_id)


def _drop_unknown(work: Work, cloud: Cloud, server_id: str) -> None:
    """Delete what was made too late: the task's new owner may never come to see it."""
    record = work.find_record(Kind.INSTANCE)
    if record is None or record.openstack_id not in ("", server_id):
        cloud.servers.delete(server_id)


def _delete_doubles(work: Work, server_id: str) -> None:
    """A former owner's request may have been on its way when ours was sent."""
    cloud = work.project()
    for each in made(work, cloud, "server"):
        if each != server_id:
            cloud.servers.delete(each)


def _composed(work: Work) -> guest.Composed | None:
    """What runs the script in the guest, if there is one."""
    text = work.payload.get("script")
    if not text:
        return None
    if "nonce" not in work.state:
        # Kept before it is used: a repetition has to know what the first one sent.
        work.keep(nonce=guest.new_nonce())
    # What was asked for goes before what was found, and that before any default.
    variables = {
        **work.payload.get("variables", {}),
        **work.state.get("given", {}),
        **work.payload.get("asked_variables", {}),
    }
    kept, secret = secret_inputs.variables(work.tools, work.payload)
    return guest.compose(
        text,
        {**variables, **kept},
        work.state["nonce"],
        script.time_limit(work),
        secrets=secret,
        ways=work.tools.settings.ways,
    )


def _delete_server(work: Work) -> None:
    deliveries.forget(work.tools.store, work.uuid)
    drop_servers(work)


def drop_servers(work: Work) -> None:
    """Delete every server that the task has made, and wait until they are gone.

    :raises Wait: one is not, yet.
    :raises Conflict: Nova does not delete it.
    """
    cloud = work.project()
    ids = made(work, cloud, "server", work.state.get("server_id"))
    for each in ids:
        if cloud.servers.delete(each):
            work.took_back(f"server {each}")
    for each in ids:
        if not gone(work, each):
            _check_patience(work, each)
            raise Wait(_LOOK)
        lives.end(work.tools, each, End.DELETED)


def _check_patience(work: Work, server_id: str) -> None:
    """See that a server which is to be taken back is not waited for without end.

    :raises Conflict: it has been for too long.
    """
    now = work.tools.clock()
    if "deleting" not in work.state:
        work.keep(deleting=times.format_time(now))
    since = times.parse_time(work.state["deleting"])
    if (now - since).total_seconds() > work.tools.settings.build_timeout:
        raise Conflict(f"server {server_id} is still there: Nova does not delete it")


def gone(work: Work, server_id: str) -> bool:
    """Whether there is no such server any more."""
    try:
        return work.project().servers.server(server_id).status == "DELETED"
    except NotFound:
        return True


# -- until it runs


def _active(work: Work) -> None:
    still_wanted(work)
    if work.state.get("moving"):
        _move(work)
    server = look(work)
    if server.status == "ERROR":
        _failed(work, server)
    for status, at, message in poll.from_server(server):
        work.status(status, message, at)
    if server.status in _ACTIVE and not server.task_state:
        work.tools.store.update_record(
            Kind.INSTANCE, work.payload["record"], merge={"creating": None}
        )
        lives.begin(work.tools, work.payload["record"], server.id)
        _tell_boot(work, ended=True)
        work.status(TaskStatus.CREATED)
        return
    if work.step_age("active") > work.tools.settings.build_timeout:
        raise Conflict(
            f"server {server.id} is still {server.status} ({server.task_state})"
            f" after {work.tools.settings.build_timeout:.0f} s",
            code="timeout",
        )
    _tell_boot(work, ended=False)
    raise Wait(_LOOK_LISTENING if work.tools.settings.listening else _LOOK)


def look(work: Work) -> Server:
    """The server as it is now.

    :raises Conflict: it is gone.
    """
    board: poll.Board = work.tools.memory.setdefault("board", poll.Board(work.tools))
    try:
        return board.server(
            work.state["project_id"],
            work.state["server_id"],
            # What was heard just now is younger than any list.
            0 if work.woken else work.tools.memory.get("parked", 0),
        )
    except NotFound as error:
        raise Conflict(
            f"server {work.state['server_id']} was deleted by somebody else",
            code="server_gone",
        ) from error


def _tell_boot(work: Work, *, ended: bool) -> None:
    """Tell what Nova's own records say of the boot, as far as it wasn't heard of.

    :param ended: the server is there.
    """
    if not ended and work.tools.settings.listening:
        return
    heard = {change.status for change in work.tools.store.task(work.uuid).history}
    wanted = (
        {TaskStatus.DISPATCHED, TaskStatus.CREATED}
        if ended
        else {TaskStatus.DISPATCHED}
    )
    if wanted <= heard:
        return
    try:
        action = poll.boot_action(work.project(), work.state["server_id"])
    except DomainError as error:
        # A server is worth more than the times of its boot.
        if ended:
            work.log(f"the times of the boot are missing: {error.message}")
        return
    if action is None:
        return
    work.tools.store.add_request_id(work.uuid, action.request_id)
    for status, at, message in poll.from_action(action):
        work.status(status, message, at)


def _failed(work: Work, server: Server) -> None:
    """End it with what Nova says of a server in ERROR, or have it made elsewhere.

    :raises Conflict: no other host may take it.
    :raises Wait: another one is to be tried.
    """
    action = poll.boot_action(work.project(), server.id)
    fault = server.fault.message if server.fault else "Nova gives no reason"
    if place.may_move(work, action):
        machine = work.state["machine"]
        work.keep(
            f"host {machine} refused it ({fault}): another one is chosen",
            refused=[*work.state.get("refused", ()), machine],
            moving=True,
        )
        _move(work)
    if not place.has_begun(action):
        # No compute was ever asked: it was not placed.
        why = placing.why_none(work.tools, place.request(work))
        fault += f" ({why})" if why else ""
    raise Conflict(f"Nova: {fault}", code="server_error")


def _move(work: Work) -> None:
    """Delete the server that was refused, and begin again at the choice of a host.

    :raises Wait: always.
    """
    _delete_server(work)
    record = work.payload["record"]
    # Nobody is to take the next server for a stranger.
    work.tools.store.update_record(Kind.INSTANCE, record, openstack_id="")
    work.tools.store.set_object(work.uuid, record, work.fencing)
    work.go_back(
        "place", "server", "active", server_id=None, deleting=None, moving=None
    )
    raise Wait(0)


_MAKE = [
    place.PLACE,
    place.FLAVOR,
    Step("port", "port", _port, _delete_port),
    Step("publish", "published ports of instance", _publish, _unpublish),
    Step("server", "server", _server, _delete_server),
    Step("active", "server", _active),
]


# -- clones


def _snapshot(work: Work) -> None:
    still_wanted(work)
    image_id = work.project().servers.snapshot(
        work.payload["source"], f"{work.name}-snapshot", work.mark
    )
    work.keep(image_id=image_id)
    work.tools.store.update_record(
        Kind.INSTANCE, work.payload["record"], merge={"snapshot": image_id}
    )


def _delete_snapshot(work: Work) -> None:
    cloud = work.project()
    ids = made(work, cloud, "image", work.state.get("image_id"))
    take_back(work, "snapshot", ids, cloud.images.delete)


def _snapshot_ready(work: Work) -> None:
    still_wanted(work)
    try:
        image = work.project().images.image(work.state["image_id"])
    except NotFound as error:
        # Nova takes back a snapshot that failed.
        raise Conflict("the snapshot failed: its image is gone") from error
    if image.status == "active":
        return
    if image.status in ("killed", "deleted", "pending_delete"):
        raise Conflict(f"the snapshot failed: its image is {image.status}")
    if work.step_age("snapshot ready") > work.tools.settings.build_timeout:
        raise Conflict("the snapshot takes too long", code="timeout")
    raise Wait(_LOOK)


SNAPSHOT = Step("snapshot", "snapshot of", _snapshot, _delete_snapshot)
SNAPSHOT_READY = Step("snapshot ready", "snapshot of", _snapshot_ready)
