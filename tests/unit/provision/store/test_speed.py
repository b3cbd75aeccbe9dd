# SPDX-License-Identifier: Apache-2.0
"""Lists come out of indexes, and in a number of queries that does not grow."""

import itertools
import shutil

import pytest
import sqlalchemy as sa

from nova_multi.domain.task import TaskStatus, TaskType
from nova_multi.provision.store import (
    Record,
    Store,
    leases,
    records,
    tables,
    tasks,
)
from tests.unit.provision.store.conftest import START

COUNT = 10_000


@pytest.fixture(scope="module")
def full_database(empty_database, tmp_path_factory):
    """A database with 10,000 tasks of 50 projects, to be copied."""
    path = tmp_path_factory.mktemp("database") / "full.sqlite"
    shutil.copy(empty_database, path)
    store = Store(f"sqlite:///{path}")
    _fill(store)
    store.close()
    return path


def _fill(store):
    numbers = range(1, COUNT + 1)
    with store._database.write() as connection:
        connection.execute(
            tables.tasks.insert(),
            [
                {
                    "id": n,
                    "uuid": f"t{n}",
                    "type": "create_instance",
                    "object_kind": "instance",
                    "object_uuid": f"o{n}",
                    "description": "",
                    "status": "error" if n % 100 == 0 else "created",
                    "goal": "created",
                    "project_id": f"p{n % 50}",
                    "user_id": "u",
                    "parent_uuid": f"t{n // 30}",
                    "created": START,
                    "last_update": START,
                }
                for n in numbers
            ],
        )
        connection.execute(
            tables.task_work.insert(),
            [
                {
                    "task_id": n,
                    "payload": {},
                    "progress": {},
                    "secret_refs": [],
                    "fencing": 1,
                    "worker": "",
                    "due": START if n > COUNT - 20 else None,
                    "log_size": 0,
                }
                for n in numbers
            ],
        )
        connection.execute(
            tables.task_history.insert(),
            [
                {"task_id": n, "status": status, "at": START, "message": ""}
                for n, status in itertools.product(numbers, ("pending", "created"))
            ],
        )


@pytest.fixture
def full(full_database, url, store):
    """A store with these tasks."""
    shutil.copy(full_database, url.removeprefix("sqlite:///"))
    return store


def plan(store, query):
    """What SQLite says that it will do."""
    text = query.compile(
        store._database.engine, compile_kwargs={"render_postcompile": True}
    )
    parameters = [text.params[name] for name in text.positiontup]
    with store._database.read() as connection:
        rows = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {text}", tuple(parameters)
        )
        return " / ".join(row[3] for row in rows)


EVERYTHING = {
    "project_ids": None,
    "status": None,
    "type": None,
    "object_uuid": None,
    "parent_uuid": None,
    "before": 5000,
    "limit": 100,
}


@pytest.mark.parametrize(
    "filters, index",
    [
        ({}, "PRIMARY KEY"),
        ({"project_ids": ["p1"]}, "ix_tasks_project_id_id"),
        ({"status": TaskStatus.ERROR}, "ix_tasks_status_id_project_id"),
        (
            {"project_ids": ["p1"], "status": TaskStatus.ERROR},
            "ix_tasks_project_id_status_id",
        ),
        ({"type": TaskType.CREATE_IMAGE}, "ix_tasks_type_id_project_id"),
        ({"object_uuid": "o7"}, "ix_tasks_object_uuid_id"),
        ({"parent_uuid": "t7"}, "ix_tasks_parent_uuid_id"),
    ],
)
def test_a_page_is_read_in_the_order_of_an_index(full, filters, index):
    told = plan(full, tasks.page(**{**EVERYTHING, **filters}))
    assert index in told
    assert "SEARCH tasks" in told
    assert "TEMP B-TREE" not in told


@pytest.mark.parametrize("status", [None, TaskStatus.ERROR])
def test_a_page_of_several_projects_reads_no_rows(full, status):
    filters = {"project_ids": ["p1", "p2"], "status": status}
    told = plan(full, tasks.page(**{**EVERYTHING, **filters}))
    assert "SEARCH tasks USING COVERING INDEX" in told


def test_a_page_takes_few_queries(full, statements):
    found = full.tasks(["p1", "p2"], limit=100)
    assert len(found) == 100
    assert all(len(task.history) == 2 for task in found)
    queries = len(statements)
    assert queries <= 4
    statements.clear()
    full.tasks(["p1", "p2"], limit=3)
    assert len(statements) == queries


def test_all_pages_together_are_all_tasks(full):
    seen = []
    marker = None
    while found := full.tasks(None, limit=1000, marker=marker):
        seen += [task.uuid for task in found]
        marker = found[-1].uuid
    assert seen == [f"t{n}" for n in range(COUNT, 0, -1)]


def test_due_work_is_found_by_index(full, clock):
    told = plan(full, leases.due_work(clock(), 10))
    assert "USING COVERING INDEX" in told or "USING INDEX" in told
    assert "ix_task_work_due_task_id" in told
    assert "TEMP B-TREE" not in told


def test_claiming_many_loads_them_together(full, statements):
    claimed = full.claim("w", 20, 60)
    assert [one.task.uuid for one in claimed] == [
        f"t{n}" for n in range(COUNT - 19, COUNT + 1)
    ]
    selects = [text for text in statements if text.startswith("SELECT")]
    assert len(selects) <= 5


def test_a_thousand_records_in_one_query(store, clock, statements):
    with store._database.write() as connection:
        for n in range(1000):
            record = Record(
                "instance", f"u{n}", f"web-{n}", clock(), clock(), openstack_id=f"s{n}"
            )
            records.add(connection, record)
    statements.clear()
    wanted = [f"s{n}" for n in range(0, 1000, 2)]
    found = store.list_records("instance", openstack_ids=wanted)
    assert [record.openstack_id for record in found] == wanted
    assert len(statements) == 1


@pytest.mark.parametrize(
    "where",
    [
        {"scope": "e"},
        {"project_id": "p"},
        {"openstack_id": "s"},
        {"scope": "e", "name": "web"},
        {"name": "web"},
        {"uuid": "u"},
        {"task_uuid": "t"},
    ],
    ids=lambda where: "-".join(where),
)
def test_records_are_found_by_index(store, where):
    query = sa.select(tables.records)
    for column, value in {"kind": "instance", **where}.items():
        query = query.where(tables.records.c[column] == value)
    told = plan(store, query)
    assert "SEARCH records USING INDEX" in told
    assert all(f"{column}=?" in told for column in where)
