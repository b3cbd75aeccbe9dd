# SPDX-License-Identifier: Apache-2.0
"""What a task has made already, for the one who takes it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nova_multi.cloud import marks
from nova_multi.cloud.compute import Servers
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.host import Hosts
from nova_multi.cloud.identity import Identity
from nova_multi.cloud.image import Images
from nova_multi.cloud.neutron import Neutron
from nova_multi.cloud.values import Made

_Pairs = list[tuple[str, str]]
_Finder = Callable[[Connection, str], _Pairs]


def find_made(
    connection: Connection, task_uuid: str, kind: str, domain_id: str | None = None
) -> tuple[Made, ...]:
    """Ids and names of what carries the task's mark; one request.

    :param connection: in the project where the task works; the domain's manager's for
        projects, users and groups; an administrator's for aggregates.
    :param kind: one of :data:`KINDS` or :data:`IN_DOMAINS`. Flavors belong to no task:
        their names tell what they are.
    :param domain_id: of the projects, users and groups: Keystone refuses lists of all
        domains to the manager of one. Other kinds are in none.
    """
    if kind in IN_DOMAINS:
        found = IN_DOMAINS[kind](connection, task_uuid, domain_id)
    else:
        found = KINDS[kind](connection, task_uuid)
    return tuple(Made(kind, object_id, name) for object_id, name in found)


def _servers(connection: Connection, task: str) -> _Pairs:
    found = Servers(connection).servers(tags=[marks.task_tag(task)])
    return [(each.id, each.name) for each in found]


def _images(connection: Connection, task: str) -> _Pairs:
    found = Images(connection, 0).images(properties={marks.TASK_KEY: task})
    return [(each.id, each.name) for each in found]


def _projects(connection: Connection, task: str, domain_id: str | None) -> _Pairs:
    identity, tags = Identity(connection), [marks.task_tag(task)]
    found = identity.projects(domain_id=domain_id, tags=tags)
    return [(each.id, each.name) for each in found]


def _users(connection: Connection, task: str, domain_id: str | None) -> _Pairs:
    found = Identity(connection).users(domain_id=domain_id)
    return [(each.id, each.name) for each in found if each.task == task]


def _groups(connection: Connection, task: str, domain_id: str | None) -> _Pairs:
    found = Identity(connection).groups(domain_id=domain_id)
    return [(each.id, each.name) for each in found if each.task == task]


def _aggregates(connection: Connection, task: str) -> _Pairs:
    return [
        (each.id, each.name)
        for each in Hosts(connection).aggregates()
        if each.metadata.get(marks.TASK_KEY) == task
    ]


def _of_neutron(collection: str) -> _Finder:
    def find(connection: Connection, task: str) -> _Pairs:
        query = {"description": marks.task_tag(task)}
        found = Neutron(connection).listed(collection, query)
        return [
            (raw["id"], raw.get("name") or raw.get("floating_ip_address") or "")
            for raw in found
        ]

    return find


#: How each of Keystone's kinds is looked for.
IN_DOMAINS: Mapping[str, Callable[[Connection, str, str | None], _Pairs]] = {
    "project": _projects,
    "user": _users,
    "group": _groups,
}
#: How each of the others is looked for.
KINDS: Mapping[str, _Finder] = {
    "server": _servers,
    "image": _images,
    "aggregate": _aggregates,
    "network": _of_neutron("networks"),
    "subnet": _of_neutron("subnets"),
    "router": _of_neutron("routers"),
    "port": _of_neutron("ports"),
    "security_group": _of_neutron("security-groups"),
    "security_group_rule": _of_neutron("security-group-rules"),
    "floating_ip": _of_neutron("floatingips"),
}
