# SPDX-License-Identifier: Apache-2.0
"""How often the database is asked for an answer: the same, however much is in it."""

import pytest
import sqlalchemy as sa

from nova_multi.domain.names import Kind
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
