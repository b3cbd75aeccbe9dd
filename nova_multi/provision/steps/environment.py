# SPDX-License-Identifier: Apache-2.0
"""Environments: a project with its users, and a network of its own."""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.cloud.clouds import Cloud
from nova_multi.domain.errors import Forbidden, NameTaken, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.provision import contents, definitions, limits, publishing
from nova_multi.provision.machines import PARTITION_KEY
from nova_multi.provision.steps import quota
from nova_multi.provision.steps.base import Step, Work, made, ready, take_back

#: Keystone's limit is 64.
_MAX_PROJECT_NAME = 64


def create(work: Work) -> Sequence[Step]:
    """Make an environment."""
    own = [] if work.tools.single else [PROJECT, MEMBERS, quota.SET]
    last = [] if work.tools.single else [TENANT]
    return [NAME, PARTITION, *own, *_NETWORK, *last, READY]


def update(work: Work) -> Sequence[Step]:
    """Let other users in, and let it use more or less."""
    steps = []
    if limits.KEY in work.payload:
        steps.append(quota.CHANGE)
    if "users" in work.payload:
        steps.append(Step("users", "environment", _change_users))
    if "describe" in work.payload:
        steps.append(Step("describe", "environment", _describe))
    return steps


def delete(work: Work) -> Sequence[Step]:
    """Delete what the environment is made of; it must be empty."""
    own = (
        []
        if work.tools.single
        else [
            Step("hosts", "environment", _forget_tenant),
            Step("default groups", "security groups of environment", _delete_groups),
            Step("project", "project", _delete_own_project),
        ]
    )
    return [
        Step("find", "environment", _find, _broken),
        Step("empty", "environment", _check_empty),
        Step("address", "publishing address of", _release_address),
        Step("router", "router", _delete_own_router),
        Step("network", "network", _delete_own_network),
        Step("security group", "security group", _delete_own_group),
        *own,
        Step("name", "environment", _forget),
    ]


# -- making one


def _nothing(work: Work) -> None:
    return


def _free_name(work: Work) -> None:
    definitions.forget(work.tools.store, work.payload["record"])
    if work.tools.store.delete_record(Kind.ENVIRONMENT, work.payload["record"]):
        work.took_back(f"name {work.name}")


NAME = Step("name", "environment", _nothing, _free_name)


def _partition(work: Work) -> None:
    record = ready(work, Kind.PARTITION, work.payload["partition"])
    work.keep(parent_id=record.openstack_id)


PARTITION = Step("partition", "environment", _partition)


def make_project(work: Work, parent_id: str | None, description: str) -> str:
    """Make the project of an environment or a partition.

    Its name is the object's own, unless the domain has another project of that name.
    """
    identity = work.tools.clouds.manager().identity
    own = work.payload["record"][:8]
    names = [work.name, f"{work.name[: _MAX_PROJECT_NAME - len(own) - 1]}-{own}"]
    for name in names:
        try:
            return identity.create_project(
                name,
                work.mark,
                domain_id=work.tools.settings.domain_id,
                parent_id=parent_id,
                description=description,
            ).id
        except NameTaken:
            if name == names[-1]:
                raise
    raise AssertionError("unreachable")


def _project(work: Work) -> None:
    project_id = make_project(
        work, work.state["parent_id"] or None, work.payload.get("description", "")
    )
    work.keep(project_id=project_id)
    work.tools.store.update_record(
        Kind.ENVIRONMENT,
        work.payload["record"],
        openstack_id=project_id,
        project_id=project_id,
    )
    work.tools.store.set_object(work.uuid, project_id, work.fencing)


def delete_project(work: Work) -> None:
    """Take the task's project back."""
    manager = work.tools.clouds.manager()
    ids = made(work, manager, "project", work.state.get("project_id"))
    take_back(work, "project", ids, manager.identity.delete_project)
    for each in ids:
        work.tools.clouds.forget(each)


PROJECT = Step("project", "project", _project, delete_project)


def join(work: Work, project_id: str) -> None:
    """Let the service itself work in a project that it has made."""
    manager = work.tools.clouds.manager()
    role = work.tools.settings.member_role
    manager.grants.grant(project_id, role, user_id=manager.user_id)
    work.tools.clouds.forget(project_id)


def _members(work: Work) -> None:
    project_id, role = work.state["project_id"], work.tools.settings.member_role
    join(work, project_id)
    grants = work.tools.clouds.manager().grants
    for user_id in work.payload.get("user_ids", ()):
        grants.grant(project_id, role, user_id=user_id)


def _delete_groups(work: Work) -> None:
    """Neutron makes a group in each project and leaves it behind."""
    if not work.state.get("project_id"):
        return
    try:
        groups = work.project().networks.security_groups()
    except (Forbidden, NotFound):
        # The project is gone already.
        return
    admin: Cloud = work.tools.clouds.admin()
    for group in groups:
        admin.networks.delete_security_group(group.id)


MEMBERS = Step("users", "users of environment", _members, _delete_groups)


def _network(work: Work) -> None:
    network = work.project().networks.create_network(work.name, work.mark)
    work.keep(network_id=network.id)


def _delete_network(work: Work) -> None:
    cloud = work.project()
    ids = made(work, cloud, "network", work.state.get("network_id"))
    take_back(work, "network", ids, cloud.networks.delete_network)


def _subnet(work: Work) -> None:
    settings = work.tools.settings
    subnet = work.project().networks.create_subnet(
        work.name,
        work.mark,
        network_id=work.state["network_id"],
        cidr=settings.cidr,
        dns=settings.dns,
    )
    work.keep(subnet_id=subnet.id)


def _delete_subnet(work: Work) -> None:
    cloud = work.project()
    ids = made(work, cloud, "subnet", work.state.get("subnet_id"))
    take_back(work, "subnet", ids, cloud.networks.delete_subnet)


def _router(work: Work) -> None:
    networks = work.project().networks
    external = networks.external(work.tools.settings.external_network)
    router = networks.create_router(
        work.name, work.mark, external_network_id=external.id
    )
    work.keep(router_id=router.id)


def _delete_router(work: Work) -> None:
    cloud = work.project()
    ids = made(work, cloud, "router", work.state.get("router_id"))
    take_back(work, "router", ids, cloud.networks.delete_router)


def _connect(work: Work) -> None:
    work.project().networks.connect(work.state["router_id"], work.state["subnet_id"])


def _disconnect(work: Work) -> None:
    work.project().networks.disconnect(work.state["router_id"], work.state["subnet_id"])


def _group(work: Work) -> None:
    group = work.project().networks.create_security_group(work.name, work.mark)
    work.keep(group_id=group.id)


def _delete_group(work: Work) -> None:
    cloud = work.project()
    ids = made(work, cloud, "security_group", work.state.get("group_id"))
    take_back(work, "security group", ids, cloud.networks.delete_security_group)


_NETWORK = [
    Step("network", "network", _network, _delete_network),
    Step("subnet", "subnet", _subnet, _delete_subnet),
    Step("router", "router", _router, _delete_router),
    Step("connect", "router", _connect, _disconnect),
    Step("security group", "security group", _group, _delete_group),
]


def _tenant(work: Work) -> None:
    hosts = work.tools.clouds.admin().hosts
    for aggregate in hosts.aggregates():
        if aggregate.metadata.get(PARTITION_KEY) == work.payload["partition"]:
            hosts.keep_for(aggregate.id, [work.state["project_id"]])


def _forget_tenant(work: Work) -> None:
    project_id = work.state.get("project_id")
    if not project_id:
        return
    hosts = work.tools.clouds.admin().hosts
    for aggregate in hosts.aggregates():
        if aggregate.metadata.get(PARTITION_KEY) == work.payload["partition"]:
            hosts.keep_no_more(aggregate.id, [project_id])


TENANT = Step("hosts", "environment", _tenant, _forget_tenant)


def _ready(work: Work) -> None:
    keys = ("network_id", "subnet_id", "router_id", "group_id")
    work.tools.store.update_record(
        Kind.ENVIRONMENT,
        work.payload["record"],
        merge={"state": "ready", **{key: work.state[key] for key in keys}},
    )


READY = Step("ready", "environment", _ready)


# -- changing one


def _change_users(work: Work) -> None:
    """Give the role to who is named, take it from all others that Keystone knows of."""
    record = work.record(Kind.ENVIRONMENT)
    grants = work.tools.clouds.manager().grants
    role, project_id = work.tools.settings.member_role, record.openstack_id
    wanted = list(work.payload["user_ids"])
    for user_id in wanted:
        grants.grant(project_id, role, user_id=user_id)
    # Without its own role the service could do nothing in the project any more.
    staying = {*wanted, *work.tools.own_users()}
    for grant in grants.grants(project_id):
        if grant.role == role and grant.user_id and grant.user_id not in staying:
            grants.revoke(project_id, role, user_id=grant.user_id)
    work.tools.store.update_record(
        Kind.ENVIRONMENT,
        record.uuid,
        merge={"users": list(work.payload["users"]), "user_ids": wanted},
    )


def _describe(work: Work) -> None:
    work.tools.store.update_record(
        Kind.ENVIRONMENT, work.payload["record"], merge=work.payload["describe"]
    )


# -- deleting one


def _find(work: Work) -> None:
    work.status(TaskStatus.DELETING)
    record = work.find_record(Kind.ENVIRONMENT)
    if record is None:
        return
    keys = ("network_id", "subnet_id", "router_id", "group_id")
    work.keep(
        project_id=contents.standing_project(work.tools, record.openstack_id),
        **{key: record.data.get(key) for key in keys},
    )


def _inside(work: Work) -> Cloud | None:
    """The environment's project; None if there is none any more."""
    if not work.tools.single and not work.state.get("project_id"):
        return None
    return work.project()


def _broken(work: Work) -> None:
    """What is left of it can be deleted by another try, not used."""
    if work.find_record(Kind.ENVIRONMENT):
        emptied = "empty" in work.done
        state = "error" if emptied else work.payload.get("state", "ready")
        work.tools.store.update_record(
            Kind.ENVIRONMENT, work.payload["record"], merge={"state": state}
        )


def _check_empty(work: Work) -> None:
    """Nothing comes into it from now on: it is in the state deleting."""
    record = work.find_record(Kind.ENVIRONMENT)
    if record:
        contents.check_empty(work.tools.store, record)
    contents.check_project_empty(work.tools, work.state.get("project_id") or "")


def _release_address(work: Work) -> None:
    environment = work.payload["record"]
    record = publishing.address_record(work.tools, environment)
    if record is None:
        return
    cloud = _inside(work)
    if record.openstack_id and cloud:
        cloud.publishing.release_address(record.openstack_id)
    work.tools.store.delete_record(publishing.ADDRESS, record.uuid)


def _delete_own_router(work: Work) -> None:
    cloud, state = _inside(work), work.state
    if cloud and state.get("router_id"):
        if state.get("subnet_id"):
            cloud.networks.disconnect(state["router_id"], state["subnet_id"])
        cloud.networks.delete_router(state["router_id"])


def _delete_own_network(work: Work) -> None:
    cloud = _inside(work)
    if cloud and work.state.get("network_id"):
        cloud.networks.delete_network(work.state["network_id"])


def _delete_own_group(work: Work) -> None:
    cloud = _inside(work)
    if cloud and work.state.get("group_id"):
        cloud.networks.delete_security_group(work.state["group_id"])


def _delete_own_project(work: Work) -> None:
    project_id = work.state.get("project_id")
    if project_id:
        work.tools.clouds.manager().identity.delete_project(project_id)
        work.tools.clouds.forget(project_id)


def _forget(work: Work) -> None:
    store, uuid = work.tools.store, work.payload["record"]
    store.lifetimes.want_no_more(uuid, work.tools.clock())
    definitions.forget(store, uuid)
    store.delete_record(Kind.ENVIRONMENT, uuid)
