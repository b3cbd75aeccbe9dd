# SPDX-License-Identifier: Apache-2.0
"""What differs between the databases."""

import contextlib
import datetime
import threading
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy.dialects import mysql, sqlite

from nova_multi.domain.errors import Unavailable
from nova_multi.exception import ConfigurationError
from nova_multi.provision.store import Store, columns, database
from nova_multi.provision.store.database import Database, retried

AT = datetime.datetime(2026, 5, 1, 12, 0, 0, 5, tzinfo=datetime.UTC)


class Deadlocks:
    """Breaks down a number of times."""

    def __init__(self, times):
        self.left = times
        self.calls = 0

    @retried
    def run(self, value):
        """Own words."""
        self.calls += 1
        if self.left:
            self.left -= 1
            raise db_exception.DBDeadlock
        return value


@pytest.fixture
def no_sleep(monkeypatch):
    monkeypatch.setattr(database.oslo_db_api.time, "sleep", lambda seconds: None)


def test_a_deadlock_is_tried_again(no_sleep):
    deadlocks = Deadlocks(3)
    assert deadlocks.run("x") == "x"
    assert deadlocks.calls == 4
    assert deadlocks.run.__doc__ == "Own words."


def test_deadlocks_without_end(no_sleep):
    deadlocks = Deadlocks(1000)
    with pytest.raises(Unavailable, match="busy"):
        deadlocks.run("x")
    assert deadlocks.calls < 20


def test_everything_that_writes_is_tried_again():
    reading = {
        "close",
        "session",
        "ping",
        "task",
        "tasks",
        "next_due",
        "record",
        "list_records",
        "ends",
    }
    for name, method in vars(Store).items():
        if callable(method) and not name.startswith("_"):
            assert hasattr(method, "__wrapped__") == (name not in reading), name


def test_the_clock_of_mariadb_counts():
    def execute(query):
        text = str(query.compile(dialect=mysql.dialect()))
        assert text == "SELECT utc_timestamp(%s) AS utc_timestamp_1"
        return SimpleNamespace(scalar_one=lambda: AT.replace(tzinfo=None))

    connection = SimpleNamespace(dialect=mysql.dialect(), execute=execute)
    ours = Database.__new__(Database)
    assert ours.now(connection) == AT


def test_times_on_both():
    for dialect in (mysql.dialect(), sqlite.dialect()):
        kind = columns.Time()
        zone = datetime.timezone(datetime.timedelta(hours=2))
        kept = kind.process_bind_param(AT.astimezone(zone), dialect)
        assert kept == AT.replace(tzinfo=None)
        assert kind.process_result_value(kept, dialect) == AT
        with pytest.raises(ValueError):
            kind.process_bind_param(kept, dialect)
    assert str(columns.Time().compile(dialect=mysql.dialect())) == "DATETIME(6)"


@pytest.mark.parametrize("value", [{}, [], None, {"ü": ["🐳", 1.5, True]}])
def test_json_comes_back(value):
    kind = columns.Json()
    for dialect in (mysql.dialect(), sqlite.dialect()):
        kept = kind.process_bind_param(value, dialect)
        assert kind.process_result_value(kept, dialect) == value
    with pytest.raises(ValueError):
        kind.process_bind_param(float("nan"), mysql.dialect())


@pytest.mark.parametrize(
    "error, told",
    [
        (db_exception.DBConnectionError(), "does not answer"),
        (sa.exc.TimeoutError(), "does not answer"),
    ],
)
def test_failures_of_a_server(error, told):
    ours = Database.__new__(Database)
    with pytest.raises(Unavailable, match=told) as caught, ours._errors():
        raise error
    assert caught.value.__cause__ is error


def mysql_error(code, kind=db_exception.DBError):
    """As oslo.db passes on what pymysql raised."""
    original = sa.exc.OperationalError("SELECT 1", {}, Exception(code, "words"))
    return kind(original)


@pytest.mark.parametrize(
    "error, expected, told",
    [
        (mysql_error(1045), ConfigurationError, "refuses the service's account"),
        (mysql_error(1142), ConfigurationError, "refuses the service's account"),
        (db_exception.DBNonExistentDatabase("x"), ConfigurationError, "no database"),
        (mysql_error(1114), Unavailable, "no space"),
        (mysql_error(1040), Unavailable, "too many connections"),
        (mysql_error(1290), Unavailable, "can't be written"),
    ],
)
def test_what_mariadb_says(error, expected, told):
    ours = Database.__new__(Database)
    with pytest.raises(expected, match=told), ours._errors():
        raise error


def test_mariadb_is_not_waited_for_without_end():
    def arguments(url, **given):
        engine = database.make_engine(url, **given)
        return engine.dialect.create_connect_args(engine.url)[1]

    url = "mysql+pymysql://u:p@127.0.0.1:1/d"
    found = arguments(url)
    limits = ("connect_timeout", "read_timeout", "write_timeout")
    assert [found[name] for name in limits] == [database.ANSWER_TIMEOUT] * 3
    assert found["charset"] == "utf8mb4"
    assert arguments(f"{url}?read_timeout=7")["read_timeout"] == 7
    assert not set(limits) & arguments(url, answer_timeout=None).keys()


def test_errors_tell_no_values(store, new_task):
    new_task("t1", payload={"script": "s3cr3t"})
    with pytest.raises(sa.exc.DBAPIError) as caught, store._database.write() as c:
        c.execute(sa.text("INSERT INTO tasks (nothing) VALUES (:v)"), {"v": "s3cr3t"})
    assert "nothing" in str(caught.value) and "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("error", [db_exception.DBDataError(), KeyError("x")])
def test_our_own_mistakes_are_not_hidden(error):
    with pytest.raises(type(error)), Database.__new__(Database)._errors():
        raise error


def test_mariadb_claims_without_gap_locks(monkeypatch):
    options = []

    class Connection:
        dialect = mysql.dialect()

        def execution_options(self, **given):
            options.append(given)
            return self

        def begin(self):
            return contextlib.nullcontext()

    ours = Database.__new__(Database)
    ours.engine = SimpleNamespace(
        dialect=mysql.dialect(),
        connect=lambda: contextlib.nullcontext(Connection()),
    )
    ours._keeper = None
    ours._local = threading.local()
    with ours.write():
        pass
    with ours.write(read_committed=True):
        pass
    assert options == [{}, {"isolation_level": "READ COMMITTED"}]
