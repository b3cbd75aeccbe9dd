# SPDX-License-Identifier: Apache-2.0
"""Many at once: nothing lost, nothing claimed twice."""

import collections
import concurrent.futures
import multiprocessing
import os
import signal
import threading

import pytest

from nova_multi.domain import times
from nova_multi.domain.errors import NameTaken, Unavailable
from nova_multi.domain.task import Task, TaskStatus, TaskType
from nova_multi.provision.store import Fenced, Record, Store, database, db_sync

S = TaskStatus
SPAWN = multiprocessing.get_context("spawn")


def accept(store, name):
    task = Task.accepted(name, TaskType.CREATE_INSTANCE, "instance", times.now())
    store.add_task(task, {"name": name})


def work(store, worker):
    """Claim and finish tasks until there are none; the claims that were made."""
    mine = []
    while claimed := store.claim(worker, 3, 600):
        for one in claimed:
            uuid = one.task.uuid
            mine.append((uuid, one.fencing))
            store.advance(uuid, S.DISPATCHING, worker, one.fencing)
            store.append_log(uuid, f"{worker}\n")
            store.finish(uuid, one.fencing, S.CREATED)
    return mine


def work_in_process(url, worker, answers):
    store = Store(url)
    answers.put((worker, work(store, worker)))
    store.close()


def check_all_done_once(store, expected, claims):
    assert sorted(claims) == sorted((name, 1) for name in expected)
    found = store.tasks(None, limit=1000)
    assert sorted(task.uuid for task in found) == sorted(expected)
    assert {task.status for task in found} == {S.CREATED}
    for task in found:
        assert len(store.task(task.uuid).log.splitlines()) == 1


@pytest.fixture
def live(url):
    store = Store(url)
    yield store
    store.close()


def test_threads(live):
    names = [f"t{number}" for number in range(30)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: accept(live, name), names))
        parts = list(pool.map(lambda n: work(live, f"w{n}"), range(8)))
    check_all_done_once(live, names, [claim for part in parts for claim in part])


def test_two_processes(live, url):
    names = [f"t{number}" for number in range(30)]
    for name in names[:20]:
        accept(live, name)
    answers = SPAWN.Queue()
    workers = [
        SPAWN.Process(target=work_in_process, args=(url, f"w{number}", answers))
        for number in range(2)
    ]
    for process in workers:
        process.start()
    # Accepted while they are at it.
    for name in names[20:]:
        accept(live, name)
    parts = dict(answers.get(timeout=60) for _ in workers)
    for process in workers:
        process.join(60)
        assert process.exitcode == 0
    # Either may have ended before the last ones came.
    rest = work(live, "rest")
    claims = [claim for part in (*parts.values(), rest) for claim in part]
    check_all_done_once(live, names, claims)


def claim_and_hang(url, answers):
    store = Store(url)
    claimed = store.claim("doomed", 5, 600)
    for one in claimed:
        store.save_progress(one.task.uuid, one.fencing, {"made": one.task.uuid})
    answers.put([(one.task.uuid, one.fencing) for one in claimed])
    threading.Event().wait()


def test_a_killed_worker_hands_its_tasks_on(store, url, clock):
    clock.at = times.now()
    for number in range(5):
        accept(store, f"t{number}")
    answers = SPAWN.Queue()
    process = SPAWN.Process(target=claim_and_hang, args=(url, answers))
    process.start()
    lost = answers.get(timeout=60)
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert len(lost) == 5
    clock.at = times.now()
    assert store.claim("heir", 9, 600) == []
    clock.forward(601)
    found = store.claim("heir", 9, 600)
    assert sorted((one.task.uuid, one.fencing) for one in found) == sorted(
        (uuid, fencing + 1) for uuid, fencing in lost
    )
    assert all(one.progress == {"made": one.task.uuid} for one in found)
    for uuid, fencing in lost:
        with pytest.raises(Fenced):
            store.finish(uuid, fencing, S.CREATED)


def test_one_of_many_gets_the_name(live):
    at = times.now()

    def add(number):
        try:
            live.add_record(Record("environment", f"u{number}", "dev", at, at))
        except NameTaken:
            return "taken"
        return "made"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = collections.Counter(pool.map(add, range(16)))
    assert results == {"made": 1, "taken": 15}


def test_fields_merged_by_many_are_all_there(live):
    at = times.now()
    live.add_record(Record("instance", "u", "web", at, at))

    def merge(number):
        live.update_record("instance", "u", merge={f"k{number}": number})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(merge, range(30)))
    found = live.record("instance", "u").data
    assert found == {f"k{number}": number for number in range(30)}


def test_one_of_many_uses_a_signature(live):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: live.use_signature("s", 60), range(16)))
    assert sorted(results) == [False] * 15 + [True]


def test_many_sync_a_new_database(tmp_path):
    url = f"sqlite:///{tmp_path}/new/store.sqlite"
    processes = [SPAWN.Process(target=db_sync, args=(url,)) for _ in range(2)]
    for process in processes:
        process.start()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: db_sync(url), range(4)))
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    Store(url).ping()


def test_readers_do_not_wait_for_the_writer(live, url):
    accept(live, "t1")
    other = Store(url)
    with live._database.write() as connection:
        connection.exec_driver_sql("UPDATE tasks SET status = 'error'")
        assert other.task("t1").status is S.PENDING
    assert other.task("t1").status is S.ERROR
    other.close()


def test_a_writer_that_waits_too_long_says_so(live, url, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    other = Store(url)
    with live._database.write(), pytest.raises(Unavailable, match="busy"):
        accept(other, "t1")
    accept(other, "t1")
    other.close()


def test_a_failed_transaction_leaves_nothing(live):
    accept(live, "t1")
    with pytest.raises(RuntimeError), live._database.write() as connection:
        connection.exec_driver_sql("DELETE FROM tasks")
        raise RuntimeError
    assert live.task("t1")
    accept(live, "t2")


def in_child(url):
    work(Store(url), "child")


def test_a_fork_takes_no_connection_along(live, url):
    accept(live, "t1")
    assert live._database._keeper is not None
    process = multiprocessing.get_context("fork").Process(target=in_child, args=(url,))
    process.start()
    assert live._database._keeper is None
    process.join(60)
    assert live.task("t1").status is S.CREATED
