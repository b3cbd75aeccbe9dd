# SPDX-License-Identifier: Apache-2.0
"""What each part of a definition comes down to, with its provisioner and image. Pure.

What a definition says of an instance is kept with the instance as its *words*, so that
a later plan can tell what has changed in the definition from what changed elsewhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from nova_multi.domain.definition import (
    Definition,
    InstanceDefinition,
    ProvisionerDefinition,
    Reference,
    Template,
)
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, DomainError, Invalid, Unsupported
from nova_multi.domain.host import HostType
from nova_multi.domain.instance import (
    Size,
    choose_driver,
    choose_size,
    fit_image,
    numbered,
)
from nova_multi.domain.plan import Facts, ImageKey
from nova_multi.domain.provisioner import Provisioner, Ways, check_image
from nova_multi.domain.publish import Publish
from nova_multi.domain.sizes import whole_gb
from nova_multi.provision import guest
from nova_multi.provision.references import MAX_TOLD, filled, is_secret, written

#: Characters of a digest that are shown.
_SHOWN = 12
#: Characters that attributes of instances and environments may take in a script.
_ROOM = {
    "address": 40,
    "addresses": MAX_TOLD * 16,
    "host": 255,
    "name": 255,
    "partition": 255,
    "publish_address": 40,
    "published": 46,
}
#: What anything else may take, such as a key.
_ANY_ROOM = 4000


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """One part of a definition: instances that differ in their number only.

    :ivar names: of its instances.
    :ivar depends: provisioners whose addresses its script is told, and their parts.
    :ivar needs: parts of the definition that must stand before.
    :ivar own: its provisioner's variables, which what is found goes before.
    :ivar asked: its own variables, which go before everything.
    :ivar networks: in the order of its interfaces; none for the environment's own.
    :ivar timeout: seconds that its script may take; None for the service's limit.
    :ivar image: as the definition calls it.
    :ivar image_id: empty where ``problem`` is set; then there is no driver nor size.
    :ivar image_record: UUID of its record, if it has one.
    :ivar secrets: references in its variables to what nobody may see.
    :ivar problem: why it can't be made now; nothing is wrong with what stands.
    """

    part: str
    names: tuple[str, ...]
    provisioner: str
    script: str
    depends: Mapping[str, tuple[str, ...]]
    needs: tuple[str, ...]
    own: Mapping[str, Template]
    asked: Mapping[str, Template]
    publish: tuple[Publish, ...]
    tags: tuple[str, ...]
    description: str
    host_type: HostType | None
    networks: tuple[str, ...]
    timeout: int | None
    image: str
    words: Mapping[str, Any]
    image_id: str = ""
    image_record: str = ""
    driver: Driver | None = None
    size: Size | None = None
    secrets: frozenset[Reference] = frozenset()
    problem: DomainError | None = None

    @property
    def variables(self) -> dict[str, Template]:
        """All variables that the definition gives to its script."""
        return {**self.own, **self.asked}

    @property
    def references(self) -> Iterator[Reference]:
        """What its variables refer to; secrets are left out."""
        for template in self.variables.values():
            yield from (each for each in template.references if not is_secret(each))


def image_key(definition: Definition, facts: Facts, part: str) -> ImageKey:
    """What a part calls its image, and the driver that it asks for.

    Names are the definition's own images first; another name is as good as the name.
    """
    instance = definition.instances[part]
    provisioner = _provisioner(definition, facts, instance)
    name = instance.image or provisioner.image
    own = definition.images.get(name)
    return (
        own.source if own and own.source else name,
        instance.driver or provisioner.driver,
    )


def recipes(definition: Definition, facts: Facts) -> dict[str, Recipe]:
    """The recipe of each part, in the definition's order."""
    needs = definition.all_needs()
    listed: dict[str, list[str]] = {}
    for each in definition.instances.values():
        listed.setdefault(each.provisioner, []).append(each.name)
    parts = {name: tuple(names) for name, names in listed.items()}
    found: dict[str, Recipe] = {}
    for part in definition.instances:
        recipe = _recipe(definition, facts, part, parts)
        # The definition itself knows nothing of what others' provisioners depend on.
        more = [each for names in recipe.depends.values() for each in names]
        image = definition.images.get(recipe.image)
        if image and image.instance:
            more.append(image.instance)
        wanted = tuple(dict.fromkeys([*needs[part], *more]))
        found[part] = dataclasses.replace(
            recipe, needs=tuple(each for each in wanted if each != part)
        )
    return found


def with_image(definition: Definition, facts: Facts, recipe: Recipe) -> Recipe:
    """A recipe once the image that it takes is known better than it was."""
    instance = definition.instances[recipe.part]
    provisioner = _provisioner(definition, facts, instance)
    _, asked = image_key(definition, facts, recipe.part)
    return _made(recipe, instance, provisioner, asked, facts)


def _recipe(
    definition: Definition,
    facts: Facts,
    part: str,
    parts: Mapping[str, tuple[str, ...]],
) -> Recipe:
    instance = definition.instances[part]
    provisioner = _provisioner(definition, facts, instance)
    source = definition.provisioners.get(instance.provisioner)
    own = dict(source.variables) if source else _plain(provisioner.variables)
    name, asked_driver = image_key(definition, facts, part)
    script = guest.script_of(provisioner) if provisioner.runs_something else ""
    tags = [*instance.tags, *filter(None, [provisioner.tag])]
    recipe = Recipe(
        part=part,
        names=numbered(part, instance.count) if instance.count else (),
        provisioner=instance.provisioner,
        script=script,
        depends={name: parts.get(name, ()) for name in provisioner.depends},
        needs=(),
        own=own,
        asked=instance.variables,
        publish=instance.publish,
        tags=tuple(dict.fromkeys(tags)),
        description=instance.description,
        host_type=instance.host_type,
        networks=instance.networks,
        timeout=source.timeout if source else None,
        image=name,
        words={},
        secrets=_secrets(definition, [*own.values(), *instance.variables.values()]),
    )
    own_networks = {definition.name, *definition.networks}
    recipe = dataclasses.replace(
        recipe,
        words=_words(recipe, instance, provisioner, asked_driver, facts, own_networks),
    )
    try:
        return _made(recipe, instance, provisioner, asked_driver, facts)
    except DomainError as error:
        return dataclasses.replace(recipe, problem=error)


def _made(
    recipe: Recipe,
    instance: InstanceDefinition,
    provisioner: Provisioner,
    asked: Driver | None,
    facts: Facts,
) -> Recipe:
    """The recipe with what takes an image to be known.

    :raises DomainError: there is none that can be used.
    """
    where = f"instances.{recipe.part}"
    if not (recipe.image or asked):
        raise Invalid(
            f"{recipe.part} names no image, nor does its provisioner; nor does either"
            " name a driver, whose default image could be taken",
            field=f"{where}.image",
        )
    image = facts.images[recipe.image, asked]
    if isinstance(image, DomainError):
        kind = Conflict if isinstance(image, Conflict) else Invalid
        told = f"{recipe.part}: {image.message}"
        raise kind(told, field=f"{where}.image", code=image.code)
    try:
        check_image(provisioner, recipe.image or image.name, image.without)
    except Invalid as error:
        told = f"{recipe.part}: {error.message}"
        raise Invalid(told, field=f"{where}.image", code=error.code) from error
    for name in recipe.networks:
        network = facts.networks.get(name)
        if isinstance(network, DomainError):
            told = f"{recipe.part}: {network.message}"
            raise Invalid(told, field=f"{where}.networks", code=network.code)
    try:
        driver = choose_driver(asked, None, image.driver)
        size = choose_size(
            driver,
            cpus=instance.cpus,
            memory_mb=instance.memory_mb,
            disk_mb=instance.disk_mb,
            provisioner=provisioner,
        )
        size = fit_image(
            size,
            image,
            memory_asked=instance.memory_mb is not None,
            disk_asked=instance.disk_mb is not None,
        )
    except Invalid as error:
        told = f"{recipe.part}: {error.message}"
        raise Invalid(told, field=f"{where}.{error.field}", code=error.code) from error
    return dataclasses.replace(
        recipe,
        image_id=image.id,
        image_record=image.record,
        driver=driver,
        size=size,
    )


def _secrets(
    definition: Definition, templates: Iterable[Template]
) -> frozenset[Reference]:
    """References to what nobody may see: to secret inputs, but for public halves."""
    return frozenset(
        each
        for template in templates
        for each in template.references
        if is_secret(each)
        and definition.inputs[each.name].secret
        and each.attribute != "public"
    )


def room_problem(
    recipe: Recipe, room: Mapping[tuple[str, str], int], ways: Ways
) -> DomainError | None:
    """Why a part's script, with all that it is told, can't come to a guest; or None.

    What references are worth isn't known yet: they are taken to be long.

    :param room: as :attr:`Facts.room`.
    """
    if not recipe.script:
        return None

    def stand_in(reference: Reference) -> str:
        if is_secret(reference):
            known = room.get((reference.name, reference.attribute))
        else:
            known = _ROOM.get(reference.attribute)
        # Spaces are quoted, as anything may have to be.
        return " " * (_ANY_ROOM if known is None else known)

    told = {name: filled(each, stand_in) for name, each in recipe.variables.items()}
    secret = {
        name: told[name]
        for name, each in recipe.variables.items()
        if recipe.secrets.intersection(each.references)
    }
    try:
        guest.check(recipe.script, told, ways, secret)
    except (Invalid, Unsupported) as error:
        where = f"instances.{recipe.part}.provisioner"
        told_error = f"{recipe.part}: {error.message}"
        return type(error)(told_error, field=where, code=error.code)
    return None


def _provisioner(
    definition: Definition, facts: Facts, instance: InstanceDefinition
) -> Provisioner:
    """An instance's provisioner: the definition's, else the service's, else none."""
    found = definition.provisioners.get(instance.provisioner)
    if found:
        return as_provisioner(found)
    return facts.provisioners.get(instance.provisioner) or Provisioner("", "")


def as_provisioner(found: ProvisionerDefinition) -> Provisioner:
    """A definition's provisioner as the service knows them; without variables."""
    return Provisioner(
        uuid="",
        name=found.name,
        description=found.description,
        memory_mb=found.memory_mb,
        cpus=found.cpus,
        hdsize_gb=None if found.disk_mb is None else whole_gb(found.disk_mb),
        image=found.image,
        driver=found.driver,
        builder=found.builder,
        ref=found.ref,
        script=found.script,
        executor=found.executor,
        tag=found.tag,
        depends=found.depends,
    )


def _words(
    recipe: Recipe,
    instance: InstanceDefinition,
    provisioner: Provisioner,
    driver: Driver | None,
    facts: Facts,
    own_networks: Collection[str],
) -> dict[str, Any]:
    """What the definition says, as JSON takes it; what it leaves out is left out.

    What can be changed in place is not among it: that is compared with what stands.
    """
    secrets = {
        each.name: facts.secrets.get(each.name, 0)
        for template in recipe.variables.values()
        for each in template.references
        if is_secret(each)
    }
    said = {
        "image": recipe.image,
        "driver": driver and driver.value,
        "cpus": _first(instance.cpus, provisioner.cpus),
        "memory_mb": _first(instance.memory_mb, provisioner.memory_mb),
        "disk_gb": _first(
            instance.disk_mb and whole_gb(instance.disk_mb), provisioner.hdsize_gb
        ),
        "host_type": recipe.host_type and recipe.host_type.value,
        "script": recipe.script and digest(recipe.script),
        "variables": {k: written(each) for k, each in recipe.variables.items()},
        "depends": list(recipe.depends),
        "networks": [
            each if each in own_networks else f"{each} (of the cloud)"
            for each in recipe.networks
        ],
        "secrets": secrets,
    }
    return {key: value for key, value in said.items() if value}


def digest(text: str) -> str:
    """What a text is known by where it would be too long."""
    return hashlib.sha256(text.encode()).hexdigest()[:_SHOWN]


def _plain(variables: Mapping[str, str]) -> dict[str, Template]:
    return {name: Template((text,)) for name, text in variables.items()}


def _first(*values: int | None) -> int | None:
    return next((each for each in values if each is not None), None)
