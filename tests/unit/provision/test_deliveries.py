# SPDX-License-Identifier: Apache-2.0
"""What Nova's metadata service is told for guests, and that secrets are told once."""

import dataclasses
import json

import pytest

from nova_multi.domain.errors import Conflict, Unsupported
from nova_multi.domain.names import Kind
from nova_multi.domain.provisioner import Ways
from nova_multi.exception import ConfigurationError
from nova_multi.provision import deliveries, rotation, sealing, secret_inputs
from nova_multi.provision.sealing import Seal
from nova_multi.provision.service import Caller
from nova_multi.provision.store import Record
from tests.unit.provision.conftest import ADMIN, NOWHERE, console_text

NOVA = Caller("user-n", "p-service", frozenset({"service"}), user_name="nova-metadata")
SHOP = {
    "name": "shop",
    "partition": "co",
    "inputs": {
        "password": {"generate": "password"},
        "token": {"type": "string", "secret": True},
        "shown": {"generate": "password", "secret": False},
    },
    "provisioners": {"site": {"script": "echo hello"}},
    "instances": {
        "web": {
            "image": "debian",
            "provisioner": "site",
            "variables": {
                "PASSWORD": "${inputs.password}",
                "TOKEN": "is ${inputs.token}",
                "SHOWN": "${inputs.shown}",
            },
        }
    },
}
TOKEN = "t0ken-of-somebody"


def begin(make_stage, **options):
    """A shop that is being made: its guest's script has begun, and has nothing yet."""
    options.setdefault("ways", Ways(metadata=True))
    stage = make_stage(**options)
    stage.partition("co")
    stage.world.add_image("debian", properties={})
    stage.speak("web")
    stage.lines = []
    stage.exit_code = None
    stage.world.consoles["web"] = lambda data: console(stage, data)
    accepted = stage.service.environments.apply(
        ADMIN, "shop", {"definition": SHOP, "values": {"token": TOKEN}}, NOWHERE
    )
    stage.task = accepted.task_uuid
    stage.work(until=lambda: has_begun(stage))
    (stage.server,) = stage.world.servers.values()
    (stage.record,) = stage.store.list_records(Kind.INSTANCE)
    stage.forget_leases()
    return stage


def has_begun(stage):
    return any(each.data.get("begun") for each in stage.store.list_records("delivery"))


def asked_for_console(stage):
    return any(each.startswith("servers.console") for each in stage.world.calls)


def console(stage, user_data):
    return console_text(user_data, (), stage.exit_code, stage.lines)


def ask(stage, server_id=None, project_id=None, caller=NOVA):
    return stage.service.deliveries.hand_out(
        caller,
        server_id or stage.server.id,
        project_id or stage.record.project_id,
    )


def end(stage, *lines, exit_code=0):
    stage.lines, stage.exit_code = ["received", *lines], exit_code
    stage.work()
    return stage.store.task(stage.task)


def user_data(stage):
    return stage.world.requests[stage.server.id].user_data.decode()


def password(stage):
    kept = secret_inputs.read(stage.store, stage.tools.seal, stage.record.scope)
    return kept.kept["password"]["value"]


def everything(stage):
    """All rows of all tables, as text."""
    with stage.store._database.read() as connection:
        tables = connection.exec_driver_sql(
            "select name from sqlite_master where type = 'table'"
        ).scalars()
        return "".join(
            repr(connection.exec_driver_sql(f"select * from {name}").all())
            for name in list(tables)
        )


def test_secrets_are_handed_out_to_their_guest_alone(make_stage):
    stage = begin(make_stage)
    told = ask(stage)["nova_multi_payload"]
    assert f"export PASSWORD=075{password(stage)}=012" in told
    assert TOKEN in told
    for server_id, project_id in (
        (stage.server.id, "another-project"),
        ("another-server", stage.record.project_id),
        # What it is not made of yet has no id.
        ("", stage.record.project_id),
        ("", ""),
    ):
        found = deliveries.hand_out(stage.tools, server_id, project_id)
        assert found == {}


def test_what_asks_before_the_script_is_told_nothing(make_stage):
    """As cloud-init does, which would keep it in the guest's disk."""
    stage = make_stage(ways=Ways(metadata=True))
    stage.partition("co")
    stage.world.add_image("debian", properties={})
    boots = ["[    0.1] Linux\n"]
    stage.world.consoles["web"] = lambda data: (
        boots[0] if boots else console_text(data, (), None)
    )
    fields = {"definition": SHOP, "values": {"token": TOKEN}}
    stage.service.environments.apply(ADMIN, "shop", fields, NOWHERE)
    stage.work(until=lambda: asked_for_console(stage))
    (stage.server,) = stage.world.servers.values()
    (stage.record,) = stage.store.list_records(Kind.INSTANCE)
    stage.forget_leases()
    assert ask(stage) == {}
    # Nor has the time begun in which it may ask again.
    stage.clock.forward(deliveries.WINDOW + 1)
    boots.clear()
    stage.work(until=lambda: has_begun(stage))
    assert TOKEN in ask(stage)["nova_multi_payload"]


def test_the_environment_that_was_made_meanwhile(make_stage):
    """An instance that was asked for before knows of no project."""
    stage = begin(make_stage)
    project = stage.record.project_id
    record = dataclasses.replace(stage.record, project_id="")
    stage.store.delete_record(Kind.INSTANCE, record.uuid)
    stage.store.add_record(record)
    assert deliveries.hand_out(stage.tools, stage.server.id, "another") == {}
    assert deliveries.hand_out(stage.tools, stage.server.id, "") == {}
    assert "nova_multi_payload" in ask(stage, project_id=project)


def test_secrets_are_nowhere_else(make_stage):
    stage = begin(make_stage)
    for word in (password(stage), TOKEN):
        assert word not in user_data(stage)
        assert word not in everything(stage)
        assert word not in repr(stage.world.requests)
        assert word not in repr(stage.audited)
    # What is generated, and not secret, needs no such care.
    kept = secret_inputs.read(stage.store, stage.tools.seal, stage.record.scope)
    assert f"export SHOWN={kept.kept['shown']['value']}\n" in user_data(stage)


def test_secrets_are_handed_out_once(make_stage):
    stage = begin(make_stage)
    told = ask(stage)
    # The answer may have been lost.
    stage.clock.forward(deliveries.WINDOW - 1)
    assert ask(stage) == told
    stage.clock.forward(2)
    assert set(ask(stage)) == {"nova_multi_refused"}
    assert TOKEN not in repr(ask(stage))


def test_the_time_counts_from_the_first_time(make_stage):
    stage = begin(make_stage)
    stage.clock.forward(10 * deliveries.WINDOW)
    assert "nova_multi_payload" in ask(stage)


def test_what_a_guest_has_is_given_no_more(make_stage):
    stage = begin(make_stage)
    ask(stage)
    stage.lines = ["received"]
    (before,) = stage.store.list_records(deliveries.KIND)
    stage.work(
        until=lambda: "sealed" not in stage.store.list_records("delivery")[0].data
    )
    assert set(ask(stage)) == {"nova_multi_refused"}
    (kept,) = stage.store.list_records(deliveries.KIND)
    assert before.data["sealed"] not in repr(kept)


@pytest.mark.parametrize("exit_code", [0, 1])
def test_nothing_is_left_after_the_task(make_stage, exit_code):
    stage = begin(make_stage)
    ask(stage)
    task = end(stage, exit_code=exit_code)
    assert task.status == ("error" if exit_code else "done"), task.history
    assert stage.store.list_records(deliveries.KIND) == []
    assert ask(stage) == {}


def test_nothing_is_left_of_what_was_deleted_meanwhile(make_stage):
    stage = begin(make_stage)
    stage.service.instances.delete(ADMIN, stage.record.uuid, NOWHERE)
    assert ask(stage) == {}
    stage.work()
    assert stage.store.list_records(deliveries.KIND) == []


def test_what_a_killed_worker_left_is_swept(make_stage):
    stage = begin(make_stage)
    deliveries.sweep(stage.tools)
    (record,) = stage.store.list_records(deliveries.KIND)
    end(stage)
    stage.store.add_record(record)
    deliveries.sweep(stage.tools)
    assert stage.store.list_records(deliveries.KIND) == []


@pytest.mark.parametrize("calls", range(1, 40, 3))
def test_a_worker_may_die_anywhere(make_stage, calls):
    stage = make_stage(ways=Ways(metadata=True))
    stage.partition("co")
    stage.world.add_image("debian", properties={})
    stage.world.consoles["web"] = lambda data: console_text(
        data, ("made",), 0, ["received"]
    )
    accepted = stage.service.environments.apply(
        ADMIN, "shop", {"definition": SHOP, "values": {"token": TOKEN}}, NOWHERE
    )
    stage.die_before(calls)
    stage.forget_leases()
    stage.work()
    task = stage.store.task(accepted.task_uuid)
    assert task.status == "done", task.history[-1].message
    assert stage.store.list_records(deliveries.KIND) == []


def test_what_scripts_print_of_secrets_is_hidden(make_stage):
    stage = begin(make_stage)
    end(
        stage,
        f"log it is {TOKEN}!",
        f"progress now {TOKEN}",
        f"log and {password(stage)}",
        exit_code=1,
    )
    assert TOKEN not in everything(stage)
    assert password(stage) not in everything(stage)
    assert "is (secret)!" in everything(stage)


def test_what_is_large_is_given_as_often_as_asked_for(make_stage):
    stage = make_stage(ways=Ways(metadata=True)).ready()
    stage.provisioner("large", script=f"#{'x' * 90_000}\necho made")
    stage.world.consoles["big"] = lambda data: console_text(data, (), None)
    stage.accept("big", provisioner="large")
    stage.work(until=lambda: asked_for_console(stage))
    (server,) = stage.world.servers.values()
    (record,) = stage.store.list_records(Kind.INSTANCE)
    for _ in range(3):
        told = deliveries.hand_out(stage.tools, server.id, record.project_id)
        assert "x" * 90_000 in told["nova_multi_payload"]
        stage.clock.forward(10 * deliveries.WINDOW)
    assert len(stage.world.requests[server.id].user_data) < 20_000


def test_what_is_large_is_refused_where_there_is_no_way(make_stage):
    stage = make_stage(ways=Ways()).ready()
    with pytest.raises(Exception, match="as user-data"):
        stage.provisioner("large", script=f"#{'x' * 90_000}\necho made")


def test_a_plan_refuses_secrets_where_there_is_no_way(make_stage):
    stage = make_stage(ways=Ways())
    stage.partition("co")
    stage.world.add_image("debian", properties={})
    fields = {"definition": SHOP, "values": {"token": TOKEN}}
    with pytest.raises(Unsupported, match="PASSWORD, TOKEN") as caught:
        stage.service.environments.plan(ADMIN, fields, NOWHERE)
    assert caught.value.field == "instances.web.provisioner"
    assert TOKEN not in str(caught.value)
    with pytest.raises(Unsupported):
        stage.service.environments.apply(ADMIN, "shop", fields, NOWHERE)
    assert not stage.store.list_records(secret_inputs.KIND)


def test_nothing_is_given_where_it_is_off(make_stage):
    stage = make_stage(ways=Ways())
    with pytest.raises(Unsupported):
        stage.service.deliveries.hand_out(NOVA, "server", "project")


# -- at rest


def test_without_a_key_secrets_are_refused(make_stage):
    stage = make_stage(ways=Ways(metadata=True))
    stage.partition("co")
    stage.tools.seal = Seal()
    fields = {"definition": SHOP, "values": {"token": TOKEN}}
    with pytest.raises(Conflict, match="no key") as caught:
        stage.service.environments.plan(ADMIN, fields, NOWHERE)
    assert caught.value.code == "no_key"


def test_a_lost_key_is_told(make_stage):
    stage = begin(make_stage)
    known, stage.tools.seal = stage.tools.seal, Seal([sealing.new_key()])
    with pytest.raises(Conflict, match="the key that sealed it"):
        ask(stage)
    # It is not given by that: who has the key gives it, whenever that is.
    stage.clock.forward(deliveries.WINDOW + 1)
    deliveries_tools = dataclasses.replace(stage.tools, seal=known)
    told = deliveries.hand_out(
        deliveries_tools, stage.server.id, stage.record.project_id
    )
    assert "nova_multi_payload" in told
    with pytest.raises(Conflict, match="the key that sealed it"):
        password(stage)


@pytest.mark.parametrize("key", ["", "x", "x" * 44, "é" * 44])
def test_what_is_no_key(key):
    with pytest.raises(ConfigurationError) as caught:
        Seal([key])
    assert not key or key not in str(caught.value)


def test_keys_are_changed_while_it_works(make_stage):
    stage = begin(make_stage)
    old, new = stage.tools.seal, sealing.new_key()
    stage.tools.seal = Seal([new])
    with pytest.raises(Conflict):
        rotation.rotate(stage.store, stage.tools.seal)
    key = sealing.new_key()
    first = Seal([key])
    first_sealed = first.close("x")
    both = Seal([new, key])
    assert Seal([new]).open(both.renewed(first_sealed)) == "x"
    assert old.open(old.close("é")) == "é"


def test_rotating_seals_all_anew(make_stage):
    stage = make_stage(ways=Ways(metadata=True))
    old, new = sealing.new_key(), sealing.new_key()
    stage.tools.seal = Seal([old])
    plain = {"password": {"value": "p", "version": 1}}
    add = stage.store.add_record
    add(record_of(stage, secret_inputs.KIND, {"sealed": Seal([old]).close("{}")}))
    # Of a release that did not seal.
    add(record_of(stage, secret_inputs.KIND, plain))
    add(record_of(stage, secret_inputs.KIND, {}))
    delivery = {"sealed": Seal([old]).close("payload"), "secret": True, "given": "x"}
    add(record_of(stage, deliveries.KIND, delivery))
    add(record_of(stage, deliveries.KIND, {"secret": True, "done": True}))
    assert rotation.rotate(stage.store, Seal([new, old])) == 3
    opened = Seal([new])
    found = [
        secret_inputs.opened(each.data, opened)
        for each in stage.store.list_records(secret_inputs.KIND)
    ]
    assert found == [{}, plain, {}]
    kept = [each.data for each in stage.store.list_records(deliveries.KIND)]
    assert opened.open(kept[0]["sealed"]) == "payload"
    assert kept[0]["given"] == "x"
    assert kept[1] == {"secret": True, "done": True}


def record_of(stage, kind, data):
    uuid = stage.tools.new_uuid()
    now = stage.clock()
    return Record(kind, uuid, uuid, now, now, scope=uuid, data=data)


def test_secrets_of_before_are_read(make_stage):
    stage = make_stage()
    data = json.loads(json.dumps({"sealed": {"value": "p", "version": 2}}))
    assert secret_inputs.opened(data, stage.tools.seal) == data
