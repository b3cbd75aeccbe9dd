# SPDX-License-Identifier: Apache-2.0
"""The tasks that make, change and delete the images of a definition."""

from __future__ import annotations

import uuid
from typing import Any

from nova_multi.domain.definition import Definition
from nova_multi.domain.errors import Conflict, DomainError
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import (
    Action,
    Condition,
    Facts,
    PlanStep,
    PresentImage,
)
from nova_multi.provision import imaging, presence
from nova_multi.provision.steps.accepting import Acceptor
from nova_multi.provision.store import Record


class ImageTasks(Acceptor):
    """Accepts them."""

    def create(
        self, step: PlanStep, task_uuid: str, definition: Definition, facts: Facts
    ) -> str:
        """Have an image made, in the environment's project.

        :raises DomainError: what it is made of can't be had.
        """
        work, wanted = self._work, definition.images[step.name]
        environment = work.record(Kind.ENVIRONMENT)
        source = facts.sources.get(step.name, {})
        if isinstance(source, DomainError):
            raise source
        payload: dict[str, Any] = dict(source)
        # It is kept to compare with; what a file of the service holds is known well.
        payload.pop("content", None)
        of = ""
        if wanted.instance:
            instance = self._first(environment, wanted.instance)
            of = instance.uuid
            payload |= {
                "instance": instance.openstack_id,
                "environment": environment.uuid,
                "partition": environment.scope,
            }
        if wanted.checksum:
            payload["checksum"] = wanted.checksum
        kind = imaging.type_of(definition, facts, step.name)
        home = environment.openstack_id
        properties = imaging.properties(wanted)
        payload |= {
            "type": kind.value,
            "home": home,
            "visibility": "shared",
            "properties": properties,
        }
        told = {
            "os": wanted.os,
            "version": wanted.version,
            "architecture": wanted.architecture,
            "download_url": wanted.download_url,
        }
        now = work.tools.clock()
        record = Record(
            kind=Kind.IMAGE,
            uuid=str(uuid.uuid5(uuid.UUID(task_uuid), "record")),
            name=step.name,
            created=now,
            modified=now,
            scope=environment.uuid,
            project_id=home,
            data={
                **{key: value for key, value in told.items() if value},
                "type": kind.value,
                "home": home,
                "state": "creating",
                presence.WORDS: imaging.words(wanted, source, of),
                presence.PROPERTIES: properties,
            },
            owner_id=work.task.user_id,
            task_uuid=task_uuid,
        )
        task = self._task(step, Action.CREATE, task_uuid, record)
        return self._accept_new(record, task, {**payload, **self._work_on(record)})

    def change(self, step: PlanStep, task_uuid: str, definition: Definition) -> str:
        """Have the properties changed of one that stands."""
        record = self._work.record(Kind.IMAGE, step.record)
        wanted = definition.images[step.name]
        payload = {
            **self._work_on(record),
            "properties": imaging.properties(wanted),
            "described": {
                key: getattr(wanted, key) or None
                for key in ("os", "version", "architecture")
            },
        }
        task = self._task(step, Action.UPDATE, task_uuid, record)
        self._store.accept([], [(task, payload)], owner=self._work.claim)
        return self._accepted(task, record)

    def delete(self, step: PlanStep, task_uuid: str) -> str | None:
        """Have an image deleted; None if that is done."""
        return self._accept_deletion(step, task_uuid)

    def standing(self, name: str, environment: Record) -> PresentImage:
        """An image that was made before.

        :raises Conflict: it does not stand.
        """
        for record in presence.images_of(self._work.tools, environment):
            if record.name == name:
                stored = presence.stored_image(self._work.tools, record)
                found = presence.image(record, stored)
                if found.condition is Condition.STANDING and found.id:
                    return found
        raise Conflict(f"image {name} is not there", field="images")

    def _first(self, environment: Record, part: str) -> Record:
        """The record of a part's first instance.

        :raises Conflict: it is not there.
        """
        for each in self._store.list_records(Kind.INSTANCE, scope=environment.uuid):
            mine = each.data.get(presence.PART), each.data.get(presence.INDEX)
            if mine == (part, 0) and each.openstack_id:
                return each
        raise Conflict(f"instance {part} is not there", field="instances")
