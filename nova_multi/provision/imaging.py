# SPDX-License-Identifier: Apache-2.0
"""Images of a definition: which are made, changed, made anew and deleted. Pure.

An image that is only another name for one that is there is nothing of its own: what
names it is planned as if it named the other one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nova_multi.domain.definition import Definition, ImageDefinition
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, DomainError, Invalid
from nova_multi.domain.image import ImageType, told_properties
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import (
    Action,
    Condition,
    Difference,
    Facts,
    ImageFacts,
    PlanStep,
    Present,
    PresentImage,
    PresentInstance,
)
from nova_multi.provision.recipes import image_key

_CONDITIONS = {Condition.FAILED: "failed", Condition.GONE: "gone"}
#: What the words of an image tell, in the order in which it is shown.
_WORDS = ("type", "download_url", "file", "instance", "checksum")
#: Its word for the checksum of what a file holds, and for the record of an instance.
_CONTENT, _OF = "content", "of"
_SHOWN = 12


def make_group(image: str) -> str:
    """Group of the step that makes or changes an image."""
    return f"make image {image}"


def delete_group(image: str) -> str:
    """Group of the step that deletes an image."""
    return f"delete image {image}"


def words(
    image: ImageDefinition, source: Mapping[str, str], of: str = ""
) -> dict[str, str]:
    """What an image is made of, as it is kept with it.

    :param source: as in :attr:`Facts.sources`.
    :param of: UUID of the record of the instance that it is made of.
    """
    found = {key: getattr(image, key) for key in _WORDS}
    found |= {_CONTENT: source.get(_CONTENT, ""), _OF: of}
    return {key: value for key, value in found.items() if value}


def properties(image: ImageDefinition) -> dict[str, str]:
    """What a definition gives an image in Glance."""
    told = told_properties(image.os, image.version, image.architecture)
    return {**image.properties, **told}


def with_images(
    definition: Definition, facts: Facts, present: Iterable[PresentImage] = ()
) -> Facts:
    """Facts that tell of the definition's own images, too.

    :param present: those that stand; all others are taken to need no size.
    """
    own = {name for name, each in definition.images.items() if each.is_made}
    if not own:
        return facts
    there = {each.name: each for each in present}
    images = dict(facts.images)
    for part in definition.instances:
        key = image_key(definition, facts, part)
        name = key[0]
        if name in own and key not in images:
            stands = there.get(name)
            images[key] = ImageFacts(
                id=stands.id if stands else "",
                name=name,
                driver=_driver(definition, facts, name),
                min_memory_mb=stands.min_memory_mb if stands else 0,
                min_disk_gb=stands.min_disk_gb if stands else 0,
            )
    return dataclasses.replace(facts, images=images)


def type_of(definition: Definition, facts: Facts, name: str) -> ImageType:
    """What one of the definition's own images is."""
    said = definition.images[name].type
    if said:
        return ImageType.parse(said)
    return ImageType.of_driver(_driver(definition, facts, name))


def _driver(definition: Definition, facts: Facts, name: str) -> Driver:
    """What runs instances of one of the definition's own images."""
    for _ in definition.images:
        image = definition.images[name]
        if image.type:
            return ImageType.parse(image.type).driver
        key = image_key(definition, facts, image.instance)
        if key[1]:
            return key[1]
        if not (key[0] in definition.images and definition.images[key[0]].is_made):
            found = facts.images.get(key)
            known = found.driver if isinstance(found, ImageFacts) else None
            return known or Driver.LIBVIRT
        name = key[0]
    return Driver.LIBVIRT


def deletions(images: Iterable[PresentImage]) -> list[PlanStep]:
    """The steps that delete images."""
    return [_step(Action.DELETE, each.name, each.uuid) for each in images]


def _step(
    action: Action,
    name: str,
    record: str = "",
    differences: Iterable[Difference] = (),
) -> PlanStep:
    group = delete_group(name) if action is Action.DELETE else make_group(name)
    return PlanStep(
        action, Kind.IMAGE, name, group, record=record, differences=tuple(differences)
    )


class Imaging:
    """What is to be done with images, as it is found part by part.

    :ivar needs: of the steps' groups.
    :ivar wrong: why it can't be done.
    """

    def __init__(self, definition: Definition, present: Present, facts: Facts) -> None:
        self.steps: list[PlanStep] = []
        self.needs: dict[str, set[str]] = {}
        self.wrong: list[DomainError] = []
        self._facts = facts
        self._own = {k: each for k, each in definition.images.items() if each.is_made}
        self._there = {each.name: each for each in present.images}
        self._leaving = [e for e in present.images if e.name not in self._own]
        #: Records of images as they will be; empty for those that are made anew.
        self._after: dict[str, str] = {}
        self._of: dict[str, list[ImageDefinition]] = {}
        for image in self._own.values():
            if image.instance:
                self._of.setdefault(image.instance, []).append(image)
            else:
                self._take(image, facts.sources.get(image.name, {}))
        self.steps += deletions(self._leaving)

    @property
    def is_idle(self) -> bool:
        """There are no images at all."""
        return not (self._own or self._leaving)

    def stood(self, part: str, after: Sequence[PresentInstance]) -> None:
        """A part is planned: so are the images that are made of it.

        :param after: its instances as they will be.
        """
        for image in self._of.get(part, ()):
            self._take(image, {}, after)

    def differences(self, image: str, there: PresentInstance) -> tuple[Difference, ...]:
        """Whether an instance has another image of that name than it is to have."""
        after = self._after.get(image, "") if image in self._own else ""
        same = there.image_record == after and (after or image not in self._own)
        # By another name it is another one anyway.
        if same or image != there.image:
            return ()
        return (Difference(f"image {image} made anew"),)

    def makes(self, image: str) -> bool:
        """Whether a name is that of one of the definition's own images."""
        return image in self._own

    def leave(self, there: PresentInstance, group: str) -> None:
        """An instance goes with a group, and what it was made of only afterwards."""
        for each in self._leaving:
            if there.image_record == each.uuid:
                self.needs.setdefault(delete_group(each.name), set()).add(group)

    # -- one image

    def _take(
        self,
        image: ImageDefinition,
        source: Mapping[str, str] | DomainError,
        after: Sequence[PresentInstance] = (),
    ) -> None:
        there = self._there.get(image.name)
        problem = source if isinstance(source, DomainError) else None
        known = {} if isinstance(source, DomainError) else source
        wanted = words(image, known)
        if image.instance and not after:
            problem = Invalid(f"the definition makes no instance {image.instance}")
        elif image.instance:
            wanted[_OF] = after[0].uuid
        found = tuple(_differences(image, wanted, there)) if there else ()
        if there and not found:
            self._after[image.name] = there.uuid
        elif there and all(each.in_place for each in found):
            self._after[image.name] = there.uuid
            self.steps.append(_step(Action.UPDATE, image.name, there.uuid, found))
        else:
            if problem:
                self._refuse(image, problem)
            self._after[image.name] = ""
            if there:
                self.steps.append(_step(Action.REPLACE, image.name, there.uuid, found))
            else:
                self.steps.append(_step(Action.CREATE, image.name))

    def _refuse(self, image: ImageDefinition, problem: DomainError) -> None:
        kind = Conflict if isinstance(problem, Conflict) else Invalid
        fields = ("download_url", "file", "instance")
        field = next(each for each in fields if getattr(image, each))
        told = f"image {image.name}: {problem.message}"
        where = f"images.{image.name}.{field}"
        self.wrong.append(kind(told, field=where, code=problem.code))


def _differences(
    image: ImageDefinition, wanted: Mapping[str, str], there: PresentImage
) -> Iterator[Difference]:
    if there.condition is not Condition.STANDING:
        yield Difference(_CONDITIONS[there.condition], drift=True)
    for field in _WORDS:
        before, after = there.words.get(field, ""), wanted.get(field, "")
        if before != after:
            yield Difference(field, before or "none", after or "none")
    before, after = there.words.get(_CONTENT, ""), wanted.get(_CONTENT, "")
    if before != after and before and after:
        yield Difference(_CONTENT, before[:_SHOWN], after[:_SHOWN])
    # Without one now it is left as it was made.
    if _OF in wanted and wanted[_OF] != there.words.get(_OF):
        yield Difference(f"instance {image.instance} made anew")
    told, had = properties(image), there.properties
    for key in {**had, **told}:
        if had.get(key) != told.get(key):
            before, after = had.get(key, "none"), told.get(key, "none")
            yield Difference(f"property {key}", before, after, in_place=True)
        elif key in there.actual:
            yield Difference(
                f"property {key}",
                there.actual[key] or "none",
                told[key],
                in_place=True,
                drift=True,
            )
