# SPDX-License-Identifier: Apache-2.0
"""What a request asks in a row: over one connection, of one moment."""

import threading

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception

from nova_multi.domain.errors import NameTaken, NotFound, Unavailable
from nova_multi.provision.store import Record, Store


@pytest.fixture
def add(clock):
    def add(store, name, uuid=None):
        uuid = uuid or f"u-{name}"
        store.add_record(Record("instance", uuid, name, clock(), clock()))

    return add


@pytest.fixture
def other(url, clock):
    """Another process's."""
    other = Store(url, clock=clock)
    yield other
    other.close()


@pytest.fixture
def taken(store):
    """How often a connection was taken from the pool, and a transaction begun."""
    store.ping()
    counts = {"connections": 0, "transactions": 0}
    engine = store._database.engine

    def count(what):
        def on(*_):
            counts[what] += 1

        return on

    sa.event.listen(engine, "checkout", count("connections"))
    sa.event.listen(engine, "begin", count("transactions"))
    return counts


def names(store):
    return [record.name for record in store.list_records("instance")]


def test_one_connection_and_one_transaction(store, add, taken):
    add(store, "a")
    taken.update(connections=0, transactions=0)
    with store.session(of_one_moment=True):
        assert names(store) == ["a"]
        assert store.record("instance", "u-a").name == "a"
        assert store.tasks(None) == []
    assert taken == {"connections": 1, "transactions": 1}
    assert names(store) == ["a"]
    assert taken == {"connections": 2, "transactions": 2}


def test_a_session_that_asks_nothing_takes_nothing(store, taken):
    with store.session(of_one_moment=True):
        pass
    assert taken == {"connections": 0, "transactions": 0}


def test_it_is_of_one_moment_until_it_writes(store, other, add):
    with store.session(of_one_moment=True):
        assert names(store) == []
        add(other, "a")
        assert names(store) == []
        with pytest.raises(NotFound):
            store.record("instance", "u-a")
        add(store, "b")
        assert names(store) == ["a", "b"]
    add(other, "c")
    assert names(store) == ["a", "b", "c"]


def test_a_write_that_fails_looks_anew_too(store, other, add, taken):
    with store.session(of_one_moment=True):
        assert names(store) == []
        add(other, "a")
        with pytest.raises(NameTaken):
            add(store, "a", "another")
        assert names(store) == ["a"]
    assert taken["connections"] == 1


def test_the_same_question_is_asked_once(store, add, statements):
    add(store, "a")
    statements.clear()
    with store.session(of_one_moment=True):
        first = store.list_records("instance", scopes={""})
        first.clear()
        assert len(store.list_records("instance", scopes=[""])) == 1
        assert store.list_records("instance", scopes=["e"]) == []
        assert store.list_records("image", scopes=[""]) == []
        assert len(statements) == 3


def test_sessions_in_sessions(store, other, add, taken):
    with store.session(of_one_moment=True):
        assert names(store) == []
        with store.session(of_one_moment=True):
            add(other, "a")
        assert names(store) == []
    assert taken["connections"] == 1


def test_other_threads_are_not_in_it(store, other, add):
    seen = []
    with store.session(of_one_moment=True):
        assert names(store) == []
        add(other, "a")
        thread = threading.Thread(target=lambda: seen.append(names(store)))
        thread.start()
        thread.join()
        assert names(store) == []
    assert seen == [["a"]]


def test_others_write_while_it_has_read(store, other, add):
    with store.session(of_one_moment=True):
        assert names(store) == []
        for name in "abc":
            add(other, name)
        add(store, "d")
    assert names(store) == ["a", "b", "c", "d"]


def test_a_broken_connection_is_not_asked_again(store, add):
    with store.session(of_one_moment=True):
        assert names(store) == []
        connection = store._database.present._connection
        connection.connection.dbapi_connection.close()
        with pytest.raises(Unavailable):
            store.record("instance", "u")
        add(store, "a")
        assert names(store) == ["a"]


def test_an_error_in_it_leaves_nothing_open(store, add, taken):
    class Stop(BaseException):
        pass

    with pytest.raises(Stop), store.session(of_one_moment=True):
        assert names(store) == []
        raise Stop
    add(store, "a")
    assert names(store) == ["a"]
    assert store._database.present is None


def test_what_is_written_is_there_if_the_request_fails_later(store, other, add):
    with pytest.raises(ZeroDivisionError), store.session(of_one_moment=True):
        add(store, "a")
        assert names(store) == ["a"]
        raise ZeroDivisionError
    assert names(other) == ["a"]


def test_a_session_of_many_moments(store, other, add, taken):
    """What others write is seen; the connection stays."""
    with store.session():
        assert names(store) == []
        add(other, "a")
        assert names(store) == ["a"]
        add(store, "b")
        add(other, "c")
        assert names(store) == ["a", "b", "c"]
    assert taken["connections"] == 1


def test_a_connection_that_was_idle_is_looked_at(store, add, taken, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with store.session():
        for pause in (0, 4, 4):
            now[0] += pause
            assert names(store) == []
        assert taken["connections"] == 1
        now[0] += 6
        assert names(store) == []
        assert taken["connections"] == 2
        add(store, "a")
    with store.session(of_one_moment=True):
        assert names(store) == ["a"]
        now[0] += 60
        # What was read is still true.
        assert store.record("instance", "u-a").name == "a"
    assert taken["connections"] == 3


@pytest.mark.parametrize("of_one_moment", [True, False])
@pytest.mark.parametrize("write", [True, False])
def test_a_connection_that_breaks_after_the_last_question(
    store, add, of_one_moment, write, monkeypatch
):
    """The answer is there: it is no error, and a write takes another connection."""

    def broken(connection):
        raise db_exception.DBConnectionError

    with store.session(of_one_moment=of_one_moment):
        assert names(store) == []
        monkeypatch.setattr(store._database.engine.dialect, "do_rollback", broken)
        if write:
            add(store, "a")
            assert names(store) == ["a"]
    monkeypatch.undo()
    assert names(store) == (["a"] if write else [])
    assert store._database.present is None
