# SPDX-License-Identifier: Apache-2.0
"""Who owns a task, and for how long."""

import pytest
import sqlalchemy as sa

from nova_multi.domain.errors import Conflict
from nova_multi.domain.task import TaskStatus, TaskType
from nova_multi.provision.store import Fenced

S = TaskStatus


def names(claimed):
    return [one.task.uuid for one in claimed]


def test_a_claim_has_all_that_the_work_needs(store, new_task, clock):
    task = new_task(payload={"name": "wéb", "n": [1, None]}, secret_refs=("s1", "s2"))
    (claimed,) = store.claim("w", 5, 60)
    assert claimed.task == task
    assert claimed.payload == {"name": "wéb", "n": [1, None]}
    assert claimed.secret_refs == ("s1", "s2")
    assert claimed.progress == {}
    assert claimed.fencing == 1
    assert (claimed.leased_until - clock()).total_seconds() == 60


def test_the_oldest_first_and_not_more_than_asked(store, new_task, clock):
    for _ in range(5):
        new_task()
        clock.forward(1)
    assert names(store.claim("w", 2, 60)) == ["t1", "t2"]
    assert names(store.claim("v", 9, 60)) == ["t3", "t4", "t5"]
    assert store.claim("v", 9, 60) == []
    assert store.claim("v", 0, 60) == []


def test_tasks_of_one_moment_in_the_order_of_acceptance(store, new_task):
    for _ in range(4):
        new_task()
    assert names(store.claim("w", 4, 60)) == ["t1", "t2", "t3", "t4"]


def test_a_nameless_worker_owns_nothing(store):
    with pytest.raises(ValueError):
        store.claim("", 1, 60)


def test_a_lease_that_ends_is_claimed_by_others(store, new_task, clock):
    new_task()
    (first,) = store.claim("w", 1, 60)
    store.save_progress("t1", first.fencing, {"step": 3})
    clock.forward(59)
    assert store.claim("v", 1, 60) == []
    clock.forward(1)
    (second,) = store.claim("v", 1, 60)
    assert second.fencing == first.fencing + 1
    assert second.progress == {"step": 3}


def test_an_outdated_number_is_refused_everywhere(store, new_task, clock):
    new_task()
    (first,) = store.claim("w", 1, 60)
    clock.forward(61)
    (second,) = store.claim("v", 1, 60)
    before = store.task("t1")
    for number in (first.fencing, second.fencing + 1):
        for call in (
            lambda n: store.advance("t1", S.DISPATCHING, fencing=n),
            lambda n: store.renew("t1", n, 600),
            lambda n: store.save_progress("t1", n, {"step": 9}),
            lambda n: store.release("t1", n),
            lambda n: store.finish("t1", n, S.ERROR),
            lambda n: store.set_object("t1", "x", n),
        ):
            with pytest.raises(Fenced):
                call(number)
    assert store.task("t1") == before
    store.advance("t1", S.DISPATCHING, fencing=second.fencing)
    clock.forward(61)
    (third,) = store.claim("w", 1, 60)
    assert third.progress == {}


def test_a_lease_that_ended_unnoticed_still_holds(store, new_task, clock):
    new_task()
    (claimed,) = store.claim("w", 1, 60)
    clock.forward(600)
    store.renew("t1", claimed.fencing, 60)
    assert store.claim("v", 1, 60) == []


def test_renewing_moves_the_end(store, new_task, clock):
    new_task()
    (claimed,) = store.claim("w", 1, 60)
    clock.forward(50)
    store.renew("t1", claimed.fencing, 60)
    clock.forward(59)
    assert store.claim("v", 1, 60) == []
    clock.forward(1)
    assert names(store.claim("v", 1, 60)) == ["t1"]


def test_progress_and_its_log_are_kept_together(store, new_task, clock):
    new_task()
    (first,) = store.claim("w", 1, 60)
    store.save_progress("t1", first.fencing, {"read": 2}, log="one\ntwo\n")
    clock.forward(61)
    (second,) = store.claim("v", 1, 60)
    assert second.progress == {"read": 2}
    with pytest.raises(Fenced):
        store.save_progress("t1", first.fencing, {"read": 3}, log="three\n")
    assert store.task("t1").log == "one\ntwo\n"


def test_what_is_given_back_waits(store, new_task, clock):
    new_task()
    (claimed,) = store.claim("w", 1, 60)
    store.release("t1", claimed.fencing, delay=10)
    clock.forward(9)
    assert store.claim("v", 1, 60) == []
    clock.forward(1)
    (again,) = store.claim("v", 1, 60)
    assert again.fencing == 2


def test_what_is_given_back_is_no_longer_owned(store, new_task):
    new_task()
    (claimed,) = store.claim("w", 1, 60)
    store.release("t1", claimed.fencing)
    for call in (
        lambda: store.renew("t1", 1, 60),
        lambda: store.save_progress("t1", 1, {}),
        lambda: store.release("t1", 1),
        lambda: store.advance("t1", S.DISPATCHING, fencing=1),
    ):
        with pytest.raises(Fenced):
            call()


def test_a_finished_task_is_never_claimed_again(store, new_task, clock):
    new_task(secret_refs=("s",))
    (claimed,) = store.claim("w", 1, 60)
    done = store.finish("t1", 1, S.ERROR, "step 3: no host")
    assert done == store.task("t1")
    assert done.status is S.ERROR
    assert done.history[-1].message == "step 3: no host"
    clock.forward(10_000)
    assert store.claim("v", 1, 60) == []
    assert store.next_due() is None
    with pytest.raises(Fenced):
        store.renew("t1", claimed.fencing, 60)
    with pytest.raises(Fenced):
        store.save_progress("t1", claimed.fencing, {})


def test_finishing_twice_is_finishing(store, new_task, clock):
    new_task()
    store.claim("w", 1, 60)
    done = store.finish("t1", 1, S.CREATED)
    clock.forward(5)
    assert store.finish("t1", 1, S.CREATED) == done
    with pytest.raises(Fenced):
        store.finish("t1", 2, S.CREATED)


def test_only_an_end_finishes(store, new_task):
    new_task(goal=S.PROVISIONED)
    store.claim("w", 1, 60)
    for status in (S.CREATED, S.DISPATCHING):
        with pytest.raises(Conflict, match="does not end as"):
            store.finish("t1", 1, status)
    assert store.task("t1").status is S.PENDING
    assert store.finish("t1", 1, S.PROVISIONED).is_final


def test_a_task_that_an_event_brought_to_its_goal(store, new_task, clock):
    new_task()
    store.claim("w", 1, 60)
    store.advance("t1", S.CREATED, "ACTIVE")
    clock.forward(61)
    # Its worker died: another one has to see that all is well.
    (again,) = store.claim("v", 1, 60)
    assert again.task.is_final
    done = store.finish("t1", again.fencing, S.CREATED)
    assert done.history[-1].message == "ACTIVE"
    assert store.next_due() is None


def test_an_event_that_ended_the_task_otherwise(store, new_task):
    new_task()
    store.claim("w", 1, 60)
    store.advance("t1", S.ERROR, "no valid host")
    assert store.finish("t1", 1, S.CREATED).status is S.ERROR
    assert store.next_due() is None


def test_when_there_is_work_again(store, new_task, clock):
    assert store.next_due() is None
    start = clock()
    new_task()
    clock.forward(5)
    new_task()
    assert store.next_due() == start
    store.claim("w", 1, 60)
    assert (store.next_due() - start).total_seconds() == 5
    store.claim("w", 1, 30)
    assert (store.next_due() - start).total_seconds() == 35


def test_a_task_without_result_is_done(store, new_task):
    new_task(type=TaskType.START_INSTANCE)
    store.claim("w", 1, 60)
    assert store.finish("t1", 1, S.DONE).is_final


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tasks SET type = 'ofTomorrow' WHERE uuid = 't2'",
        "UPDATE tasks SET status = 'elsewhere' WHERE uuid = 't2'",
        "UPDATE task_work SET payload = '{' WHERE task_id = 2",
        "UPDATE task_work SET secret_refs = 'null' WHERE task_id = 2",
    ],
)
def test_one_that_can_not_be_read_keeps_no_other_waiting(
    store, new_task, clock, caplog, change
):
    for _ in range(3):
        new_task()
    with store._database.write() as connection:
        connection.execute(sa.text(change))
    assert names(store.claim("w", 3, 60)) == ["t1", "t3"]
    assert "task number 2 can't be read" in caplog.text
    clock.forward(30)
    new_task()
    assert names(store.claim("w", 3, 60)) == ["t4"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tasks SET type = 'ofTomorrow' WHERE id IN (2, 3)",
        "UPDATE task_history SET status = 'elsewhere' WHERE task_id IN (2, 3)",
    ],
)
def test_tasks_of_another_release_leave_gaps_in_no_page(store, new_task, change):
    for _ in range(5):
        new_task()
    with store._database.write() as connection:
        connection.execute(sa.text(change))
    first = store.tasks(None, limit=2)
    assert [task.uuid for task in first] == ["t5", "t4"]
    rest = store.tasks(None, limit=2, marker="t4")
    assert [task.uuid for task in rest] == ["t1"]
    with pytest.raises(Conflict, match="another release"):
        store.task("t2")
    assert store.task("t1").uuid == "t1"
