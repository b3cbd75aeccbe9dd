# SPDX-License-Identifier: Apache-2.0
"""A store on a SQLite file, with a clock that the test moves."""

import datetime
import itertools
import shutil

import pytest

from nova_multi.domain.task import Task, TaskType
from nova_multi.provision.store import Store

START = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.at = START

    def __call__(self):
        return self.at

    def forward(self, seconds):
        self.at += datetime.timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def url(empty_database, tmp_path):
    path = tmp_path / "store.sqlite"
    shutil.copy(empty_database, path)
    return f"sqlite:///{path}"


@pytest.fixture
def store(url, clock):
    store = Store(url, clock=clock)
    yield store
    store.close()


@pytest.fixture
def new_task(store, clock):
    """Accepts a task; called t1, t2, ... unless told."""
    numbers = itertools.count(1)

    def accept(
        uuid=None,
        type=TaskType.CREATE_INSTANCE,
        payload=(),
        secret_refs=(),
        **fields,
    ):
        fields = {"project_id": "p", **fields}
        uuid = uuid or f"t{next(numbers)}"
        task = Task.accepted(uuid, type, "instance", clock(), **fields)
        store.add_task(task, dict(payload), secret_refs)
        return task

    return accept


@pytest.fixture
def statements(store):
    """Every statement that the store sends, but for transactions."""
    import sqlalchemy as sa

    store.ping()
    seen = []

    def on_execute(connection, cursor, statement, parameters, context, many):
        if statement.split()[0] not in ("BEGIN", "ROLLBACK", "COMMIT", "PRAGMA"):
            seen.append(statement)

    engine = store._database.engine
    sa.event.listen(engine, "before_cursor_execute", on_execute)
    return seen
