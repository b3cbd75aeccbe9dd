# SPDX-License-Identifier: Apache-2.0
"""In what an instance, or an environment, is not as its definition says. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nova_multi.domain.definition import Definition
from nova_multi.domain.plan import (
    Condition,
    Difference,
    PresentEnvironment,
    PresentInstance,
)
from nova_multi.domain.publish import Publish
from nova_multi.provision.recipes import Recipe
from nova_multi.provision.references import Standing

_UNKNOWN = "(known later)"
_CONDITIONS = {
    Condition.GONE: ("server", "gone"),
    Condition.BROKEN: ("server", "in state ERROR"),
    Condition.FAILED: ("instance", "failed"),
}
_AMOUNTS = {"cpus": "cpus", "memory": "memory_mb", "disk": "disk_gb"}


def depends_key(provisioner: str) -> str:
    """What the addresses of a provisioner's instances are kept under."""
    return f"${{provisioners.{provisioner}.addresses}}"


def differences(
    recipe: Recipe, name: str, there: PresentInstance, standing: Standing
) -> tuple[Difference, ...]:
    """All that is to be changed of an instance.

    :param standing: everything that it may refer to, as it will be.
    """
    return (
        *_drift(there),
        *_of_definition(recipe, there),
        *_of_references(recipe, there, standing),
        *_in_place(recipe, name, there),
    )


def _drift(there: PresentInstance) -> Iterator[Difference]:
    """What other hands have done to it."""
    if there.condition is not Condition.STANDING:
        field, before = _CONDITIONS[there.condition]
        yield Difference(f"{field} {before}", drift=True)
    if there.actual is None:
        return
    for field, attribute in _AMOUNTS.items():
        made, now = getattr(there.size, attribute), getattr(there.actual, attribute)
        if made != now:
            yield Difference(field, str(now), str(made), drift=True)


def _of_definition(recipe: Recipe, there: PresentInstance) -> Iterator[Difference]:
    """What the definition says otherwise than when the instance was made."""
    words, before = recipe.words, there.words
    if words == before:
        return
    # Where its image can't be used any more, the words are all there is to go by.
    known = recipe.driver is not None and recipe.size is not None
    if recipe.image != there.image:
        yield Difference("image", there.image, recipe.image)
    if known:
        if recipe.driver != there.driver:
            yield Difference("driver", str(there.driver or ""), str(recipe.driver))
        for field, attribute in _AMOUNTS.items():
            wanted, made = (
                getattr(recipe.size, attribute),
                getattr(there.size, attribute),
            )
            if wanted != made:
                yield Difference(field, str(made), str(wanted))
    elif recipe.image == there.image:
        for field in ("driver", "cpus", "memory_mb", "disk_gb"):
            if words.get(field) != before.get(field):
                yield Difference(field, _told(before, field), _told(words, field))
    if recipe.host_type != there.host_type:
        yield Difference(
            "host_type", str(there.host_type or ""), str(recipe.host_type or "")
        )
    for field in ("script", "depends", "networks"):
        if words.get(field) != before.get(field):
            yield Difference(field, _told(before, field), _told(words, field))
    yield from _variables(recipe, there)


def _variables(recipe: Recipe, there: PresentInstance) -> Iterator[Difference]:
    wanted = recipe.words.get("variables", {})
    before = there.words.get("variables", {})
    for key in {**before, **wanted}:
        if wanted.get(key) != before.get(key):
            yield Difference(
                f"variable {key}", _quoted(before, key), _quoted(wanted, key)
            )
    versions = there.words.get("secrets", {})
    for key, version in recipe.words.get("secrets", {}).items():
        if key in versions and versions[key] != version:
            yield Difference(f"secret {key}")


def _of_references(
    recipe: Recipe, there: PresentInstance, standing: Standing
) -> Iterator[Difference]:
    """What its script was told that is not so any more, or will not be."""
    if not there.told:
        return
    now = {str(each): standing.value(each) for each in recipe.references}
    for provisioner, parts in recipe.depends.items():
        now[depends_key(provisioner)] = standing.addresses(parts)
    for key, value in now.items():
        if key in there.told and there.told[key] != value:
            yield Difference(key, there.told[key], value or _UNKNOWN)


def _in_place(
    recipe: Recipe, name: str, there: PresentInstance
) -> Iterator[Difference]:
    pairs = (
        ("name", there.name, name),
        ("description", there.description, recipe.description),
        ("provisioner", there.provisioner, recipe.provisioner),
        ("tags", ", ".join(there.tags), ", ".join(recipe.tags)),
        ("publish", _ports(there.publish), _ports(recipe.publish)),
    )
    for field, before, after in pairs:
        if before != after:
            yield Difference(field, before or "none", after or "none", in_place=True)


def published_after(recipe: Recipe, there: PresentInstance) -> tuple[Publish, ...]:
    """An instance's published ports once they are as its recipe says.

    Those that are to be had at any outside port, and don't have one yet, are left out.
    """
    now = {(each.inside, each.protocol): each for each in there.published}
    found = []
    for each in recipe.publish:
        kept = now.get((each.inside, each.protocol))
        if each.outside is not None:
            found.append(each)
        elif kept:
            found.append(kept)
    return tuple(found)


def environment_differences(
    definition: Definition, there: PresentEnvironment
) -> tuple[Difference, ...]:
    """What is to be changed of an environment; what the file leaves out stays."""
    found = []
    if definition.description and definition.description != there.description:
        found.append(
            Difference(
                "description",
                there.description or "none",
                definition.description,
                in_place=True,
            )
        )
    if definition.users is not None and set(definition.users) != set(there.users):
        before, after = (", ".join(sorted(u)) for u in (there.users, definition.users))
        found.append(
            Difference("users", before or "none", after or "none", in_place=True)
        )
    if definition.schedule is not None and definition.schedule != there.schedule:
        found.append(Difference("schedule", in_place=True))
    return tuple(found)


def _told(words: object, key: str) -> str:
    assert isinstance(words, dict)
    value = words.get(key)
    return ", ".join(value) if isinstance(value, list) else str(value or "none")


def _quoted(words: dict[str, str], key: str) -> str:
    return repr(words[key])[:80] if key in words else "none"


def _ports(publish: tuple[Publish, ...]) -> str:
    return ", ".join(sorted(map(str, publish)))
