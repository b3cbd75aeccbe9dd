# SPDX-License-Identifier: Apache-2.0
"""What the scripts of a definition's instances are told, once all of that stands.

Values reach scripts as data only: as environment variables, quoted (:mod:`guest`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nova_multi.domain.definition import Reference, Root, Template
from nova_multi.domain.errors import Conflict
from nova_multi.domain.names import Kind
from nova_multi.provision import presence, publishing
from nova_multi.provision.comparing import depends_key
from nova_multi.provision.recipes import Recipe
from nova_multi.provision.references import MAX_TOLD, Standing, filled, is_secret
from nova_multi.provision.steps.base import Work
from nova_multi.provision.store import Record


@dataclasses.dataclass(frozen=True, slots=True)
class Filled:
    """What the scripts of a part's instances are told.

    :ivar secret: variables that secrets are a part of, in pieces.
    :ivar told: what references were worth.
    :ivar needs: as the step ``dependencies`` takes it.
    """

    own: Mapping[str, str]
    asked: Mapping[str, str]
    secret: Mapping[str, list[Any]]
    told: Mapping[str, str]
    needs: Mapping[str, Any]


class Filler:
    """Finds the values once for all instances of a part.

    :param counts: instances that each part is to have; those that are too many, and may
        not be deleted yet, are not told of.
    """

    def __init__(self, work: Work, counts: Mapping[str, int]) -> None:
        self._work = work
        self._counts = counts
        self._filled: dict[str, Filled] = {}

    def fill(self, recipe: Recipe, environment: Record) -> Filled:
        """What the scripts of a part are told, once what it needs stands.

        :raises Conflict: something that is referred to has no value.
        """
        found = self._filled.get(recipe.part)
        if found is None:
            found = self._filled[recipe.part] = self._evaluated(recipe, environment)
        return found

    def _evaluated(self, recipe: Recipe, environment: Record) -> Filled:
        references = list(recipe.references)
        if not (references or recipe.depends or recipe.variables):
            return Filled({}, {}, {}, {}, {})
        standing, records = self._standing(references, recipe, environment)
        told = {str(each): standing.value(each) for each in references}
        needs = {}
        for provisioner, parts in recipe.depends.items():
            told[depends_key(provisioner)] = standing.addresses(parts)
            ones = [each for part in parts for each in records.get(part, ())]
            needs[provisioner] = {
                "made": True,
                "instances": [[each.uuid, each.task_uuid] for each in ones[:MAX_TOLD]],
            }
        unknown = [key for key, value in told.items() if value is None]
        if unknown:
            raise Conflict(f"{recipe.part}: {', '.join(unknown)} has no value")
        values = {key: value for key, value in told.items() if value is not None}

        def value(reference: Reference) -> str:
            return values[str(reference)]

        secret = {
            name: [_piece(part, value, recipe) for part in template.parts]
            for name, template in recipe.variables.items()
            if any(map(is_secret, template.references))
        }
        own, asked = (
            {
                name: filled(template, value)
                for name, template in templates.items()
                if name not in secret and _is_used(name, template, recipe)
            }
            for templates in (recipe.own, recipe.asked)
        )
        return Filled(own, asked, secret, values, needs)

    def _standing(
        self, references: Iterable[Reference], recipe: Recipe, environment: Record
    ) -> tuple[Standing, Mapping[str, list[Record]]]:
        """What stands of the parts that a recipe needs."""
        references = list(references)
        tools = self._work.tools
        needed = set(recipe.needs)
        records: dict[str, list[Record]] = {part: [] for part in needed}
        if needed:
            for each in self._work.tools.store.list_records(
                Kind.INSTANCE, scope=environment.uuid
            ):
                part = each.data.get(presence.PART)
                if part in needed and each.data[presence.INDEX] < self._counts[part]:
                    records[part].append(each)
        for found in records.values():
            found.sort(key=lambda each: int(each.data[presence.INDEX]))
        if any(each.attribute == "publish_address" for each in references):
            self._work.state["project_id"] = environment.openstack_id
            publishing.ensure_address(self._work)
        if any(each.attribute == "host" for each in references):
            # Nova alone knows.
            present = presence.read(tools, environment)
            by_uuid = {each.uuid: each for each in present.instances}
            instances = {
                part: [by_uuid[each.uuid] for each in found if each.uuid in by_uuid]
                for part, found in records.items()
            }
        else:
            instances = {
                part: [presence.instance(each) for each in found]
                for part, found in records.items()
            }
        there = presence.describe(tools, environment)
        return Standing(there, instances), records


def _is_used(name: str, template: Template, recipe: Recipe) -> bool:
    """Whether a variable of a provisioner isn't covered by the instance's own."""
    return recipe.asked.get(name, template) is template


def _piece(
    part: str | Reference, value: Callable[[Reference], str], recipe: Recipe
) -> Any:
    """A piece of a variable with inputs: these alone are left to be looked up."""
    if isinstance(part, str):
        return part
    if part.root is Root.INPUTS:
        found = {"input": part.name, "attribute": part.attribute}
        return found if part in recipe.secrets else {**found, "seen": True}
    return value(part)
