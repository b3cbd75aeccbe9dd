# SPDX-License-Identifier: Apache-2.0
"""Which steps of a plan go on, which come next, and which never can any more."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from nova_multi.domain.errors import DomainError, Unavailable
from nova_multi.domain.plan import PlanStep
from nova_multi.provision.steps.base import Wait


class Tasks(Protocol):
    """Makes the tasks of steps."""

    def begin(self, step: PlanStep, phase: int) -> str | None:
        """Begin a phase of a step, or find it begun.

        :returns: UUID of its task; None if there is nothing to do any more.
        :raises DomainError: it can't be begun.
        :raises Wait: not yet.
        """

    def phases(self, step: PlanStep) -> int:
        """How many tasks a step takes, one after the other."""

    def ends(self, uuids: Iterable[str]) -> Mapping[str, bool]:
        """Those of these tasks that have ended, and whether well."""

    def why(self, uuid: str) -> str:
        """What a task that has failed says."""


@dataclasses.dataclass(slots=True)
class _Going:
    """A step on its way."""

    step: PlanStep
    phase: int


class Schedule:
    """The steps of one plan on their way.

    Nothing of it has to be kept: tasks that were begun are found again.

    :param steps: each behind those that it needs.
    :param width: how many go on at the same time.
    :ivar failed: names of what failed, and why.
    :ivar skipped: names of what needs something that failed.
    """

    def __init__(self, steps: Sequence[PlanStep], tasks: Tasks, width: int) -> None:
        self._tasks = tasks
        self._width = width
        self._groups: dict[str, list[PlanStep]] = {}
        for step in steps:
            self._groups.setdefault(step.group, []).append(step)
        self._left = {group: len(inside) for group, inside in self._groups.items()}
        self._needs = {
            group: {each for each in inside[0].needs if each in self._groups}
            for group, inside in self._groups.items()
        }
        self._behind: dict[str, list[str]] = {}
        for group, needs in self._needs.items():
            for each in needs:
                self._behind.setdefault(each, []).append(group)
        self._broken: set[str] = set()
        self._ready: collections.deque[PlanStep] = collections.deque()
        self._going: dict[str, _Going] = {}
        self.total = len(steps)
        self.failed: list[tuple[str, str]] = []
        self.skipped: list[str] = []
        for group, needs in self._needs.items():
            if not needs:
                self._ready.extend(self._groups[group])

    @property
    def ended(self) -> bool:
        """Nothing goes on any more, and nothing can be begun."""
        return not self._going and not self._ready

    def go_on(self) -> None:
        """See what has ended, and begin what can be begun."""
        ends = self._tasks.ends(self._going)
        for uuid, well in ends.items():
            going = self._going.pop(uuid)
            if not well:
                self._end(going.step, self._tasks.why(uuid) or "its task failed")
            else:
                self._begin(going.step, going.phase + 1)
        while self._ready and len(self._going) < self._width:
            self._begin(self._ready.popleft(), 0)

    def _begin(self, step: PlanStep, phase: int) -> None:
        """Begin a phase; those for which there is nothing to do are passed."""
        while phase < self._tasks.phases(step):
            try:
                uuid = self._tasks.begin(step, phase)
            except (Unavailable, Wait):
                # To be tried again; what was done of it is found then.
                self._ready.appendleft(step)
                raise
            except DomainError as error:
                self._end(step, error.message)
                return
            if uuid is not None:
                self._going[uuid] = _Going(step, phase)
                return
            phase += 1
        self._end(step, "")

    def _end(self, step: PlanStep, why: str) -> None:
        if why:
            self.failed.append((step.name, why))
            self._broken.add(step.group)
        ended = [step.group]
        self._left[step.group] -= 1
        # Not recursive: plans may be deep.
        while ended:
            group = ended.pop()
            if self._left[group]:
                continue
            for behind in self._behind.get(group, ()):
                needs = self._needs[behind]
                needs.discard(group)
                if group in self._broken:
                    self._broken.add(behind)
                if needs:
                    continue
                if behind in self._broken:
                    self.skipped += [each.name for each in self._groups[behind]]
                    self._left[behind] = 0
                    ended.append(behind)
                else:
                    self._ready.extend(self._groups[behind])
