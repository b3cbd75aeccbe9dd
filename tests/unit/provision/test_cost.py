# SPDX-License-Identifier: Apache-2.0
"""How often the database is asked for an answer: the same, however much is in it."""

import pytest
import sqlalchemy as sa

from nova_multi.domain.names import Kind
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.task import Task, TaskType
from nova_multi.provision.nouns import tasks
from nova_multi.provision.service import Caller, Query, Scope
from nova_multi.provision.store import Record
from tests.unit.provision.conftest import ADMIN, NOWHERE

#: Of an instance: what is looked up, and what is written.
READ, WRITTEN = 8, 5


@pytest.fixture
def asked(stage):
    """Every statement that was sent."""
    seen = []

    def on_execute(connection, cursor, statement, parameters, context, many):
        seen.append(statement.split()[0])

    engine = stage.store._database.engine
    sa.event.listen(engine, "before_cursor_execute", on_execute)
    return seen


def member(stage):
    (partition,) = stage.store.list_records(Kind.PARTITION)
    return Caller("user-b", partition.openstack_id, frozenset({"member"}), "req-2")


def create(stage, caller, name):
    fields = {
        "name": name,
        "environment": "dev",
        "provisioner": "p",
        "memory_mb": 128,
        "cpus": 1,
    }
    return stage.service.instances.create(caller, fields, NOWHERE)


@pytest.fixture
def built(stage):
    stage.partition()
    stage.environment()
    stage.service.provisioners.create(
        ADMIN, {"name": "p", "image": "debian"}, Scope(partition="dev_co")
    )
    return stage


@pytest.mark.parametrize("who", ["admin", "member"])
def test_accepting_an_instance(built, asked, who):
    caller = ADMIN if who == "admin" else member(built)
    with built.service.session():
        create(built, caller, "first")
    counts = []
    for number in (1, 30):
        for each in range(number):
            create(built, caller, f"more-{number}-{each}")
        asked.clear()
        with built.service.session():
            create(built, caller, f"i-{number}")
        counts.append((asked.count("SELECT"), asked.count("INSERT")))
        assert asked.count("SAVEPOINT") == 0
    assert counts[0] == counts[1]
    assert counts[0][0] <= READ
    assert counts[0][1] == WRITTEN


def test_a_session_is_what_the_handlers_of_requests_run_in(built, asked):
    with built.service.session():
        found = built.service.environments.list(ADMIN, Query())
        once = len(asked)
        assert built.service.environments.list(ADMIN, Query()) == found
    assert len(asked) < 2 * once
    assert once


def test_records_that_others_call_the_same(built):
    """A name is looked for among names, UUIDs and ids of OpenStack."""
    store = built.store
    now = built.clock()
    (environment,) = store.list_records(Kind.ENVIRONMENT)
    for uuid, name, server in (("u1", "web", "s1"), ("u2", "u1", ""), ("u3", "x", "")):
        store.add_record(
            Record(
                Kind.INSTANCE,
                uuid,
                name,
                now,
                now,
                scope=environment.uuid,
                openstack_id=server,
            )
        )

    def called(word):
        return [r.uuid for r in store.list_records(Kind.INSTANCE, called=word)]

    assert called("web") == ["u1"]
    assert called("u1") == ["u1", "u2"]
    assert called("s1") == ["u1"]
    assert called("WEB") == called("") == called("%") == []


def hidden(built, caller, amount):
    """Many tasks of an instance that only somebody else may see."""
    store, now = built.store, built.clock()
    (environment,) = store.list_records(Kind.ENVIRONMENT)
    record = Record(
        Kind.INSTANCE,
        "hidden",
        "hidden",
        now,
        now,
        scope=environment.uuid,
        owner_id="user-o",
        permissions=Permissions("rwx------"),
    )
    store.add_record(record)
    for _ in range(amount):
        task = Task.accepted(
            built.tools.new_uuid(),
            TaskType.START_INSTANCE,
            Kind.INSTANCE,
            now,
            object_uuid="hidden",
            project_id=caller.project_id,
            user_id="user-o",
        )
        store.add_task(task, {})


@pytest.mark.parametrize("looks", [2, 10])
def test_tasks_of_others_cost_little(built, asked, monkeypatch, looks):
    """However few of many a caller may see, and however few are asked for."""
    monkeypatch.setattr(tasks, "_LOOKS", looks)
    caller = member(built)
    create(built, caller, "first")
    hidden(built, caller, 450)
    create(built, caller, "last")
    asked.clear()
    with built.service.session():
        page = built.service.tasks.list(caller, Query(limit=1))
    assert [each.user_id for each in page.items] == [caller.user_id]
    assert len(asked) <= 40
    found, pages = list(page.items), 1
    while page.next_marker:
        asked.clear()
        with built.service.session():
            query = Query(limit=1, marker=page.next_marker)
            page = built.service.tasks.list(caller, query)
        assert len(asked) <= 40
        found += page.items
        pages += 1
    # Those of the caller, each once, and there was an end to it.
    mine = [t for t in built.store.tasks(None, limit=1000) if t.user_id == "user-b"]
    assert [each.uuid for each in found] == [each.uuid for each in mine]
    assert pages < 20
