# SPDX-License-Identifier: Apache-2.0
"""Lifetimes of servers are kept once, and for longer than what they tell of."""

import datetime
import threading

import pytest
import sqlalchemy as sa

from nova_multi.domain.usage import End, Lifetime
from nova_multi.provision.store import Store, db_sync, schema, version

START = datetime.datetime(2026, 11, 30, 8, tzinfo=datetime.UTC)


def at(hours):
    return START + datetime.timedelta(hours=hours)


def life(server, began=0, *, environment="e-1", part="web", number=0):
    return Lifetime(
        server,
        environment,
        "shop",
        f"i-{server}",
        f"{part}-{number + 1}",
        at(began),
        part=part,
        number=number,
        driver="lxd",
        cpus=2,
        memory_mb=512,
        disk_gb=5,
    )


@pytest.fixture
def lives(store):
    return store.lifetimes


def test_from_begin_to_end(lives):
    assert lives.begin(life("s1"))
    assert lives.living() == [life("s1")]
    assert lives.end("s1", at(2), End.DELETED)
    (found,) = lives.of_environment("e-1")
    assert (found.ended, found.end, found.resumed) == (at(2), End.DELETED, None)
    assert lives.living() == []


def test_each_is_kept_once(lives):
    assert lives.begin(life("s1"))
    assert not lives.begin(life("s1", 1))
    assert lives.end("s1", at(2), End.CLOSED)
    assert not lives.end("s1", at(3), End.GONE)
    assert not lives.end("s2", at(3), End.GONE)
    (found,) = lives.of_environment("e-1")
    assert (found.began, found.ended, found.end) == (at(0), at(2), End.CLOSED)
    assert lives.known(["s1", "s2"]) == {"s1"}


def test_of_any_number_one_keeps_it(lives):
    barrier = threading.Barrier(4)
    found = []

    def begin():
        barrier.wait()
        found.append(lives.begin(life("s1")))

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found) == [False, False, False, True]


def test_what_was_closed_is_back_with_the_next(lives):
    for number in (0, 1):
        lives.begin(life(f"s{number}", number=number))
        lives.end(f"s{number}", at(10), End.CLOSED)
    lives.begin(life("s2", 24, number=0))
    resumed = {each.server: each.resumed for each in lives.of_environment("e-1")}
    assert resumed == {"s0": at(24), "s1": None, "s2": None}
    # One of another environment, or without a definition, is none of them.
    lives.begin(life("s3", 30, number=1, environment="e-2"))
    lives.begin(life("s4", 30, part=""))
    assert {e.server: e.resumed for e in lives.of_environment("e-1")}["s1"] is None


def test_what_is_not_to_come_again(lives):
    for number in range(3):
        lives.begin(life(f"s{number}", number=number))
    for number in (0, 1):
        lives.end(f"s{number}", at(10), End.CLOSED)
    lives.end("s2", at(10), End.DELETED)
    lives.want_no_more("e-1", at(12), parts={("web", 0)})
    resumed = {each.server: each.resumed for each in lives.of_environment("e-1")}
    assert resumed == {"s0": None, "s1": at(12), "s2": None}
    lives.want_no_more("e-1", at(14))
    resumed = {each.server: each.resumed for each in lives.of_environment("e-1")}
    assert resumed == {"s0": at(14), "s1": at(12), "s2": None}


def test_by_name_the_last_is_meant(lives):
    lives.begin(life("s1"))
    lives.begin(life("s2", 1, environment="e-2"))
    assert [each.server for each in lives.of_name("shop")] == ["s2"]
    assert lives.of_name("other") == []


def test_what_is_old_is_forgotten(lives):
    for server in ("old", "closed", "back", "new", "living"):
        lives.begin(life(server, part=server))
    lives.end("old", at(1), End.DELETED)
    lives.end("closed", at(1), End.CLOSED)
    lives.end("back", at(1), End.CLOSED)
    lives.begin(life("again", 3, part="back"))
    lives.end("new", at(9), End.GONE)
    assert lives.purge(at(5), limit=1) == 1
    assert lives.purge(at(5)) == 1
    assert lives.purge(at(5)) == 0
    left = {each.server for each in lives.of_environment("e-1")}
    # What is closed is to come again: it saves.
    assert left == {"closed", "new", "living", "again"}


def test_a_database_of_the_first_release_is_upgraded(tmp_path):
    url = f"sqlite:///{tmp_path}/store.sqlite"
    engine = sa.create_engine(url)
    with engine.begin() as connection, schema._known_revisions():
        config = schema._config()
        config.attributes["connection"] = connection
        schema.command.upgrade(config, "0001")
    assert version(url) == "0001"
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO used_signatures (digest, expires) VALUES ('a', '2026-01-01')"
        )
    engine.dispose()
    db_sync(url)
    assert version(url) != "0001"
    store = Store(url)
    try:
        assert store.lifetimes.begin(life("s1"))
        with store._database.read() as connection:
            rows = connection.exec_driver_sql("SELECT digest FROM used_signatures")
            assert rows.all() == [("a",)]
    finally:
        store.close()
