# SPDX-License-Identifier: Apache-2.0
"""Makes environments when their hours begin, and closes them when these are over.

Nothing waits for a moment: what is to stand now is compared with what was seen to last,
so that an outage over any number of changes is followed by one. The record of an
environment says what was seen to; whoever changes it first acts, the others don't.
"""

from __future__ import annotations

import datetime
import logging

from nova_multi.domain.errors import Conflict, DomainError, NotFound, Unavailable
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskType
from nova_multi.provision import definitions, hours, presence
from nova_multi.provision.hours import Seen
from nova_multi.provision.nouns.applying import EXPECTED, Applying
from nova_multi.provision.nouns.base import work_on
from nova_multi.provision.service import Caller, Scope
from nova_multi.provision.store import Record

LOG = logging.getLogger(__name__)

#: Times that the pause before another try is doubled, at most.
_DOUBLED = 4


class Switching(Applying):
    """Looks after the hours of all environments."""

    def look(self) -> None:
        """See to all changes that nobody has seen to; what fails is tried again."""
        for record in self._store.list_records(Kind.ENVIRONMENT):
            if not (record.data.get(hours.SCHEDULE) or record.data.get(hours.MARK)):
                continue
            try:
                self._look_at(record)
            except (Conflict, NotFound) as error:
                # Another worker, or a user, was quicker.
                LOG.debug("hours of environment %s: %s", record.name, error)
            except Unavailable as error:
                LOG.warning("hours of environment %s: %s", record.name, error)
            except Exception:
                LOG.exception("hours of environment %s", record.name)

    def _look_at(self, environment: Record) -> None:
        if environment.data.get("state") != "ready":
            return
        schedule, last = hours.schedule_of(environment), hours.seen(environment)
        if schedule.is_always and (last is None or last.is_open):
            return
        now = self._tools.clock()
        wanted = hours.wanted(schedule, now)
        tries = 0
        if last and last.is_same(wanted):
            if not self._is_to_be_tried_again(last, now):
                return
            tries = last.tries + 1
        record = definitions.find(self._store, environment.uuid)
        if record is None:
            return
        task_uuid = self._tools.new_uuid()
        seen = Seen(wanted.is_open, wanted.since, task_uuid, tries)
        if wanted.is_open:
            self._open(environment, record, seen)
        elif self._stands(environment):
            self._close(environment, record, seen)
        else:
            merge = {hours.MARK: wanted.data()}
            self._store.update_record(Kind.ENVIRONMENT, environment.uuid, merge=merge)

    def _is_to_be_tried_again(self, last: Seen, now: datetime.datetime) -> bool:
        """Whether the task that saw to it has failed, and that long enough ago."""
        if not last.task or self._store.ends([last.task]).get(last.task) is not False:
            return False
        pause = self._tools.settings.hours_retry * 2 ** min(last.tries, _DOUBLED)
        ended = self._store.task(last.task, log=False).last_update
        return bool((now - ended).total_seconds() >= pause)

    def _stands(self, environment: Record) -> bool:
        """Whether a definition has made something that is there."""
        found = self._store.list_records(Kind.INSTANCE, scope=environment.uuid)
        return any(each.data.get(presence.PART) for each in found)

    def _open(self, environment: Record, definition: Record, seen: Seen) -> None:
        caller = self._caller(environment, definition)
        fields = {"definition": definitions.of(definition)}
        try:
            wanted = self._wanted(caller, fields, Scope(), environment)
            payload = self._payload(caller, environment, wanted, {})
        except Unavailable:
            raise
        except DomainError as error:
            # To be told by the task: nobody else is here to be told.
            payload = work_on(
                environment, caller, {"problem": error.message, "admin": caller.admin}
            )
        told = f"apply environment {environment.name}: its hours have begun"
        self._begin(
            TaskType.APPLY_ENVIRONMENT, environment, caller, seen, payload, told
        )

    def _close(self, environment: Record, definition: Record, seen: Seen) -> None:
        caller = self._caller(environment, definition)
        payload = work_on(
            environment,
            caller,
            {
                "environment": environment.uuid,
                "partition": environment.scope,
                "width": None,
                # Whoever may be barred from an instance, its hours are over.
                "admin": True,
            },
        )
        told = f"close environment {environment.name}: its hours are over"
        self._begin(
            TaskType.CLOSE_ENVIRONMENT, environment, caller, seen, payload, told
        )

    def _begin(
        self,
        type: TaskType,
        environment: Record,
        caller: Caller,
        seen: Seen,
        payload: dict[str, object],
        told: str,
    ) -> None:
        task = self._task(caller, type, environment, uuid=seen.task, description=told)
        going_on = self._turn(environment, {"wait": True})
        self._accept_turn(
            caller,
            environment,
            going_on,
            task,
            {**payload, "open": seen.is_open},
            merge={hours.MARK: seen.data()},
            expected=(*EXPECTED, hours.MARK, hours.SCHEDULE),
        )
        LOG.info("%s (task %s)", told, task.uuid)

    def _caller(self, environment: Record, definition: Record) -> Caller:
        """For whom it is done: who gave the definition, with what they had then."""
        by = definitions.given_by(definition)
        return Caller(
            by.get("user_id") or definition.owner_id,
            by.get("project_id") or environment.openstack_id,
            admin=bool(by.get("admin")),
            member=True,
        )
