# SPDX-License-Identifier: Apache-2.0
"""The tasks that the steps of a plan become: the usual ones for instances.

A sub-task's UUID is made of its parent's and the step's: whoever takes the parent over
finds what was begun, and nothing is begun twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from nova_multi import spec
from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Action, Difference, PlanStep
from nova_multi.domain.task import TaskStatus, TaskType
from nova_multi.provision import (
    definitions,
    imaging,
    presence,
    refusals,
    saved,
    sharing,
)
from nova_multi.provision.new_instance import NewInstance
from nova_multi.provision.recipes import Recipe, recipes, with_image
from nova_multi.provision.references import (
    written as text_of,
)
from nova_multi.provision.steps import hours
from nova_multi.provision.steps.accepting import Acceptor
from nova_multi.provision.steps.base import Work
from nova_multi.provision.steps.filling import Filler
from nova_multi.provision.steps.image_tasks import ImageTasks
from nova_multi.provision.steps.networking import NetworkTasks
from nova_multi.provision.store import Record

_PHASES: dict[Action, tuple[Action, ...]] = {
    Action.REPLACE: (Action.DELETE, Action.CREATE),
}


def written(step: PlanStep) -> list[Any]:
    """A step as JSON takes it, in few words: there may be thousands."""
    return [
        step.action,
        step.kind,
        step.name,
        step.group,
        step.part,
        step.index,
        step.record,
        [each.field for each in step.differences if each.in_place],
        list(step.needs),
        step.cidr,
    ]


def read(found: list[Any]) -> PlanStep:
    """A step as it was before :func:`written`, as far as it matters to its task."""
    # Plans from before an upgrade have no last one.
    action, kind, name, group, part, index, record, fields, needs, *more = found
    return PlanStep(
        Action(action),
        Kind(kind),
        name,
        group,
        part,
        index,
        record,
        tuple(Difference(field, in_place=True) for field in fields),
        tuple(needs),
        cidr=more[0] if more else "",
    )


class Maker(Acceptor):
    """Makes the tasks of a plan's steps (:class:`scheduling.Tasks`)."""

    def __init__(self, work: Work, steps: Iterable[PlanStep]) -> None:
        super().__init__(work)
        self._known: set[str] = set()
        if work.again:
            every = [
                self.task_uuid(step, action)
                for step in steps
                for action in _phases(step)
            ]
            ends = self._store.ends(every)
            self._known = {each for each in every if ends.get(each, True) is not None}
        self._recipes: dict[str, Recipe] = {}
        if "definition" in work.payload:
            definition = spec.load_dict(work.payload["definition"])
            facts = definitions.facts_of(work.payload["facts"])
            self._definition, self._facts = definition, facts
            self._recipes = recipes(definition, imaging.with_images(definition, facts))
        self._networks = NetworkTasks(work)
        self._images = ImageTasks(work)
        counts = {part: len(each.names) for part, each in self._recipes.items()}
        self._filler = Filler(work, counts)
        self._shared: set[str] = set()
        self._imaged: dict[str, tuple[Recipe, str]] = {}
        self._closes = work.task.type is TaskType.CLOSE_ENVIRONMENT

    # -- what a schedule asks

    def phases(self, step: PlanStep) -> int:
        """How many tasks a step takes."""
        return len(_phases(step))

    def begin(self, step: PlanStep, phase: int) -> str | None:
        """Begin a phase of a step."""
        action = _phases(step)[phase]
        task_uuid = self.task_uuid(step, action)
        if task_uuid in self._known:
            return task_uuid
        match step.kind, action:
            case Kind.ENVIRONMENT, Action.CREATE:
                return str(self._work.payload["environment_task"])
            case Kind.ENVIRONMENT, Action.UPDATE:
                return self._change_environment(step, task_uuid)
            case Kind.ENVIRONMENT, Action.DELETE:
                return self._delete_environment(task_uuid)
            case Kind.NETWORK, Action.CREATE:
                return self._networks.create(step, task_uuid, self._definition)
            case Kind.NETWORK, Action.UPDATE:
                return self._networks.change(step, task_uuid, self._definition)
            case Kind.NETWORK, Action.DELETE:
                return self._networks.delete(step, task_uuid)
            case Kind.IMAGE, Action.CREATE:
                return self._images.create(
                    step, task_uuid, self._definition, self._facts
                )
            case Kind.IMAGE, Action.UPDATE:
                return self._images.change(step, task_uuid, self._definition)
            case Kind.IMAGE, Action.DELETE:
                return self._images.delete(step, task_uuid)
            case _, Action.CREATE:
                return self._create(step, task_uuid)
            case _, Action.UPDATE:
                return self._change(step, task_uuid)
            case _:
                return self._delete(step, task_uuid)

    def ends(self, uuids: Iterable[str]) -> Mapping[str, bool]:
        """Those of these tasks that have ended; who forgot one has seen its end."""
        found = self._store.ends(uuids)
        return {each: well is not False for each, well in found.items()}

    def why(self, uuid: str) -> str:
        """What a task that has failed says."""
        return why(self._work, uuid)

    # -- making

    def _create(self, step: PlanStep, task_uuid: str) -> str:
        work, recipe = self._work, self._recipes[step.part]
        environment = work.record(Kind.ENVIRONMENT)
        recipe, image_record = self._of_own_image(recipe, environment)
        if recipe.problem or recipe.driver is None or recipe.size is None:
            raise recipe.problem or Conflict(f"{step.name} can't be made")
        values = self._filler.fill(recipe, environment)
        self._share(recipe, environment)
        disk = saved.find(self._store, environment, recipe.part, step.index)
        if disk:
            work.log(f"{step.name} is made from its disk of {disk.modified:%Y-%m-%d}")
        new = NewInstance(
            environment=environment,
            image_id=disk.openstack_id if disk else recipe.image_id,
            driver=recipe.driver,
            size=recipe.size,
            provisioner=recipe.provisioner,
            script=recipe.script,
            own=values.own,
            asked=values.asked,
            shown={name: text_of(each) for name, each in recipe.asked.items()},
            host_type=recipe.host_type,
            publish=recipe.publish,
            published_on=refusals.published_on(self._definition, recipe.networks) or 0,
            networks=recipe.networks,
            interfaces=self._interfaces(recipe, environment),
            description=recipe.description,
            tags=recipe.tags,
        )
        record_uuid = str(uuid.uuid5(uuid.UUID(task_uuid), "record"))
        now = work.tools.clock()
        record = Record(
            kind=Kind.INSTANCE,
            uuid=record_uuid,
            name=step.name,
            created=now,
            modified=now,
            scope=environment.uuid,
            project_id=environment.openstack_id,
            data={
                **new.data(),
                presence.PART: recipe.part,
                presence.INDEX: step.index,
                presence.WORDS: recipe.words,
                presence.IMAGE_NAME: recipe.image,
                presence.IMAGE_RECORD: image_record,
                presence.TOLD: values.told,
                presence.NEEDS: list(recipe.needs),
                presence.NETWORKS: [
                    each
                    for each in recipe.networks
                    if each in self._definition.networks
                ],
            },
            owner_id=work.task.user_id,
            task_uuid=task_uuid,
        )
        payload = {
            **self._work_on(record, step.name),
            **new.payload(),
            **({"needs": values.needs} if values.needs else {}),
            **({"secret_variables": values.secret} if values.secret else {}),
            **({"timeout": recipe.timeout} if recipe.timeout else {}),
        }
        if recipe.publish:
            wishes = hours.ports_as_before(environment, recipe.part, step.index)
            payload["wished_ports"] = wishes
        task = self._task(step, Action.CREATE, task_uuid, record, goal=new.goal)
        return self._accept_new(record, task, payload)

    def _of_own_image(self, recipe: Recipe, environment: Record) -> tuple[Recipe, str]:
        """A part's recipe with the definition's own image, which stands by now.

        :returns: also the UUID of the image's record; empty for any other image.
        :raises DomainError: it does not stand, or the instance is too small for it.
        """
        own = self._definition.images.get(recipe.image)
        if own is None or not own.is_made:
            return recipe, ""
        known = self._imaged.get(recipe.part)
        if known is None:
            there = self._images.standing(recipe.image, environment)
            facts = imaging.with_images(self._definition, self._facts, [there])
            made = with_image(self._definition, facts, recipe)
            known = self._imaged[recipe.part] = made, there.uuid
        return known

    def _interfaces(self, recipe: Recipe, environment: Record) -> list[str]:
        """Ids of the networks that a part's instances are on, in their order.

        :raises Conflict: one is not there.
        """
        if not recipe.networks:
            return []
        ids = {
            each.name: each.openstack_id
            for each in presence.networks_of(self._work.tools, environment)
        }
        found = []
        for name in recipe.networks:
            if name in self._definition.networks:
                known: object = ids.get(name)
            elif name == self._definition.name:
                known = environment.data.get("network_id")
            else:
                known = self._facts.networks.get(name)
            if not (known and isinstance(known, str)):
                raise Conflict(f"there is no network {name}", field="networks")
            found.append(known)
        return found

    def _share(self, recipe: Recipe, environment: Record) -> None:
        """Let the project use the image, if it is another project's."""
        if recipe.image_record and recipe.image_record not in self._shared:
            record = self._work.find_record(Kind.IMAGE, recipe.image_record)
            if record is None:
                raise Conflict(f"image {recipe.image} is gone")
            home = sharing.image_home(self._work.tools, record.data.get("home", ""))
            image = home.images.image(record.openstack_id)
            sharing.share_image(
                self._work.tools, record, image, environment.openstack_id
            )
            self._shared.add(recipe.image_record)

    # -- changing

    def _change(self, step: PlanStep, task_uuid: str) -> str:
        recipe = self._recipes[step.part]
        record = self._work.record(Kind.INSTANCE, step.record)
        fields = {each.field for each in step.differences}
        words = {
            "name": step.name,
            "description": recipe.description,
            "tags": list(recipe.tags),
            "provisioner": recipe.provisioner,
        }
        describe = {key: words[key] for key in words if key in fields}
        environment = self._work.record(Kind.ENVIRONMENT)
        payload = {
            **self._work_on(record, step.name),
            "environment": environment.uuid,
            "partition": environment.scope,
            **({"describe": describe} if describe else {}),
        }
        if "publish" in fields:
            payload["publish"] = [str(each) for each in recipe.publish]
        task = self._task(step, Action.UPDATE, task_uuid, record)
        marks = {"changing": task_uuid}
        return self._accept_on(record, marks, ("changing", "deleting"), task, payload)

    def _change_environment(self, step: PlanStep, task_uuid: str) -> str:
        record = self._work.record(Kind.ENVIRONMENT)
        wanted = self._work.payload["described"]
        fields = {each.field for each in step.differences}
        payload: dict[str, Any] = {
            **self._work_on(record),
            "environment": record.uuid,
            "partition": record.scope,
        }
        if "description" in fields:
            payload["describe"] = {"description": wanted["description"]}
        if "users" in fields:
            payload |= {"users": wanted["users"], "user_ids": wanted["user_ids"]}
        task = self._task(step, Action.UPDATE, task_uuid, record)
        self._store.accept([], [(task, payload)], owner=self._work.claim)
        return self._accepted(task, record)

    # -- deleting

    def _delete(self, step: PlanStep, task_uuid: str) -> str | None:
        # It is to be there again when its hours begin.
        closed = {"closed": True} if self._closes else {}
        return self._accept_deletion(
            step, task_uuid, lambda record: {"environment": record.scope, **closed}
        )

    def _delete_environment(self, task_uuid: str) -> str | None:
        record = self._work.find_record(Kind.ENVIRONMENT)
        if record is None:
            return None
        state = record.data.get("state")
        payload = {
            **self._work_on(record),
            "environment": record.uuid,
            "partition": record.scope,
            "state": "ready" if state == "ready" else "error",
        }
        step = PlanStep(Action.DELETE, Kind.ENVIRONMENT, record.name, "")
        task = self._task(step, Action.DELETE, task_uuid, record)
        marks = {"deleting": task_uuid, "state": "deleting"}
        return self._accept_on(record, marks, marks, task, payload)


def why(work: Work, task_uuid: str) -> str:
    """What a task that has failed says; empty if it hasn't, or is forgotten."""
    try:
        last = work.tools.store.task(task_uuid, log=False).history[-1]
    except NotFound:
        return ""
    return last.message if last.status is TaskStatus.ERROR else ""


def _phases(step: PlanStep) -> tuple[Action, ...]:
    return _PHASES.get(step.action, (step.action,))
