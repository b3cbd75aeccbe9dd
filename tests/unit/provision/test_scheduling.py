# SPDX-License-Identifier: Apache-2.0
"""Which step goes on when, which waits, and which is left out."""

import pytest

from nova_multi.domain.errors import Conflict, Unavailable
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Action, PlanStep
from nova_multi.provision.steps.base import Wait
from nova_multi.provision.steps.scheduling import Schedule


class FakeTasks:
    """Tasks that end when a test says so."""

    def __init__(self, phases=1):
        self.begun = []
        self.ended = {}
        self.trouble = {}
        self.nothing = set()
        self._phases = phases

    def phases(self, step):
        return self._phases

    def begin(self, step, phase):
        key = f"{step.name}/{phase}"
        if key in self.trouble:
            raise self.trouble.pop(key)
        if key in self.nothing:
            return None
        self.begun.append(key)
        return key

    def ends(self, uuids):
        return {key: self.ended[key] for key in uuids if key in self.ended}

    def why(self, uuid):
        return f"{uuid} did not work"

    def end(self, *keys, well=True):
        self.ended |= dict.fromkeys(keys, well)


def step(name, group, *needs):
    return PlanStep(Action.CREATE, Kind.INSTANCE, name, group, group, needs=needs)


SHOP = [
    step("db", "db"),
    step("log", "log"),
    step("web-1", "web", "db"),
    step("web-2", "web", "db"),
    step("proxy", "proxy", "web", "log"),
]


def begun(schedule, tasks):
    """What is begun by a look."""
    before = len(tasks.begun)
    schedule.go_on()
    return [key.split("/")[0] for key in tasks.begun[before:]]


def test_as_far_as_the_dependencies_allow():
    tasks = FakeTasks()
    schedule = Schedule(SHOP, tasks, 10)
    assert begun(schedule, tasks) == ["db", "log"]
    assert begun(schedule, tasks) == []
    tasks.end("db/0")
    assert begun(schedule, tasks) == ["web-1", "web-2"]
    tasks.end("web-1/0", "log/0")
    assert begun(schedule, tasks) == []
    tasks.end("web-2/0")
    assert begun(schedule, tasks) == ["proxy"]
    assert not schedule.ended
    tasks.end("proxy/0")
    schedule.go_on()
    assert schedule.ended and not schedule.failed and not schedule.skipped


def test_no_wider_than_asked():
    tasks = FakeTasks()
    schedule = Schedule(SHOP, tasks, 1)
    order = []
    while not schedule.ended or not order:
        new = begun(schedule, tasks)
        assert len(new) <= 1
        order += new
        tasks.end(*tasks.begun)
    assert order == ["db", "log", "web-1", "web-2", "proxy"]


def test_what_needs_a_failure_is_left_out():
    tasks = FakeTasks()
    schedule = Schedule(SHOP, tasks, 10)
    schedule.go_on()
    tasks.end("db/0", well=False)
    assert begun(schedule, tasks) == []
    # The rest goes on to its end.
    assert not schedule.ended
    tasks.end("log/0")
    schedule.go_on()
    assert schedule.ended
    assert schedule.failed == [("db", "db/0 did not work")]
    assert schedule.skipped == ["web-1", "web-2", "proxy"]


def test_one_of_several_fails():
    tasks = FakeTasks()
    schedule = Schedule(SHOP, tasks, 10)
    schedule.go_on()
    tasks.end("db/0", "log/0")
    schedule.go_on()
    tasks.end("web-1/0", well=False)
    schedule.go_on()
    assert not schedule.ended
    tasks.end("web-2/0")
    schedule.go_on()
    assert schedule.ended and schedule.skipped == ["proxy"]


def test_what_can_not_even_be_begun():
    tasks = FakeTasks()
    tasks.trouble["db/0"] = Conflict("its name is taken")
    schedule = Schedule(SHOP, tasks, 10)
    assert begun(schedule, tasks) == ["log"]
    assert schedule.failed == [("db", "its name is taken")]


@pytest.mark.parametrize("trouble", [Unavailable("no answer"), Wait(1)])
def test_what_can_not_be_begun_just_now(trouble):
    tasks = FakeTasks()
    tasks.trouble["db/0"] = trouble
    schedule = Schedule(SHOP, tasks, 10)
    with pytest.raises(type(trouble)):
        schedule.go_on()
    assert begun(schedule, tasks) == ["db", "log"]
    tasks.end("db/0", "log/0")
    tasks.trouble["web-2/0"] = trouble
    with pytest.raises(type(trouble)):
        schedule.go_on()
    tasks.end("web-1/0")
    assert begun(schedule, tasks) == ["web-2"]
    assert not schedule.failed


def test_phases_one_after_the_other():
    tasks = FakeTasks(phases=2)
    schedule = Schedule([step("db", "db"), step("web", "web", "db")], tasks, 10)
    schedule.go_on()
    tasks.end("db/0")
    schedule.go_on()
    assert tasks.begun == ["db/0", "db/1"]
    tasks.end("db/1")
    # What is gone already needs no task.
    tasks.nothing.add("web/0")
    schedule.go_on()
    assert tasks.begun == ["db/0", "db/1", "web/1"]


def test_nothing_to_do():
    tasks = FakeTasks()
    assert Schedule([], tasks, 10).ended
    tasks.nothing |= {f"{each.name}/0" for each in SHOP}
    schedule = Schedule(SHOP, tasks, 1)
    schedule.go_on()
    assert schedule.ended and not tasks.begun


def test_a_long_chain():
    """Longer than Python's stack; all of it is left out at once."""
    steps = [step("0", "0")]
    steps += [step(str(n), str(n), str(n - 1)) for n in range(1, 5000)]
    tasks = FakeTasks()
    schedule = Schedule(steps, tasks, 10)
    schedule.go_on()
    tasks.end("0/0", well=False)
    schedule.go_on()
    assert schedule.ended and len(schedule.skipped) == 4999
