# SPDX-License-Identifier: Apache-2.0
"""Accepting the sub-tasks of an apply: for whom they are, and that none is begun twice.

A sub-task's UUID is made of its parent's and the step's: whoever takes the parent over
finds what was begun.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Action, PlanStep
from nova_multi.domain.task import Task, TaskStatus, TaskType
from nova_multi.provision.steps.base import Work
from nova_multi.provision.store import Record

_TYPES = {
    (Kind.INSTANCE, Action.CREATE): TaskType.CREATE_INSTANCE,
    (Kind.INSTANCE, Action.UPDATE): TaskType.UPDATE_INSTANCE,
    (Kind.INSTANCE, Action.DELETE): TaskType.DELETE_INSTANCE,
    (Kind.NETWORK, Action.CREATE): TaskType.CREATE_NETWORK,
    (Kind.NETWORK, Action.UPDATE): TaskType.UPDATE_NETWORK,
    (Kind.NETWORK, Action.DELETE): TaskType.DELETE_NETWORK,
    (Kind.IMAGE, Action.CREATE): TaskType.CREATE_IMAGE,
    (Kind.IMAGE, Action.UPDATE): TaskType.UPDATE_IMAGE,
    (Kind.IMAGE, Action.DELETE): TaskType.DELETE_IMAGE,
    (Kind.ENVIRONMENT, Action.UPDATE): TaskType.UPDATE_ENVIRONMENT,
    (Kind.ENVIRONMENT, Action.DELETE): TaskType.DELETE_ENVIRONMENT,
}


class Acceptor:
    """Accepts sub-tasks of a task."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._store = work.tools.store

    def task_uuid(self, step: PlanStep, action: Action) -> str:
        """Of the task of a phase."""
        # There is but one environment, by whatever name.
        one = "" if step.kind is Kind.ENVIRONMENT else step.part or step.name
        name = f"{action} {step.kind} {one} {step.index}"
        return str(uuid.uuid5(uuid.UUID(self._work.uuid), name))

    def _is_there(self, task_uuid: str, new: Record | None = None) -> bool:
        """Whether a task was accepted before; it may be forgotten, not its record."""
        try:
            self._store.task(task_uuid, log=False)
        except NotFound:
            found = self._work.find_record(new.kind, new.uuid) if new else None
            return found is not None
        return True

    @property
    def _remote_address(self) -> str:
        """From where the whole was asked for."""
        return str(self._work.payload.get("remote_address", ""))

    def _work_on(self, record: Record, name: str = "") -> dict[str, Any]:
        """What every sub-task is told.

        :param name: that it is to have; the record's if empty.
        """
        return {
            "record": record.uuid,
            "name": name or record.name,
            "remote_address": self._remote_address,
        }

    def _task(
        self,
        step: PlanStep,
        action: Action,
        task_uuid: str,
        record: Record,
        goal: TaskStatus | None = None,
    ) -> Task:
        parent = self._work.task
        return Task.accepted(
            task_uuid,
            _TYPES[step.kind, action],
            step.kind,
            self._work.tools.clock(),
            object_uuid=record.openstack_id or record.uuid,
            description=f"{action} {step.kind} {step.name}",
            goal=goal,
            request_ids=parent.request_ids[:1],
            parent_uuid=parent.uuid,
            project_id=parent.project_id,
            user_id=parent.user_id,
        )

    def _accept_new(
        self, record: Record, task: Task, payload: Mapping[str, Any]
    ) -> str:
        """Store a new record with the task that makes what it stands for."""
        try:
            self._store.accept([record], [(task, payload)], owner=self._work.claim)
        except Conflict as error:
            # Begun by a former owner, who did not live to know it.
            if not self._is_there(task.uuid, record):
                raise error
            return task.uuid
        return self._accepted(task, record)

    def _accept_on(
        self,
        record: Record,
        marks: Mapping[str, Any],
        expected: Iterable[str],
        task: Task,
        payload: Mapping[str, Any],
    ) -> str:
        try:
            self._store.accept_on(
                record, marks, expected, task, payload, owner=self._work.claim
            )
        except Conflict:
            if not self._is_there(task.uuid):
                raise
            return task.uuid
        return self._accepted(task, record)

    def _accept_deletion(
        self,
        step: PlanStep,
        task_uuid: str,
        more: Callable[[Record], Mapping[str, Any]] = lambda record: {},
    ) -> str | None:
        """Have what a step names deleted; None if that is done.

        A deletion that is under way already is it.

        :param more: what its task is told besides, of the record.
        """
        record = self._work.find_record(step.kind, step.record)
        if record is None:
            return None
        other = record.data.get("deleting")
        if other and not self._store.ends([other]):
            return str(other)
        task = self._task(step, Action.DELETE, task_uuid, record)
        marks = {"deleting": task_uuid}
        payload = {**self._work_on(record), **more(record)}
        found = self._accept_on(record, marks, marks, task, payload)
        if record.data.get("creating"):
            self._work.tools.signals.wake(record.task_uuid)
        return found

    def _accepted(self, task: Task, record: Record) -> str:
        tools = self._work.tools
        tools.signals.work()
        tools.audit.change(
            task.type.verb,
            record.kind,
            user_id=task.user_id,
            project_id=task.project_id,
            request_id=task.request_ids[0] if task.request_ids else "",
            remote_address=self._remote_address,
            object_uuid=record.openstack_id or record.uuid,
            name=record.name,
            task_uuid=task.uuid,
            outcome="pending",
        )
        return task.uuid
