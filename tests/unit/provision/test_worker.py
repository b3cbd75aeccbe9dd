# SPDX-License-Identifier: Apache-2.0
"""Workers: claims, parking, waking, leases, and their end. Time is moved by hand."""

import dataclasses
import threading

import pytest

from nova_multi.domain.task import Task, TaskType
from nova_multi.provision.runner import Runner, Stopping
from nova_multi.provision.steps import Step, Wait
from nova_multi.provision.store import Fenced
from nova_multi.provision.worker import MAX_CLAIMS, Worker


class Bench:
    """A worker whose turns are called by the test, and what its tasks do."""

    def __init__(self, stage, threads=2, name="w1"):
        self.stage = stage
        self.now = 0.0
        self.ran = []
        self.do = lambda work: None
        steps = [
            Step("one", "thing", self._step("one")),
            Step("two", "thing", self._do),
        ]
        self.runner = Runner(
            dataclasses.replace(stage.tools, memory={}),
            {TaskType.START_INSTANCE: lambda work: steps},
        )
        self.worker = Worker(
            stage.tools,
            self.runner,
            name,
            threads=threads,
            look=5.0,
            monotonic=lambda: self.now,
        )

    def _step(self, name):
        def do(work):
            self.ran.append((name, work.uuid))

        return do

    def _do(self, work):
        self.ran.append(("two", work.uuid))
        self.do(work)

    def accept(self, uuid):
        task = Task.accepted(
            uuid, TaskType.START_INSTANCE, "instance", self.stage.clock()
        )
        self.stage.store.add_task(task, {"name": uuid})
        self.worker.on_work()

    def turn(self):
        """One turn, and what it has begun to its end."""
        more = self.worker.turn()
        with self.worker._changed:
            assert self.worker._changed.wait_for(
                lambda: self.worker._running == 0, timeout=60
            )
        return more

    def forward(self, seconds):
        self.now += seconds
        self.stage.clock.forward(seconds)

    def status(self, uuid):
        return self.stage.store.task(uuid).status

    def times(self, uuid):
        return [name for name, each in self.ran if each == uuid].count("two")


@pytest.fixture
def bench(stage):
    return Bench(stage)


def waiting(seconds):
    def do(work):
        raise Wait(seconds)

    return do


def test_a_task_is_done(bench):
    bench.accept("t1")
    bench.turn()
    assert bench.status("t1") == "done"
    assert bench.ran == [("one", "t1"), ("two", "t1")]


def test_without_a_word_it_looks_after_a_while(bench):
    bench.turn()
    bench.stage.store.add_task(
        Task.accepted("t1", TaskType.START_INSTANCE, "instance", bench.stage.clock()),
        {},
    )
    bench.forward(4.9)
    bench.turn()
    assert bench.status("t1") == "pending"
    bench.forward(0.2)
    bench.turn()
    assert bench.status("t1") == "done"


def test_what_waits_goes_on_after_its_time(bench):
    bench.do = waiting(10)
    bench.accept("t1")
    bench.turn()
    bench.forward(9)
    bench.turn()
    assert bench.times("t1") == 1
    bench.forward(1)
    bench.turn()
    assert bench.times("t1") == 2
    # Only what was not done is done again.
    assert [name for name, _ in bench.ran].count("one") == 1


def test_what_waits_takes_no_thread(stage):
    bench = Bench(stage, threads=1)
    bench.do = waiting(1000)
    for number in range(5):
        bench.accept(f"t{number}")
        bench.turn()
    assert [bench.times(f"t{n}") for n in range(5)] == [1] * 5


def test_what_waits_is_woken(bench):
    bench.do = waiting(1000)
    bench.accept("t1")
    bench.turn()
    bench.worker.on_wake("t1")
    bench.turn()
    assert bench.times("t1") == 2
    bench.worker.on_wake("unknown")
    bench.turn()
    assert bench.times("t1") == 2


def test_what_is_heard_while_it_runs_is_not_lost(bench):
    def do(work):
        # Between its look at the cloud and its going to sleep.
        bench.worker.on_wake(work.uuid)
        raise Wait(1000)

    bench.do = do
    bench.accept("t1")
    bench.turn()
    bench.turn()
    assert bench.times("t1") == 2


def test_leases_of_what_waits_are_renewed(bench):
    lease = bench.stage.tools.settings.lease
    bench.do = waiting(10_000)
    bench.accept("t1")
    bench.turn()
    for _ in range(10):
        bench.forward(lease / 2)
        bench.turn()
        assert bench.stage.store.claim("other", 10, lease) == []


def test_a_task_of_the_dead_is_taken_over(stage):
    dead, alive = Bench(stage, name="dead"), Bench(stage, name="alive")
    dead.do = waiting(10)
    dead.accept("t1")
    dead.turn()
    alive.turn()
    assert alive.times("t1") == 0
    alive.forward(stage.tools.settings.lease + 1)
    alive.turn()
    assert alive.status("t1") == "done"
    # What the first one had done was not done again.
    assert [name for name, _ in alive.ran] == ["two"]
    # It was not dead after all: it sees that the task is another's, and leaves it.
    dead.now = alive.now
    dead.turn()
    assert dead.worker._held == {}


def test_the_end_gives_back_what_waits(stage):
    first, second = Bench(stage, name="first"), Bench(stage, name="second")
    first.do = waiting(1000)
    first.accept("t1")
    first.turn()
    first.worker.stop()
    assert not first.turn()
    second.turn()
    assert second.status("t1") == "done"


def test_the_end_comes_between_two_steps(stage):
    first, second = Bench(stage, name="first"), Bench(stage, name="second")
    begun, go_on = threading.Event(), threading.Event()

    def do(name):
        def run(work):
            first.ran.append((name, work.uuid))
            if name == "one":
                begun.set()
                assert go_on.wait(60)

        return run

    steps = [Step(name, "thing", do(name)) for name in ("one", "two")]
    first.runner._procedures = {TaskType.START_INSTANCE: lambda work: steps}
    first.accept("t1")
    first.worker.turn()
    assert begun.wait(60)
    first.worker.stop()
    go_on.set()
    first.turn()
    assert [name for name, _ in first.ran] == ["one"]
    second.turn()
    assert second.status("t1") == "done"
    assert [name for name, _ in second.ran] == ["one", "two"][1:]


def test_an_error_of_ours_is_told_as_such(bench):
    def do(work):
        raise ZeroDivisionError("secret words")

    bench.do = do
    bench.accept("t1")
    bench.turn()
    task = bench.stage.store.task("t1")
    assert task.status == "error"
    assert "step two, thing t1: internal error (ZeroDivisionError)" in (
        task.history[-1].message
    )
    assert "secret words" not in task.history[-1].message


def test_a_type_of_task_that_nobody_knows_ends(bench):
    task = Task.accepted(
        "t1", TaskType.EXECUTE_COMMAND, "instance", bench.stage.clock()
    )
    bench.stage.store.add_task(task, {})
    bench.turn()
    assert bench.status("t1") == "error"


def test_what_no_step_raises_is_not_tried_for_ever(bench, monkeypatch):
    def broken(*args):
        raise ArithmeticError("nobody thought of it")

    monkeypatch.setattr(bench.runner, "run", broken)
    bench.accept("t1")
    for _ in range(MAX_CLAIMS - 1):
        bench.turn()
        assert bench.status("t1") != "error"
        bench.forward(bench.stage.tools.settings.lease + 1)
    bench.turn()
    task = bench.stage.store.task("t1")
    assert task.status == "error"
    assert "internal error" in task.history[-1].message


def test_a_task_that_can_not_be_begun_keeps_no_other_waiting(bench, monkeypatch):
    begin = bench.runner.begin

    def broken(claimed):
        if claimed.task.uuid == "t1":
            raise KeyError("progress")
        return begin(claimed)

    monkeypatch.setattr(bench.runner, "begin", broken)
    bench.accept("t1")
    bench.accept("t2")
    assert bench.turn()
    assert bench.status("t2") == "done"
    for _ in range(MAX_CLAIMS):
        bench.forward(bench.stage.tools.settings.lease + 1)
        assert bench.turn()
    assert bench.status("t1") == "error"


def test_what_can_not_be_given_back_takes_no_thread(bench, monkeypatch):
    def stopping(*args):
        raise Stopping

    def broken(*args):
        raise ArithmeticError("nobody thought of it")

    monkeypatch.setattr(bench.runner, "run", stopping)
    monkeypatch.setattr(type(bench.stage.store), "release", broken)
    bench.accept("t1")
    bench.turn()
    assert bench.worker._running == 0
    assert bench.worker._held == {}


def test_more_tasks_than_threads(stage):
    bench = Bench(stage, threads=2)
    for number in range(7):
        bench.accept(f"t{number}")
    for _ in range(4):
        bench.turn()
    assert {bench.status(f"t{n}") for n in range(7)} == {"done"}


def test_the_database_away_is_survived(bench, monkeypatch):
    from nova_multi.domain.errors import Unavailable

    bench.accept("t1")

    def away(*args):
        raise Unavailable("the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(type(bench.stage.store), "claim", away)
        bench.turn()
    bench.forward(5)
    bench.turn()
    assert bench.status("t1") == "done"


def test_no_error_of_the_database_ends_a_worker(bench, monkeypatch):
    bench.do = waiting(1000)
    bench.accept("t1")
    bench.turn()
    bench.stage.clock.forward(60)

    def broken(*args):
        raise ArithmeticError("nobody thought of it")

    with monkeypatch.context() as patch:
        for name in ("claim", "renew"):
            patch.setattr(type(bench.stage.store), name, broken)
        bench.now += 60
        assert bench.turn()
    assert set(bench.worker._held) == {"t1"}
    bench.forward(1000)
    bench.do = lambda work: None
    bench.turn()
    bench.turn()
    assert bench.status("t1") == "done"


def test_the_database_away_in_a_step_is_survived(bench, monkeypatch):
    from nova_multi.domain.errors import Unavailable

    def do(work):
        raise Wait(1)

    bench.do = do
    bench.accept("t1")
    bench.turn()
    bench.do = lambda work: None

    def away(*args, **named):
        raise Unavailable("the database does not answer")

    bench.forward(1)
    with monkeypatch.context() as patch:
        patch.setattr(type(bench.stage.store), "finish", away)
        bench.turn()
    assert bench.status("t1") == "dispatching"
    bench.forward(5)
    bench.turn()
    assert bench.status("t1") == "done"


def test_run_ends_when_it_is_told_to(bench):
    bench.do = waiting(1000)
    bench.accept("t1")
    thread = threading.Thread(target=bench.worker.run)
    thread.start()
    with bench.worker._changed:
        assert bench.worker._changed.wait_for(
            lambda: bench.times("t1") and not bench.worker._running, timeout=60
        )
    bench.worker.stop()
    thread.join(60)
    assert not thread.is_alive()
    (claimed,) = bench.stage.store.claim("other", 1, 90)
    assert claimed.task.uuid == "t1"


def test_a_fenced_worker_stops_at_once(bench):
    lease = bench.stage.tools.settings.lease
    stolen = []

    def do(work):
        bench.stage.clock.forward(lease + 1)
        stolen.extend(bench.stage.store.claim("other", 1, lease))
        work.keep(anything=1)
        raise AssertionError("it went on")

    bench.do = do
    bench.accept("t1")
    bench.turn()
    assert bench.worker._held == {}
    assert bench.status("t1") == "dispatching"
    assert stolen


def test_exceptions_of_control_are_no_errors():
    assert not issubclass(Stopping, Fenced)
    assert not issubclass(Wait, Stopping)
