# SPDX-License-Identifier: Apache-2.0
"""What is only seen when all of a file was read: names, ports, references."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Any

from nova_multi.domain.definition import (
    ImageDefinition,
    InstanceDefinition,
    NetworkDefinition,
    Root,
)
from nova_multi.domain.publish import Place as Taken
from nova_multi.domain.schedule import Schedule
from nova_multi.spec import order
from nova_multi.spec.context import Context, Use
from nova_multi.spec.problems import shown
from nova_multi.spec.tree import Spot

#: Of one environment, all counts together.
MAX_INSTANCES = 50_000

_NUMBERED = re.compile(r"(.+)-([1-9][0-9]{0,3})", re.ASCII)


def check(ctx: Context, root: Spot, found: Mapping[str, Any]) -> None:
    """Take down all that does not go together.

    :param found: what could be read of the file, by section.
    """
    instances: Mapping[str, InstanceDefinition] = found.get("instances", {})
    if instances:
        spot = root.at("instances")
        _check_numbers(ctx, spot, instances)
        _check_ports(ctx, spot, instances)
    if networks := found.get("networks"):
        _check_networks(ctx, root.at("networks"), networks)
        name = found.get("name")
        if name and name in networks:
            told = f"{name} is what the environment's own network is called"
            ctx.add(root.at("networks").at(name), told)
    known = _names(root, "instances")
    schedule: Schedule | None = found.get("schedule")
    if schedule and schedule.save:
        _check_saved(ctx, root.at("schedule").at("save"), schedule, known)
    _check_images(ctx, root, found.get("images", {}), known)
    for use in ctx.uses:
        _check_use(ctx, use, known, instances)
    order.check(ctx, root, found, known, _names(root, "provisioners"))


def _check_saved(
    ctx: Context, spot: Spot, schedule: Schedule, known: Collection[str]
) -> None:
    for item in spot.items():
        if item.value in schedule.save and item.value not in known:
            hint = ctx.report.suggest(item.value, known)
            told = f"there is no instance {shown(item.value)} in the file{hint}"
            ctx.add(item, told, "not_found")


def _check_images(
    ctx: Context,
    root: Spot,
    images: Mapping[str, ImageDefinition],
    instances: Collection[str],
) -> None:
    known = _names(root, "images")
    for name, spot in ctx.images_used:
        if name not in known:
            hint = ctx.report.suggest(name, known)
            ctx.add(spot, f"there is no image {name} in the file{hint}", "not_found")
    for image in images.values():
        if image.instance and image.instance not in instances:
            hint = ctx.report.suggest(image.instance, instances)
            told = f"there is no instance {shown(image.instance)} in the file{hint}"
            spot = root.at("images").at(image.name).at("instance")
            ctx.add(spot, told, "not_found")


def _names(root: Spot, section: str) -> Collection[str]:
    """All names of a section, also of what could not be read."""
    given = (root.value or {}).get(section)
    return given.node.value if given and isinstance(given.node.value, dict) else ()


def _check_numbers(
    ctx: Context, spot: Spot, instances: Mapping[str, InstanceDefinition]
) -> None:
    total = sum(each.count for each in instances.values())
    if total > MAX_INSTANCES:
        told = f"are {total} instances, at most {MAX_INSTANCES} are possible"
        ctx.add(spot, told)
    for name, instance in instances.items():
        numbered = _NUMBERED.fullmatch(name)
        if instance.count != 1 or not numbered:
            continue
        other = instances.get(numbered[1])
        if other and other.count > 1 and int(numbered[2]) <= other.count:
            ctx.add(
                spot.at(name),
                f"the name {name} is that of one of the {other.count} instances of"
                f" {other.name}",
            )


def _check_ports(
    ctx: Context, spot: Spot, instances: Mapping[str, InstanceDefinition]
) -> None:
    taken: dict[Taken, str] = {}
    for name, instance in instances.items():
        for index, port in enumerate(instance.publish if instance.count == 1 else ()):
            if port.place is None:
                continue
            other = taken.setdefault(port.place, name)
            if other != name:
                listed = spot.at(name).at("publish")
                places = list(listed.items())
                complete = len(places) == len(instance.publish)
                ctx.add(
                    places[index] if complete else listed,
                    f"{port.protocol} port {port.outside} is published by {other}"
                    " already",
                )


def _check_networks(
    ctx: Context, spot: Spot, networks: Mapping[str, NetworkDefinition]
) -> None:
    ranges = sorted(
        (
            (ipaddress.ip_network(each.cidr), each.name)
            for each in networks.values()
            if each.cidr and each.routed
        ),
        key=lambda entry: (entry[0].version, int(entry[0].network_address)),
    )
    widest: tuple[Any, str] | None = None
    for network, name in ranges:
        if widest and network.version == widest[0].version:
            if network.overlaps(widest[0]):
                told = f"overlaps {widest[1]} ({widest[0]}), and both are routed"
                ctx.add(spot.at(name).at("cidr"), told)
            if network.broadcast_address <= widest[0].broadcast_address:
                continue
        widest = (network, name)


def _check_use(
    ctx: Context,
    use: Use,
    known: Collection[str],
    instances: Mapping[str, InstanceDefinition],
) -> None:
    reference = use.reference
    if reference.root is Root.INPUTS:
        entry = ctx.inputs[reference.name]
        public = reference.attribute == "public"
        if use.section == "outputs" and entry.secret and not public:
            told = f"{reference} is secret: outputs are for everybody"
            ctx.add(use.spot, told)
        return
    if reference.root is not Root.INSTANCES:
        return
    name = reference.name
    if name not in known:
        hint = ctx.report.suggest(name, known)
        told = f"{reference}: there is no instance {name} in the file{hint}"
        ctx.add(use.spot, told, "not_found")
        return
    if use.section == "instances" and use.owner == name:
        told = f"{reference}: an instance can't refer to itself, which is not there yet"
        ctx.add(use.spot, told)
    instance = instances.get(name)
    if instance is None or ("instances", name) in ctx.flawed:
        return
    if instance.count == 0:
        ctx.add(use.spot, f"{reference}: the count of {name} is 0: there is none")
    elif reference.index is not None and reference.index >= instance.count:
        last = f"{name}[{instance.count - 1}]"
        told = f"{reference}: the count of {name} is {instance.count}"
        ctx.add(use.spot, f"{told}, and the last is {last}")
    inside = {
        f"{port.inside}" if port.protocol == "tcp" else f"{port.inside}/udp"
        for port in instance.publish
    }
    if reference.attribute == "published" and reference.key not in inside:
        told = ", ".join(sorted(inside)) or "no port"
        ctx.add(use.spot, f"{reference}: {name} publishes {told}")
