# SPDX-License-Identifier: Apache-2.0
"""Tasks come back as they went in, and move as the domain says."""

import datetime

import pytest

from nova_multi.domain.errors import Conflict, Invalid, NotFound
from nova_multi.domain.task import TaskStatus, TaskType
from nova_multi.provision.store import Fenced, tasks

S = TaskStatus


def test_a_task_comes_back_whole(store, new_task):
    task = new_task(
        object_uuid="o",
        description="Grüße 🐳",
        goal=S.PROVISIONED,
        request_ids=("req-1", "req-2", "req-1"),
        parent_uuid="t0",
        user_id="u",
    )
    found = store.task(task.uuid)
    assert found.request_ids == ("req-1", "req-2")
    assert found == task.__class__(
        **{
            **{name: getattr(task, name) for name in task.__slots__},
            "request_ids": ("req-1", "req-2"),
        }
    )
    assert isinstance(found.type, TaskType)
    assert isinstance(found.goal, TaskStatus)
    assert found.created.tzinfo is datetime.UTC


def test_microseconds_are_kept(store, new_task, clock):
    clock.forward(0.123456)
    assert store.task(new_task().uuid).created.microsecond == 123456


def test_a_task_is_accepted_once(store, new_task):
    new_task("a")
    with pytest.raises(Conflict) as caught:
        new_task("a")
    assert caught.value.code == "task_exists"
    assert len(store.tasks(None)) == 1


def test_unknown_tasks(store):
    for call in (
        lambda: store.task("x"),
        lambda: store.advance("x", S.CREATED),
        lambda: store.append_log("x", "text"),
        lambda: store.add_request_id("x", "req"),
        lambda: store.delete_task("x"),
        lambda: store.renew("x", 1, 5),
        lambda: store.finish("x", 1, S.ERROR),
    ):
        with pytest.raises(NotFound):
            call()


def test_an_event_moves_a_task(store, new_task, clock):
    uuid = new_task().uuid
    earlier = clock() + datetime.timedelta(seconds=2)
    clock.forward(3)
    moved = store.advance(uuid, S.DISPATCHED, "on node-1", at=earlier)
    assert moved == store.task(uuid)
    assert moved.status is S.DISPATCHED
    assert moved.last_update == earlier
    assert [(c.status, c.message) for c in moved.history] == [
        (S.PENDING, ""),
        (S.DISPATCHED, "on node-1"),
    ]
    assert store.advance(uuid, S.CREATED).last_update == clock()


def test_the_same_event_twice(store, new_task, clock):
    uuid = new_task().uuid
    first = store.advance(uuid, S.DISPATCHED)
    clock.forward(1)
    assert store.advance(uuid, S.DISPATCHED, "again") == first == store.task(uuid)


def test_a_late_event(store, new_task, clock):
    uuid = new_task().uuid
    store.advance(uuid, S.CREATED)
    moved = store.advance(uuid, S.DISPATCHED)
    assert moved == store.task(uuid)
    assert moved.status is S.CREATED
    assert [c.status for c in moved.history] == [S.PENDING, S.DISPATCHED, S.CREATED]


def test_what_can_not_follow_changes_nothing(store, new_task):
    uuid = new_task().uuid
    before = store.task(uuid)
    with pytest.raises(Conflict):
        store.advance(uuid, S.DELETED)
    assert store.task(uuid) == before


def test_long_messages_are_cut(store, new_task):
    uuid = new_task().uuid
    moved = store.advance(uuid, S.ERROR, "x" * 10_000)
    assert moved == store.task(uuid)
    assert len(moved.history[-1].message) == tasks.MAX_MESSAGE


def test_half_a_surrogate_in_a_message(store, new_task):
    """No database takes it, and the task has to end all the same."""
    uuid = new_task().uuid
    store.advance(uuid, S.ERROR, "layer \ud800 is missing")
    assert store.task(uuid).history[-1].message == "layer ? is missing"


def test_the_log_grows_in_order(store, new_task):
    uuid = new_task().uuid
    for text in ("one\n", "", "two\n", "drei ü\n"):
        store.append_log(uuid, text)
    assert store.task(uuid).log == "one\ntwo\ndrei ü\n"
    assert store.tasks(None)[0].log == ""


def test_the_log_ends_somewhere(store, new_task, monkeypatch):
    monkeypatch.setattr(tasks, "MAX_LOG", 10)
    uuid = new_task().uuid
    store.append_log(uuid, "123456")
    store.append_log(uuid, "7890")
    assert store.task(uuid).log == "1234567890"
    for _ in range(3):
        store.append_log(uuid, "abc")
    assert store.task(uuid).log == "1234567890" + tasks.LOG_CUT


def test_request_ids_are_kept_once(store, new_task):
    uuid = new_task(request_ids=("req-1",)).uuid
    for request_id in ("req-2", "req-1", "req-2", "r" * 300):
        store.add_request_id(uuid, request_id)
    assert store.task(uuid).request_ids == ("req-1", "req-2", "r" * 255)


def test_the_object_is_known_later(store, new_task):
    uuid = new_task().uuid
    (claimed,) = store.claim("w", 1, 60)
    store.set_object(uuid, "server", claimed.fencing)
    assert store.task(uuid).object_uuid == "server"
    with pytest.raises(Fenced):
        store.set_object(uuid, "other", claimed.fencing + 1)


def test_only_finished_tasks_are_deleted(store, new_task):
    uuid = new_task().uuid
    other = new_task().uuid
    store.append_log(uuid, "text")
    with pytest.raises(Conflict) as caught:
        store.delete_task(uuid)
    assert caught.value.code == "task_not_finished"
    claimed = {c.task.uuid: c for c in store.claim("w", 2, 60)}
    store.advance(uuid, S.ERROR)
    with pytest.raises(Conflict):
        # Its worker may be about to clean up.
        store.delete_task(uuid)
    store.finish(uuid, claimed[uuid].fencing, S.ERROR)
    store.delete_task(uuid)
    with pytest.raises(NotFound):
        store.task(uuid)
    assert [task.uuid for task in store.tasks(None)] == [other]


def test_nothing_of_a_deleted_task_stays(store, new_task):
    from nova_multi.provision.store import tables

    uuid = new_task(request_ids=("req",)).uuid
    store.append_log(uuid, "text")
    (claimed,) = store.claim("w", 1, 60)
    store.finish(uuid, claimed.fencing, S.ERROR)
    store.delete_task(uuid)
    with store._database.read() as connection:
        for table in tables.metadata.sorted_tables:
            assert connection.execute(table.select()).all() == [], table.name


def uuids(found):
    return [task.uuid for task in found]


def test_lists_are_newest_first_and_in_pages(store, new_task):
    for _ in range(5):
        new_task()
    assert uuids(store.tasks(None, limit=2)) == ["t5", "t4"]
    assert uuids(store.tasks(None, limit=2, marker="t4")) == ["t3", "t2"]
    assert uuids(store.tasks(None, limit=2, marker="t2")) == ["t1"]
    assert uuids(store.tasks(None, limit=2, marker="t1")) == []


def test_a_page_does_not_move_when_tasks_come(store, new_task):
    for _ in range(4):
        new_task()
    first = store.tasks(None, limit=2)
    new_task()
    assert uuids(store.tasks(None, limit=2, marker=first[-1].uuid)) == ["t2", "t1"]


def test_an_unknown_marker_is_refused(store):
    with pytest.raises(Invalid) as caught:
        store.tasks(None, marker="x")
    assert caught.value.field == "marker"


def test_filters(store, new_task):
    new_task("a", project_id="p1")
    new_task("b", project_id="p2", object_uuid="o")
    new_task("c", project_id="p2", type=TaskType.DELETE_INSTANCE, parent_uuid="a")
    new_task("d", project_id="p3")
    store.advance("a", S.ERROR)
    store.advance("d", S.ERROR)
    assert uuids(store.tasks(None)) == ["d", "c", "b", "a"]
    assert uuids(store.tasks([])) == []
    assert uuids(store.tasks(["p2"])) == ["c", "b"]
    assert uuids(store.tasks(iter(["p1", "p3"]))) == ["d", "a"]
    assert uuids(store.tasks(None, status=S.ERROR)) == ["d", "a"]
    assert uuids(store.tasks(["p1", "p2"], status=S.ERROR)) == ["a"]
    assert uuids(store.tasks(None, type=TaskType.DELETE_INSTANCE)) == ["c"]
    assert uuids(store.tasks(None, object_uuid="o")) == ["b"]
    assert uuids(store.tasks(None, parent_uuid="a")) == ["c"]
    assert uuids(store.tasks(["p1"], parent_uuid="a")) == []


def test_lists_carry_history_and_request_ids(store, new_task):
    new_task("a", request_ids=("req-a",))
    new_task("b", request_ids=("req-b", "req-c"))
    store.advance("a", S.CREATED)
    assert store.tasks(None) == [store.task("b"), store.task("a")]


def test_what_a_task_is_doing_can_be_said_anew(store, new_task, clock):
    task = new_task()
    (claimed,) = store.claim("w", 1, 60)
    store.advance(task.uuid, S.DISPATCHING, "first", claimed.fencing)
    clock.forward(5)
    store.set_message(task.uuid, S.DISPATCHING, "x" * 5000, claimed.fencing)
    found = store.task(task.uuid)
    assert found.history[-1].message == "x" * tasks.MAX_MESSAGE
    assert found.history[-1].at < found.last_update == clock()
    assert found.history[0].message == ""
    with pytest.raises(Fenced):
        store.set_message(task.uuid, S.DISPATCHING, "y", claimed.fencing - 1)
