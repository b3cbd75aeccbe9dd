# SPDX-License-Identifier: Apache-2.0
"""What stands in an environment: our own records, and what Nova says of them.

It costs one list of servers, however many there are, three of Neutron's where
definitions have made networks, and a request for each image that they have made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from nova_multi.cloud.values import Server, StoredImage, Subnet
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import NotFound
from nova_multi.domain.host import HostType
from nova_multi.domain.instance import Size
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import (
    Condition,
    Present,
    PresentEnvironment,
    PresentImage,
    PresentInstance,
    PresentNetwork,
)
from nova_multi.domain.publish import Publish
from nova_multi.provision import hours, publishing, saved, sharing
from nova_multi.provision.store import Record
from nova_multi.provision.tools import Tools

#: Keys of an instance's record that a definition has made: see
#: :class:`nova_multi.domain.plan.PresentInstance`.
PART, INDEX, WORDS, TOLD, NEEDS = "part", "index", "words", "told", "needs"
#: The image as the definition calls it; ``image`` is its id.
IMAGE_NAME = "image_name"
#: UUID of the record of the definition's own image that it was made of.
IMAGE_RECORD = "image_record"
#: Keys of an image's record: see :class:`nova_multi.domain.plan.PresentImage`.
PROPERTIES = "properties"
#: Names of the definition's networks that it is on.
NETWORKS = "own_networks"
#: Key of an environment's record: an apply has made it.
MADE = "made"


def read(tools: Tools, environment: Record | None) -> Present:
    """All that there is in an environment; one that is only just made isn't there yet.

    :raises Unavailable: Nova does not answer.
    """
    if environment is None:
        return Present()
    coming = environment.data.get("state") == "creating"
    there = None if coming else environment
    records = tools.store.list_records(Kind.INSTANCE, scope=environment.uuid)
    makers = {each.task_uuid for each in records if each.data.get("creating")}
    makers |= {each.task_uuid for each in records if each.data.get("provisioning")}
    makers |= {each.data["deleting"] for each in records if each.data.get("deleting")}
    going_on = makers - tools.store.ends(makers).keys()
    servers = _servers(tools, environment) if records else {}
    suffixes = sorted(tools.settings.suffixes.values(), key=len, reverse=True)
    instances = []
    for record in records:
        server = servers.get(record.openstack_id)
        host = (server.host or "") if server else ""
        for suffix in suffixes:
            host = host.removesuffix(suffix)
        condition = _condition(record, server, going_on)
        instances.append(instance(record, condition, _changed(record, server), host))
    described = describe(tools, there) if there else None
    networks = networks_of(tools, environment)
    names = {each.openstack_id: each.name for each in networks if each.openstack_id}
    return Present(
        described,
        tuple(_by_names(each, names) for each in instances),
        tuple(_networks(tools, environment, networks)),
        tuple(_images(tools, environment)),
        saved.disks(tools.store, environment),
    )


def _by_names(instance: PresentInstance, names: Mapping[str, str]) -> PresentInstance:
    """An instance whose networks may have been named by their ids."""
    networks = tuple(names.get(each, each) for each in instance.networks)
    return dataclasses.replace(instance, networks=networks)


def networks_of(tools: Tools, environment: Record) -> list[Record]:
    """Records of the networks that definitions have made in an environment."""
    return tools.store.list_records(Kind.NETWORK, scope=environment.uuid)


def _networks(
    tools: Tools, environment: Record, records: Sequence[Record]
) -> Iterator[PresentNetwork]:
    """Networks, as Neutron has them now; it is only asked if there are some."""
    if not records:
        return
    makers = {each.task_uuid for each in records if each.data.get("creating")}
    makers |= {each.data["deleting"] for each in records if each.data.get("deleting")}
    going_on = makers - tools.store.ends(makers).keys()
    cloud = tools.of_environment(environment).networks
    stands = bool(environment.openstack_id) or tools.single
    there = {each.id for each in cloud.networks()} if stands else set()
    subnets = {each.id: each for each in cloud.subnets()} if stands else {}
    router = environment.data.get("router_id")
    connected = cloud.connected(router) if router and stands else frozenset()
    for record in records:
        subnet = subnets.get(record.data.get("subnet_id", ""))
        if record.openstack_id not in there:
            subnet = None
        yield _network(record, subnet, connected, going_on, tools.settings.dns)


def _network(
    record: Record,
    subnet: Subnet | None,
    connected: Collection[str],
    going_on: Collection[str],
    default_dns: Sequence[str],
) -> PresentNetwork:
    data = record.data
    found = PresentNetwork(
        uuid=record.uuid,
        name=record.name,
        cidr=data["cidr"],
        dhcp=data.get("dhcp", ""),
        dns=tuple(data.get("dns", ())),
        routed=data.get("routed", True),
    )
    if data.get("deleting") in going_on:
        return dataclasses.replace(found, condition=Condition.GONE)
    if data.get("creating"):
        if record.task_uuid in going_on:
            return found
        return dataclasses.replace(found, condition=Condition.FAILED)
    if subnet is None or subnet.cidr != found.cidr:
        return dataclasses.replace(found, condition=Condition.GONE)
    wanted_dns = set(found.dns or default_dns)
    pool = "-".join(subnet.pools[0]) if len(subnet.pools) == 1 else ""
    return dataclasses.replace(
        found,
        actual_dns=None if set(subnet.dns) == wanted_dns else subnet.dns,
        actual_dhcp=pool if found.dhcp and pool != found.dhcp else None,
        connected=(subnet.id in connected) == found.routed,
    )


def images_of(tools: Tools, environment: Record) -> list[Record]:
    """Records of the images that definitions have made in an environment."""
    return [
        each
        for each in tools.store.list_records(Kind.IMAGE, scope=environment.uuid)
        # Those of instances belong to it, too, and no definition has made them.
        if is_of_definition(each)
    ]


def is_of_definition(image: Record) -> bool:
    """Whether a definition has made what the record of an image stands for."""
    return WORDS in image.data


def _images(tools: Tools, environment: Record) -> Iterator[PresentImage]:
    """Images, as Glance has them now; each is asked for by itself."""
    records = images_of(tools, environment)
    makers = {each.task_uuid for each in records if _is_coming(each)}
    makers |= {each.data["deleting"] for each in records if each.data.get("deleting")}
    going_on = makers - tools.store.ends(makers).keys()
    for record in records:
        yield image(record, stored_image(tools, record), going_on)


def stored_image(tools: Tools, record: Record) -> StoredImage | None:
    """An image of a record as Glance has it; None if there is none."""
    if not record.openstack_id:
        return None
    home = sharing.image_home(tools, record.data.get("home", ""))
    try:
        return home.images.image(record.openstack_id)
    except NotFound:
        return None


def image(
    record: Record, stored: StoredImage | None, going_on: Collection[str] = ()
) -> PresentImage:
    """An image by its record, and by what Glance says of it."""
    data = record.data
    found = PresentImage(
        uuid=record.uuid,
        name=record.name,
        id=record.openstack_id,
        words=data.get(WORDS, {}),
        properties=data.get(PROPERTIES, {}),
    )
    if data.get("deleting") in going_on:
        return dataclasses.replace(found, condition=Condition.GONE)
    if _is_coming(record):
        coming = record.task_uuid in going_on
        condition = Condition.STANDING if coming else Condition.FAILED
        return dataclasses.replace(found, condition=condition)
    if stored is None or stored.status != "active":
        return dataclasses.replace(found, condition=Condition.GONE)
    return dataclasses.replace(
        found,
        min_memory_mb=stored.min_memory_mb,
        min_disk_gb=stored.min_disk_gb,
        actual={
            key: stored.properties.get(key, "")
            for key, value in found.properties.items()
            if stored.properties.get(key) != value
        },
    )


def _is_coming(record: Record) -> bool:
    return record.data.get("state") != "ready"


def describe(tools: Tools, environment: Record) -> PresentEnvironment:
    """An environment by its records alone."""
    address = publishing.address_record(tools, environment.uuid)
    partition = tools.store.record(Kind.PARTITION, environment.scope)
    data = environment.data
    return PresentEnvironment(
        name=environment.name,
        partition=partition.name,
        description=data.get("description", ""),
        users=tuple(data.get("users", ())),
        publish_address=address.data.get("address", "") if address else "",
        made=bool(data.get(MADE)),
        schedule=hours.schedule_of(environment),
    )


def instance(
    record: Record,
    condition: Condition = Condition.STANDING,
    actual: Size | None = None,
    host: str = "",
) -> PresentInstance:
    """An instance by its record."""
    data = record.data
    driver, kind = data.get("driver"), data.get("host_type")
    amounts = (data.get(key, 0) for key in ("cpus", "memory_mb", "disk_gb"))
    return PresentInstance(
        uuid=record.uuid,
        name=record.name,
        part=data.get(PART, ""),
        index=data.get(INDEX, 0),
        condition=condition,
        words=data.get(WORDS, {}),
        image=data.get(IMAGE_NAME, ""),
        image_record=data.get(IMAGE_RECORD, ""),
        driver=Driver(driver) if driver else None,
        size=Size(*amounts),
        actual=actual,
        host_type=HostType(kind) if kind else None,
        provisioner=data.get("provisioner", ""),
        description=data.get("description") or "",
        tags=tuple(data.get("tags", ())),
        publish=tuple(map(Publish.parse, data.get("publish", ()))),
        published=tuple(
            map(Publish.parse, data.get("published") or data.get("publish", ()))
        ),
        told=data.get(TOLD, {}),
        needs=tuple(data.get(NEEDS, ())),
        networks=tuple(data.get(NETWORKS) or data.get("networks", ())),
        addresses=tuple(data.get("addresses", ())),
        host=host,
    )


def _servers(tools: Tools, environment: Record) -> Mapping[str, Server]:
    if tools.single:
        found = tools.clouds.project("").servers.servers()
    elif environment.openstack_id:
        projects = {environment.openstack_id}
        # Nova tells the host to administrators only.
        found = tools.clouds.admin().servers.servers(project_ids=projects)
    else:
        return {}
    return {server.id: server for server in found}


def _condition(record: Record, server: Server | None, going_on: set[str]) -> Condition:
    data = record.data
    if data.get("deleting") in going_on:
        return Condition.GONE
    if record.task_uuid in going_on:
        return Condition.STANDING
    marks = ("creating", "provisioning", "failed")
    if not record.openstack_id or any(map(data.get, marks)):
        return Condition.FAILED
    if server is None or server.status == "DELETED":
        return Condition.GONE
    return Condition.BROKEN if server.status == "ERROR" else Condition.STANDING


def _changed(record: Record, server: Server | None) -> Size | None:
    """The size that a server has, if it isn't the one that it was made with.

    A cloud that lets us make no flavors may have given it a larger one.
    """
    data = record.data
    made = data.get("flavor")
    if server is None or not made or data.get("creating"):
        return None
    flavor = server.flavor
    actual = Size(flavor.cpus, flavor.memory_mb, flavor.disk_gb)
    return None if actual == Size(*made) else actual
