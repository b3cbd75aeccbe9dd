# SPDX-License-Identifier: Apache-2.0
"""What must stand before what: names that there are, and no circles."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from nova_multi.domain.definition import (
    ImageDefinition,
    InstanceDefinition,
    ProvisionerDefinition,
    Root,
)
from nova_multi.spec.context import Context
from nova_multi.spec.problems import shown
from nova_multi.spec.tree import Spot

#: So many circles are told, and so many names of one.
_MAX_CIRCLES = 20
_MAX_NAMES = 20

#: What must stand before something, and where that is said.
_Edges = dict[str, list[tuple[str, Spot]]]

# Names of instances and provisioners don't begin so.
_INSTANCES_OF = "*"
_NEEDS_OF = "+"


def check(
    ctx: Context,
    root: Spot,
    found: Mapping[str, Any],
    instances: Collection[str],
    provisioners: Collection[str],
) -> None:
    """Take down unknown names and circles of ``depends`` and ``depends_on``.

    :param found: what could be read, by section.
    :param instances: names of all, also of those that could not be read.
    :param provisioners: the same.
    """
    depends: _Edges = {}
    for name, spot, wanted in _listed(root, found, "provisioners", "depends"):
        if wanted not in provisioners:
            _unknown(ctx, spot, "provisioner", wanted, provisioners)
        elif wanted != name:  # told with the provisioner's other fields
            depends.setdefault(name, []).append((wanted, spot))
    in_circles = _tell_circles(ctx, depends, "provisioners depend")
    needs: _Edges = {}
    for name, spot, wanted in _listed(root, found, "instances", "depends_on"):
        if wanted not in instances:
            _unknown(ctx, spot, "instance", wanted, instances)
        elif wanted == name:
            ctx.add(spot, "an instance can't depend on itself")
        else:
            needs.setdefault(name, []).append((wanted, spot))
    for use in ctx.uses:
        wanted = use.reference.name
        if use.reference.root is Root.INSTANCES and wanted in instances:
            if use.section == "provisioners":
                key = f"{_NEEDS_OF}{use.owner}"
                needs.setdefault(key, []).append((wanted, use.spot))
            elif use.section == "instances" and wanted != use.owner:
                needs.setdefault(use.owner, []).append((wanted, use.spot))
    by_name: Mapping[str, InstanceDefinition] = found.get("instances", {})
    for instance in by_name.values():
        if instance.provisioner in provisioners:
            spot = root.at("instances").at(instance.name)
            needs.setdefault(instance.name, []).append(
                (f"{_NEEDS_OF}{instance.provisioner}", spot)
            )
            needs.setdefault(f"{_INSTANCES_OF}{instance.provisioner}", []).append(
                (instance.name, spot)
            )
    for name, wanted, spot in _of_images(root, found):
        if wanted in instances:
            needs.setdefault(name, []).append((wanted, spot))
    for name, edges in depends.items():
        if name not in in_circles:
            needs.setdefault(f"{_NEEDS_OF}{name}", []).extend(
                (f"{_INSTANCES_OF}{wanted}", spot) for wanted, spot in edges
            )
    _tell_circles(ctx, needs, "instances need each other")


def _listed(
    root: Spot, found: Mapping[str, Any], section: str, field: str
) -> Iterator[tuple[str, Spot, str]]:
    """Whose list, where in it, and which name."""
    entries: Mapping[str, InstanceDefinition | ProvisionerDefinition]
    entries = found.get(section, {})
    for name, entry in entries.items():
        wanted = getattr(entry, field)
        if not wanted:
            continue
        listed = root.at(section).at(name).at(field)
        places = list(listed.items())
        for index, each in enumerate(wanted):
            complete = len(places) == len(wanted)
            yield name, places[index] if complete else listed, each


def _of_images(root: Spot, found: Mapping[str, Any]) -> Iterator[tuple[str, str, Spot]]:
    """Instances with the one that their image is made of, and where it is named."""
    images: Mapping[str, ImageDefinition] = found.get("images", {})
    if not any(each.instance for each in images.values()):
        return
    provisioners = found.get("provisioners", {})
    for instance in found.get("instances", {}).values():
        provisioner = provisioners.get(instance.provisioner)
        spot, image = root.at("instances").at(instance.name), instance.image
        if not image and provisioner:
            spot = root.at("provisioners").at(provisioner.name)
            image = provisioner.image
        source = images.get(image)
        if source and source.instance:
            yield instance.name, source.instance, spot.at("image")


def _unknown(
    ctx: Context, spot: Spot, noun: str, name: str, known: Collection[str]
) -> None:
    hint = ctx.report.suggest(name, known)
    told = f"there is no {noun} {shown(name)} in the file{hint}"
    ctx.add(spot, told, "not_found")


def _tell_circles(ctx: Context, edges: _Edges, told: str) -> set[str]:
    """Take down the circles; the names in them."""
    found: set[str] = set()
    for count, circle in enumerate(_circles(edges)):
        if count == _MAX_CIRCLES:
            break
        found.update(name for name, _ in circle)
        spot = min((spot for _, spot in circle), key=lambda each: each.node.place.order)
        names = [
            name for name, _ in circle if name[0] not in (_INSTANCES_OF, _NEEDS_OF)
        ]
        # From the first name of the alphabet: the same circle is told the same way.
        start = names.index(min(names))
        names = [*names[start:], *names[:start]]
        shown_names = [*names, names[0]]
        if len(names) > _MAX_NAMES:
            shown_names = [*names[:_MAX_NAMES], f"... ({len(names)} in all)"]
        message = f"{told} in a circle: {' → '.join(shown_names)}"
        ctx.add(spot, message, "dependency_circle")
    return found


def _circles(edges: _Edges) -> Iterator[list[tuple[str, Spot]]]:
    """Circles of a graph, each as names with the place that leads to the next.

    Not all of them, but none only if there is none. Not recursive.
    """
    done: set[str] = set()
    for start in edges:
        if start in done:
            continue
        # The way to here: names, where each leads on, and what it still leads to.
        way: dict[str, Spot | None] = {start: None}
        waiting = [(start, iter(edges[start]))]
        while waiting:
            name, targets = waiting[-1]
            for target, spot in targets:
                way[name] = spot
                if target in way:
                    names = [*way]
                    circle = names[names.index(target) :]
                    yield [(each, way[each] or spot) for each in circle]
                elif target not in done:
                    way[target] = None
                    waiting.append((target, iter(edges.get(target, ()))))
                    break
            else:
                waiting.pop()
                del way[name]
                done.add(name)
