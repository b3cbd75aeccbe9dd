# SPDX-License-Identifier: Apache-2.0
"""The tasks that make, change and delete the networks of a definition."""

from __future__ import annotations

import uuid
from typing import Any

from nova_multi.domain.definition import Definition
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Action, PlanStep
from nova_multi.provision.steps.accepting import Acceptor
from nova_multi.provision.store import Record


class NetworkTasks(Acceptor):
    """Accepts them."""

    def create(self, step: PlanStep, task_uuid: str, definition: Definition) -> str:
        """Have a network made."""
        work, wanted = self._work, definition.networks[step.name]
        environment = work.record(Kind.ENVIRONMENT)
        now = work.tools.clock()
        described: dict[str, Any] = {
            "cidr": step.cidr,
            "dhcp": wanted.dhcp,
            "dns": list(wanted.dns),
            "routed": wanted.routed,
        }
        record = Record(
            kind=Kind.NETWORK,
            uuid=str(uuid.uuid5(uuid.UUID(task_uuid), "record")),
            name=step.name,
            created=now,
            modified=now,
            scope=environment.uuid,
            project_id=environment.openstack_id,
            data={**described, "creating": True},
            owner_id=work.task.user_id,
            task_uuid=task_uuid,
        )
        payload = {**self._inside(record, environment), **described}
        task = self._task(step, Action.CREATE, task_uuid, record)
        return self._accept_new(record, task, payload)

    def change(self, step: PlanStep, task_uuid: str, definition: Definition) -> str:
        """Have what stands changed in place."""
        record = self._work.record(Kind.NETWORK, step.record)
        wanted = definition.networks[step.name]
        fields = {each.field for each in step.differences}
        payload = self._inside(record, self._work.record(Kind.ENVIRONMENT))
        if "dns" in fields:
            payload["dns"] = list(wanted.dns)
        if "dhcp" in fields:
            payload["dhcp"] = wanted.dhcp
        if "router" in fields:
            payload["router"] = True
        task = self._task(step, Action.UPDATE, task_uuid, record)
        self._store.accept([], [(task, payload)], owner=self._work.claim)
        return self._accepted(task, record)

    def delete(self, step: PlanStep, task_uuid: str) -> str | None:
        """Have a network deleted; None if that is done."""
        return self._accept_deletion(
            step, task_uuid, lambda record: {"environment": record.scope}
        )

    def _inside(self, record: Record, environment: Record) -> dict[str, Any]:
        return {
            **self._work_on(record),
            "environment": environment.uuid,
            "partition": environment.scope,
        }
