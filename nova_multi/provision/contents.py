# SPDX-License-Identifier: Apache-2.0
"""What is in partitions and environments, which are deleted only when they are empty.

Keystone deletes a project whatever is in it, and nobody could reach it any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nova_multi.domain.errors import Conflict, Forbidden, NotFound
from nova_multi.domain.names import Kind
from nova_multi.provision import presence, saved
from nova_multi.provision.store import Record, Store
from nova_multi.provision.tools import Tools

#: Names of each kind that are told.
_TOLD = 5
#: What belongs to a partition, also where it was made in one of its environments.
_OF_PARTITIONS = (Kind.ENVIRONMENT, Kind.PROVISIONER, Kind.IMAGE, Kind.FILE)


def check_empty(store: Store, within: Record) -> None:
    """See that no record belongs to a partition or an environment.

    :raises Conflict: one does; it names them.
    """
    found = dict(_records(store, within))
    if found:
        raise _not_empty(f"{within.kind} {within.name}", found)


def _records(store: Store, within: Record) -> Iterator[tuple[str, list[str]]]:
    if within.kind == Kind.PARTITION:
        for kind in _OF_PARTITIONS:
            found = store.list_records(kind, scope=within.uuid, limit=_TOLD)
            if found:
                yield f"{kind}s", [each.name for each in found]
        return
    found = store.list_records(Kind.INSTANCE, scope=within.uuid, limit=_TOLD)
    if found:
        yield "instances", [each.name for each in found]
    found = store.list_records(Kind.NETWORK, scope=within.uuid, limit=_TOLD)
    if found:
        yield "networks of its definition", [each.name for each in found]
    own = store.list_records(Kind.IMAGE, scope=within.uuid)
    found = [each for each in own if presence.is_of_definition(each)]
    if found:
        yield "images of its definition", [each.name for each in found[:_TOLD]]
    kept = saved.records(store, within.uuid)
    if kept:
        yield "saved disks", [each.name for each in kept[:_TOLD]]
    images = [each.name for each in own if each not in found]
    images += [
        each.name
        for each in store.list_records(Kind.IMAGE, scope=within.scope)
        # Only taken up, it stays where it is.
        if within.openstack_id
        and each.data.get("home") == within.openstack_id
        and not each.data.get("adopted")
    ]
    if images:
        yield "images", images[:_TOLD]


def standing_project(tools: Tools, project_id: str) -> str:
    """The project; empty if somebody has deleted it, or an earlier try.

    To be asked before anything is asked in it: Keystone refuses an account in a project
    that is gone as it refuses a wrong password.
    """
    if not project_id or tools.single:
        return project_id
    try:
        return tools.clouds.manager().identity.project(project_id).id
    except NotFound:
        return ""


def check_project_empty(tools: Tools, project_id: str) -> None:
    """See that nobody has made servers or images in a project by other ways.

    :param project_id: empty if there is none any more.
    :raises Conflict: somebody has.
    """
    if tools.single or not project_id:
        return
    try:
        cloud = tools.clouds.project(project_id)
        servers = [each.name for each in cloud.servers.servers(limit=_TOLD)]
        images = [
            each.name for each in cloud.images.images() if each.owner == project_id
        ]
    except (Forbidden, NotFound):
        # The service was never let in, or the project is gone already.
        return
    found = {"servers": servers, "images": images[:_TOLD]}
    if servers or images:
        raise _not_empty("its project", found)


def _not_empty(what: str, found: Mapping[str, list[str]]) -> Conflict:
    told = "; ".join(
        f"{kind}: {', '.join(sorted(names))}" for kind, names in found.items() if names
    )
    return Conflict(f"{what} has {told}", code="not_empty")
