# SPDX-License-Identifier: Apache-2.0
"""From a definition and what stands to the steps that make them the same. Pure.

Whatever a plan says, an apply does: this is the only place that decides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from nova_multi.domain.definition import Definition
from nova_multi.domain.errors import Conflict, DomainError, Invalid, NameTaken
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import (
    Action,
    Difference,
    Facts,
    Plan,
    PlanStep,
    Present,
    PresentEnvironment,
    PresentInstance,
    SavedDisk,
)
from nova_multi.domain.publish import Place
from nova_multi.provision import comparing, imaging, ordering, refusals, wiring
from nova_multi.provision.recipes import Recipe, recipes, room_problem
from nova_multi.provision.references import Standing

#: Group of the environment's own step; those of parts have a space.
ENVIRONMENT = "environment"


def make_group(part: str) -> str:
    """Group of the steps that make or change a part's instances."""
    return f"make {part}"


def delete_group(part: str) -> str:
    """Group of the steps that delete a part's instances."""
    return f"delete {part}"


def plan(definition: Definition, present: Present, facts: Facts) -> Plan:
    """What has to be done so that everything is as the definition says.

    :raises Unsupported: the definition asks for what can't be done yet.
    :raises Invalid: it can't be made at all; every reason is told.
    :raises Conflict: others have its names or ports.
    """
    refusals.check(definition, facts)
    return _Planner(definition, present, facts).plan()


def plan_destroy(
    environment: str, partition: str, present: Present, *, stays: bool = False
) -> Plan:
    """What has to be done so that nothing is left of what a definition has made.

    The environment goes, too, if an apply has made it and nobody uses it otherwise.

    :param stays: it does not.
    """
    own = [each for each in present.instances if each.part]
    steps = [_deletion(each) for each in own]
    needs = ordering.of_deletions(own, delete_group)
    foreign = [each for each in present.instances if not each.part]
    in_use = {name for each in foreign for name in each.networks}
    networks = [each for each in present.networks if each.name not in in_use]
    steps += wiring.deletions(networks)
    for network in networks:
        needs[wiring.delete_group(network.name)] = {
            delete_group(each.part) for each in own if network.name in each.networks
        }
    # What its hours end for has them again the next day.
    images = () if stays else present.images
    steps += imaging.deletions(images)
    for image in images:
        needs[imaging.delete_group(image.name)] = {
            delete_group(each.part) for each in own if each.image_record == image.uuid
        }
    there = present.environment
    if there and there.made and not foreign and not stays:
        step = PlanStep(Action.DELETE, Kind.ENVIRONMENT, there.name, ENVIRONMENT)
        needs[ENVIRONMENT] = {each.group for each in steps}
        steps.append(step)
    return Plan(environment, partition, ordering.arranged(steps, needs))


class _Planner:
    """One plan on its way."""

    def __init__(self, definition: Definition, present: Present, facts: Facts) -> None:
        self._definition = definition
        self._present = present
        self._room, self._ways = facts.room, facts.ways
        facts = imaging.with_images(definition, facts, present.images)
        self._imaging = imaging.Imaging(definition, present, facts)
        self._recipes = recipes(definition, facts)
        self._wiring = wiring.wiring(definition, present, facts)
        self._there: dict[str, dict[int, PresentInstance]] = {}
        self._foreign: dict[str, PresentInstance] = {}
        for each in present.instances:
            if each.part:
                self._there.setdefault(each.part, {})[each.index] = each
            else:
                self._foreign[each.name] = each
        self._after: dict[str, list[PresentInstance]] = {}
        self._standing = Standing(_environment(definition, present), self._after)
        self._cleared: list[PresentInstance] = []
        self._saved = _saved(definition, present)
        self._steps: list[PlanStep] = []
        self._needed: set[str] = set()
        self._unchanged = 0
        self._wrong: list[DomainError] = [*self._wiring.wrong]

    def plan(self) -> Plan:
        """The whole of it."""
        recipes = self._recipes
        order = ordering.parts_in_order({name: r.needs for name, r in recipes.items()})
        for part in order:
            self._after[part] = [
                self._instance(recipes[part], index, name)
                for index, name in enumerate(recipes[part].names)
            ]
            self._imaging.stood(part, self._after[part])
        leftovers = [
            each
            for part, by_index in self._there.items()
            for index, each in by_index.items()
            if index >= len(self._after.get(part, ()))
        ]
        self._steps += [_deletion(each) for each in leftovers]
        needs = ordering.of_deletions([*leftovers, *self._cleared], delete_group)
        for part, recipe in recipes.items():
            wanted = {make_group(each) for each in recipe.needs}
            needs[make_group(part)] = wanted | {ENVIRONMENT}
        self._wire(needs, leftovers)
        self._image(needs, leftovers)
        self._check_names(needs)
        self._check_ports(needs)
        if self._wrong:
            raise _together(self._wrong)
        self._steps += self._environment_step()
        return Plan(
            self._definition.name,
            self._definition.partition,
            ordering.arranged(self._steps, needs),
            self._unchanged,
        )

    def _instance(self, recipe: Recipe, index: int, name: str) -> PresentInstance:
        """Plan one instance; what it will be like afterwards, as far as is known."""
        there = self._there.get(recipe.part, {}).get(index)
        fixed = tuple(each for each in recipe.publish if each.outside is not None)
        new = PresentInstance("", name, recipe.part, index, published=fixed)
        if there is None:
            self._need(recipe)
            self._check_saved(recipe, new)
            self._step(Action.CREATE, recipe, new)
            return new
        found = comparing.differences(recipe, name, there, self._standing)
        cleared = self._wiring.cleared
        found = (*(cleared[each] for each in there.networks if each in cleared), *found)
        found = (*self._imaging.differences(recipe.image, there), *found)
        if not found:
            self._unchanged += 1
            return there
        if not all(each.in_place for each in found):
            self._need(recipe)
            self._check_saved(recipe, new)
            if self._wiring.cleared.keys() & set(there.networks):
                # What it is on has to be free of it before it is made again.
                self._cleared.append(there)
                self._steps.append(_deletion(there, found))
                self._step(Action.CREATE, recipe, new)
            else:
                self._step(Action.REPLACE, recipe, new, found, there.uuid)
            return new
        self._step(Action.UPDATE, recipe, new, found, there.uuid)
        published = comparing.published_after(recipe, there)
        return dataclasses.replace(there, name=name, published=published)

    def _need(self, recipe: Recipe) -> None:
        """Something is to be made of a recipe."""
        if recipe.part in self._needed:
            return
        self._needed.add(recipe.part)
        problem = recipe.problem or room_problem(recipe, self._room, self._ways)
        if problem:
            self._wrong.append(problem)

    def _check_saved(self, recipe: Recipe, new: PresentInstance) -> None:
        """See that an instance can be made from the disk that was kept of it."""
        disk = self._saved.get((new.part, new.index))
        if disk is None or recipe.driver is None or recipe.size is None:
            return
        at = f"{disk.at:%Y-%m-%d %H:%M} UTC"
        why = ""
        if disk.driver and disk.driver != recipe.driver:
            why = f"on {disk.driver}, and it is to be on {recipe.driver}"
        elif disk.image != recipe.image:
            why = f"from image {disk.image}, and it is to have {recipe.image}"
        elif disk.disk_gb > recipe.size.disk_gb:
            why = f"with {disk.disk_gb} GB, and it is to have {recipe.size.disk_gb}"
        if why:
            told = (
                f"{new.name}: its disk was saved at {at} {why}; out of schedule.save,"
                " it is made without that disk"
            )
            where = f"instances.{recipe.part}"
            self._wrong.append(Conflict(told, field=where, code="saved_disk"))

    def _step(
        self,
        action: Action,
        recipe: Recipe,
        one: PresentInstance,
        found: Iterable[Difference] = (),
        record: str = "",
    ) -> None:
        step = PlanStep(
            action,
            Kind.INSTANCE,
            one.name,
            make_group(recipe.part),
            recipe.part,
            one.index,
            record,
            tuple(found),
        )
        self._steps.append(step)

    def _environment_step(self) -> Sequence[PlanStep]:
        definition, there = self._definition, self._present.environment
        if there is None:
            return [
                PlanStep(Action.CREATE, Kind.ENVIRONMENT, definition.name, ENVIRONMENT)
            ]
        found = comparing.environment_differences(definition, there)
        if not found:
            return []
        return [
            PlanStep(
                Action.UPDATE,
                Kind.ENVIRONMENT,
                there.name,
                ENVIRONMENT,
                differences=found,
            )
        ]

    def _wire(
        self, needs: dict[str, set[str]], leftovers: Iterable[PresentInstance]
    ) -> None:
        """Networks come before what is on them, and go after it."""
        wired = self._wiring
        self._steps += wired.steps
        for group, wanted in wired.needs.items():
            needs.setdefault(group, set()).update(wanted)
        for name in self._definition.networks:
            needs.setdefault(wiring.make_group(name), set()).add(ENVIRONMENT)
        for part, recipe in self._recipes.items():
            needs[make_group(part)] |= {
                wiring.make_group(each)
                for each in recipe.networks
                if each in self._definition.networks
            }
        for each in self._cleared:
            # The new one may be on other networks, and has the same name all the same.
            needs[make_group(each.part)].add(delete_group(each.part))
        going = {each.uuid for each in (*leftovers, *self._cleared)}
        for part, by_index in self._there.items():
            for each in by_index.values():
                gone = each.uuid in going
                group = delete_group(part) if gone else make_group(part)
                for name in each.networks:
                    leaving = wired.leaving.get(name)
                    # Those that stay are off it already.
                    if leaving and (gone or name not in wired.cleared):
                        needs.setdefault(leaving, set()).add(group)

    def _image(
        self, needs: dict[str, set[str]], leftovers: Iterable[PresentInstance]
    ) -> None:
        """Images come before what is made of them, and after what they are made of."""
        imaged = self._imaging
        if imaged.is_idle:
            return
        self._steps += imaged.steps
        self._wrong += imaged.wrong
        for name, image in self._definition.images.items():
            wanted = needs.setdefault(imaging.make_group(name), set())
            wanted.add(ENVIRONMENT)
            if image.instance:
                wanted.add(make_group(image.instance))
        for part, recipe in self._recipes.items():
            if imaged.makes(recipe.image):
                needs[make_group(part)].add(imaging.make_group(recipe.image))
        going = {each.uuid for each in (*leftovers, *self._cleared)}
        for part, by_index in self._there.items():
            for each in by_index.values():
                gone = each.uuid in going
                imaged.leave(each, delete_group(part) if gone else make_group(part))
        for group, groups in imaged.needs.items():
            needs.setdefault(group, set()).update(groups)

    # -- what others have

    def _check_names(self, needs: dict[str, set[str]]) -> None:
        """Each name is had once; what has it now must have given it up before."""
        holders = {
            each.name: each
            for by_index in self._there.values()
            for each in by_index.values()
        }
        wanted: dict[str, str] = {}
        for part, ones in self._after.items():
            for one in ones:
                where = f"instances.{part}"
                if one.name in wanted:
                    told = f"{wanted[one.name]} and {part} both make {one.name}"
                    self._wrong.append(Invalid(told, field=where))
                wanted[one.name] = part
                if one.name in self._foreign:
                    told = (
                        f"there is already an instance called {one.name}, which this"
                        " definition did not make"
                    )
                    self._wrong.append(NameTaken(told, field=where))
                holder = holders.get(one.name)
                if holder and (holder.part, holder.index) != (part, one.index):
                    self._after_release(needs, part, holder)

    def _check_ports(self, needs: dict[str, set[str]]) -> None:
        """Each outside port is had once; who has it now must have given it up."""
        foreign = _places(self._foreign.values())
        holders = _places(
            each for by_index in self._there.values() for each in by_index.values()
        )
        # Those that are new have no UUID.
        staying = _places(
            one for ones in self._after.values() for one in ones if one.uuid
        )
        wanted: dict[Place, str] = {}
        for part, recipe in self._recipes.items():
            if not recipe.names:
                continue
            for each in recipe.publish:
                place = each.place
                if place is None:
                    continue
                where = f"instances.{part}.publish"
                told = f"{each.protocol} port {each.outside} is already published by "
                if len(recipe.names) > 1:
                    several = f"port {each.outside} can't be published for several"
                    self._wrong.append(Invalid(several, field=where))
                if place in wanted and wanted[place] != part:
                    self._wrong.append(Invalid(told + wanted[place], field=where))
                wanted[place] = part
                if place in foreign:
                    told += f"instance {foreign[place].name}"
                    code = "port_taken"
                    self._wrong.append(Conflict(told, field=where, code=code))
                holder, stays = holders.get(place), staying.get(place)
                if holder is None or holder.part == part:
                    continue
                if stays and stays.uuid == holder.uuid:
                    told += f"instance {holder.name}, which keeps it"
                    self._wrong.append(Conflict(told, field=where, code="port_taken"))
                    continue
                self._after_release(needs, part, holder)

    def _after_release(
        self, needs: dict[str, set[str]], part: str, holder: PresentInstance
    ) -> None:
        """A part takes over what an instance has: the one waits for the other."""
        stays = holder.index < len(self._after.get(holder.part, ()))
        release = make_group(holder.part) if stays else delete_group(holder.part)
        if release != make_group(part):
            needs.setdefault(make_group(part), set()).add(release)


def _saved(
    definition: Definition, present: Present
) -> Mapping[tuple[str, int], SavedDisk]:
    """Disks from which instances are made, by part and number."""
    there = present.environment
    schedule = definition.schedule or (there.schedule if there else None)
    parts = schedule.save if schedule else ()
    return {
        (each.part, each.index): each
        for each in present.saved
        if each.part in parts or each.comes_back
    }


def _environment(definition: Definition, present: Present) -> PresentEnvironment | None:
    """The environment as it will be, as far as is known."""
    return present.environment or PresentEnvironment(
        definition.name, definition.partition
    )


def _deletion(
    there: PresentInstance, differences: Iterable[Difference] = ()
) -> PlanStep:
    return PlanStep(
        Action.DELETE,
        Kind.INSTANCE,
        there.name,
        delete_group(there.part),
        there.part,
        there.index,
        there.uuid,
        tuple(differences),
    )


def _places(ones: Iterable[PresentInstance]) -> Mapping[Place, PresentInstance]:
    return {each.place: one for one in ones for each in one.published if each.place}


def _together(wrong: Sequence[DomainError]) -> DomainError:
    """One error for all; a conflict only if nothing is wrong with the definition."""
    if any(isinstance(each, Invalid) for each in wrong) or len(wrong) == 1:
        return wrong[0] if len(wrong) == 1 else Invalid.together(wrong)
    return Conflict(
        "; ".join(each.message for each in wrong),
        field=wrong[0].field,
        details=[each.as_detail() for each in wrong],
    )
