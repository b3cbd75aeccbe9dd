# SPDX-License-Identifier: Apache-2.0
"""Environments by their definitions: apply, apply again, change, destroy."""

import dataclasses
import itertools
import json
import re
import shlex

import pytest

from nova_multi.cloud import values
from nova_multi.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unsupported
from nova_multi.domain.permissions import Permissions
from nova_multi.provision import secret_inputs
from nova_multi.provision.store import Fenced, Record
from tests.unit.provision import shop
from tests.unit.provision.callers import STRANGER, member_of, reader_of
from tests.unit.provision.conftest import ADMIN, NOWHERE


@pytest.fixture
def built(stage):
    return shop.furnish(stage)


#: Calls to OpenStack that change nothing.
READS = {
    "servers.server",
    "servers.servers",
    "images.find",
    "images.find_public",
    "images.image",
    "images.images",
    "hosts.services",
    "hosts.hypervisors",
    "hosts.aggregates",
    "placement.providers",
    "publishing.forwardings",
    "networks.port",
}


def cloud_calls(stage):
    return [each for each in stage.world.calls if not each.startswith("store.")]


def test_from_nothing_to_nothing(built):
    before = built.world.left()
    built.world.calls.clear()
    found = shop.plan(built)
    # Nothing is written, here or there.
    assert set(built.world.calls) <= READS, built.world.calls
    assert shop.steps(found) == [
        "create shop",
        "create db",
        "create web-1",
        "create web-2",
    ]
    assert found.widths == (1, 1, 2)
    assert built.world.left() == before
    task = shop.apply(built)
    assert shop.names(built) == ["db", "web-1", "web-2"]
    address = shop.server(built, "db").addresses[0].address
    assert f"export DB={address}\n" in shop.user_data(built, "web-2")
    assert "export NAME=shop.test\n" in shop.user_data(built, "web-1")
    assert "+ instance web-1 (new)" in task.log
    outputs = built.service.environments.outputs(ADMIN, "shop", NOWHERE)
    assert outputs["database"] == address
    assert outputs["url"].startswith("http://203.0.113.")

    assert shop.plan(built).is_empty
    built.world.calls.clear()
    task = shop.apply(built)
    calls = cloud_calls(built)
    assert set(calls) <= READS, calls
    assert "nothing to do" in task.log

    task = shop.destroy(built)
    assert built.world.left() == before
    assert not built.store.list_records("definition")
    assert not built.store.list_records("secrets")


def task_of(stage, accepted):
    return stage.store.task(accepted.task_uuid)


def parts(stage, task):
    """Descriptions of the sub-tasks, by how they ended."""
    return {
        each.description: str(each.status)
        for each in stage.store.tasks(None, parent_uuid=task.uuid)
    }


def server_ids(stage):
    return {each.name: each.id for each in stage.world.servers.values()}


# -- changes


def test_what_changes_is_replaced_and_nothing_else(built):
    shop.apply(built)
    before = server_ids(built)
    definition = shop.shop(web={"memory": 512})
    found = shop.plan(built, definition)
    assert shop.steps(found) == ["replace web-1", "replace web-2"]
    task = shop.apply(built, definition)
    after = server_ids(built)
    assert after["db"] == before["db"]
    assert after["web-1"] != before["web-1"]
    assert shop.server(built, "web-1").flavor.memory_mb == 512
    assert parts(built, task) == {
        "delete instance web-1": "deleted",
        "create instance web-1": "provisioned",
        "delete instance web-2": "deleted",
        "create instance web-2": "provisioned",
    }
    assert shop.plan(built, definition).is_empty


def test_in_place(built):
    shop.apply(built)
    before = server_ids(built)
    definition = shop.shop(
        web={"publish": ["8080:80"], "count": 1},
        db={"description": "data", "tags": ["back"]},
    )
    task = shop.apply(built, definition)
    assert parts(built, task) == {
        "update instance db": "done",
        "delete instance web-2": "deleted",
        "update instance web": "done",
    }
    assert server_ids(built) == {"db": before["db"], "web": before["web-1"]}
    shown = built.service.instances.show(ADMIN, "web", NOWHERE)
    assert [str(each) for each in shown.published] == ["8080:80"]
    shown = built.service.instances.show(ADMIN, "db", NOWHERE)
    assert (shown.description, shown.tags) == ("data", ("back",))
    assert shop.plan(built, definition).is_empty


def test_who_was_told_an_address_learns_the_new_one(built):
    shop.apply(built)
    definition = shop.shop(db={"memory": 1024})
    shop.apply(built, definition)
    address = shop.server(built, "db").addresses[0].address
    assert f"export DB={address}\n" in shop.user_data(built, "web-1")


def test_more_and_fewer(built):
    shop.apply(built)
    before = server_ids(built)
    more = shop.shop(web={"count": 3})
    shop.apply(built, more)
    assert shop.names(built) == ["db", "web-1", "web-2", "web-3"]
    shop.apply(built, shop.shop(web=None) | {"outputs": {}})
    assert server_ids(built) == {"db": before["db"]}


def test_nobody_is_told_of_what_is_to_go(built):
    """One that is too many goes after those that knew it, and is not told of again."""
    variables = {"ALL": "${instances.db.addresses}"}
    built.speak("db-1", "made")
    built.speak("db-2", "made")
    shop.apply(built, shop.shop(db={"count": 2}, web={"variables": variables}))
    first, second = (
        shop.server(built, name).addresses[0].address for name in ("db-1", "db-2")
    )
    assert f"'{first} {second}'" in shop.user_data(built, "web-1")
    # The second database is known to the second web server until that has gone.
    fewer = shop.shop(db={"count": 1}, web={"count": 1, "variables": variables})
    fewer["outputs"] = {}
    built.speak("db", "made")
    built.speak("web", "made")
    shop.apply(built, fewer)
    assert second not in shop.user_data(built, "web")
    assert shop.plan(built, fewer).is_empty


def test_the_environments_own_words(built):
    user = type("User", (), {"id": "user-alice", "name": "alice"})()
    built.world.users["alice"] = user
    shop.apply(built)
    definition = shop.SHOP | {"description": "our shop", "users": ["alice"]}
    task = shop.apply(built, definition)
    assert parts(built, task) == {"update environment shop": "done"}
    shown = built.service.environments.show(ADMIN, "shop", NOWHERE)
    assert (shown.description, shown.users) == ("our shop", ("alice",))
    assert (shown.uuid, "member", "user-alice") in built.world.grants
    assert shop.plan(built, definition).is_empty
    assert json.loads(shown.definition)["instances"]["db"]["memory"] == 512


# -- drift


@pytest.mark.parametrize("how", ["gone", "broken", "resized", "failed"])
def test_drift_is_shown_and_mended(built, how):
    shop.apply(built)
    server = shop.server(built, "db")
    if how == "gone":
        del built.world.servers[server.id]
    elif how == "broken":
        built.world.servers[server.id] = dataclasses.replace(server, status="ERROR")
    elif how == "resized":
        flavor = dataclasses.replace(server.flavor, memory_mb=4096)
        built.world.servers[server.id] = dataclasses.replace(server, flavor=flavor)
    else:
        (record,) = built.store.list_records("instance", name="db")
        built.store.update_record("instance", record.uuid, merge={"failed": True})
    found = shop.plan(built)
    assert found.steps[0].drift
    assert shop.steps(found) == ["replace db", "replace web-1", "replace web-2"]
    shop.apply(built)
    assert shop.names(built) == ["db", "web-1", "web-2"]
    assert shop.server(built, "db").id != server.id
    assert shop.plan(built).is_empty


def test_a_stopped_server_is_no_drift(built):
    shop.apply(built)
    built.done(built.service.instances.stop(ADMIN, "db", NOWHERE))
    assert shop.plan(built).is_empty


# -- failures


def test_a_failure_stops_its_branch_only(built):
    definition = shop.shop(log={"driver": "lxd", "image": "debian-12"})
    built.world.broken["db"] = "unplaced"
    task = shop.apply(built, definition, end="error")
    told = task.history[-1].message
    assert " failed: db: step active" in told
    assert "not begun, since they need these: web-1, web-2" in told
    # What was half-made is taken back, the rest stands.
    assert shop.names(built) == ["log"]
    assert len(built.world.ports) == 1
    # The next one goes on from there.
    built.world.broken.clear()
    found = shop.plan(built, definition)
    assert shop.steps(found) == ["create db", "create web-1", "create web-2"]
    log = shop.server(built, "log").id
    shop.apply(built, definition)
    assert shop.server(built, "log").id == log
    assert shop.plan(built, definition).is_empty


def test_a_failed_script_is_made_anew(built):
    built.speak("web-1", "no", exit_code=1)
    task = shop.apply(built, end="error")
    assert "web-1: step provision" in task.history[-1].message
    # It is kept to be looked at.
    assert shop.names(built) == ["db", "web-1", "web-2"]
    found = shop.plan(built)
    assert [step.reason for step in found.steps] == ["instance failed: replaced"]
    built.speak("web-1", "yes")
    kept = shop.server(built, "web-2").id
    shop.apply(built)
    assert shop.server(built, "web-2").id == kept
    assert shop.plan(built).is_empty


def test_the_environment_itself_fails(built):
    def hook(name, moment):
        if name == "networks.create_network" and moment == "before":
            raise Conflict("no network is left")

    before = built.world.left()
    built.world.hook = hook
    task = shop.apply(built, end="error")
    built.world.hook = None
    assert "step network, network shop: no network" in task.history[-1].message
    assert built.world.left() == before
    for kind in ("environment", "definition", "secrets", "instance"):
        assert not built.store.list_records(kind), kind
    shop.apply(built)


def test_destroying_what_is_half_there(built):
    before = built.world.left()
    built.world.broken["web-2"] = "unplaced"
    shop.apply(built, end="error")
    del built.world.servers[shop.server(built, "db").id]
    shop.destroy(built)
    assert built.world.left() == before


def test_a_destroy_that_fails_is_gone_on_with(built):
    before = built.world.left()
    shop.apply(built)

    def hook(name, moment):
        if name == "servers.delete" and moment == "before":
            raise Conflict("Nova does not want to")

    built.world.hook = hook
    task = shop.destroy(built, end="error")
    built.world.hook = None
    told = task.history[-1].message
    assert "2 of 4 failed: web-1: " in told
    assert "they need these: db, shop" in told
    shop.destroy(built)
    assert built.world.left() == before


# -- what others have made


def test_others_are_left_alone(built):
    built.environment("shop")
    built.provisioner()
    built.instance("mine", environment="shop", publish=["9000:90"])
    before = built.world.left()
    shop.apply(built)
    shop.destroy(built)
    assert built.world.left() == before
    assert [r.name for r in built.store.list_records("environment")] == ["shop"]
    assert shop.names(built) == ["mine"]


def test_an_environment_that_an_apply_made_stays_if_others_use_it(built):
    shop.apply(built)
    built.provisioner()
    built.instance("mine", environment="shop")
    shop.destroy(built)
    assert shop.names(built) == ["mine"]
    assert built.service.environments.show(ADMIN, "shop", NOWHERE).definition == ""


def test_an_environment_without_an_address_has_none_afterwards(built):
    built.environment("shop")
    before = built.world.left()
    shop.apply(built)
    assert built.world.addresses
    shop.destroy(built)
    assert built.world.left() == before


# -- one after the other


def test_two_at_once(built):
    first = shop.accept(built)
    with pytest.raises(Conflict, match=first.task_uuid) as caught:
        shop.accept(built)
    assert caught.value.code == "being_applied"
    with pytest.raises(Conflict, match="being applied"):
        built.service.environments.destroy(ADMIN, "shop", {}, NOWHERE)
    with pytest.raises(Conflict, match="wait for its task"):
        built.service.environments.delete(ADMIN, "shop", NOWHERE)
    second = shop.accept(built, shop.shop(web={"count": 3}), wait=True)
    third = built.service.environments.destroy(ADMIN, "shop", {"wait": True}, NOWHERE)
    built.work()
    assert task_of(built, first).status == "done"
    task = task_of(built, second)
    assert task.status == "done", task.history[-1].message
    assert f"waits for task {first.task_uuid}" in task.log
    assert parts(built, task) == {"create instance web-3": "provisioned"}
    assert task_of(built, third).status == "deleted"
    assert not built.world.servers


def test_two_first_ones_at_once(built, monkeypatch):
    """Of both, one is accepted."""
    accept, once = built.store.accept, []

    def late(*given, **named):
        monkeypatch.setattr(built.store, "accept", accept)
        once.append(shop.accept(built))
        return accept(*given, **named)

    monkeypatch.setattr(built.store, "accept", late)
    with pytest.raises(Conflict) as caught:
        shop.accept(built)
    assert caught.value.code == "being_applied"
    built.work()
    assert task_of(built, once[0]).status == "done"


def test_two_later_ones_at_once(built, monkeypatch):
    shop.apply(built)
    accept, once = built.store.accept_on, []

    def late(*given, **named):
        monkeypatch.setattr(built.store, "accept_on", accept)
        once.append(shop.accept(built))
        return accept(*given, **named)

    monkeypatch.setattr(built.store, "accept_on", late)
    with pytest.raises(Conflict) as caught:
        shop.accept(built)
    assert caught.value.code == "being_applied"
    accepted = shop.accept(built, wait=True)
    built.work()
    assert task_of(built, accepted).status == "done"


def secrets_of(stage):
    (record,) = stage.store.list_records("secrets")
    opened = secret_inputs.opened(record.data, stage.tools.seal)
    return {name: entry["value"] for name, entry in opened.items()}


def test_who_is_refused_has_written_nothing(built, monkeypatch):
    """Of two that are quick, the slower one's definition and secrets are not kept."""
    built.environment("shop")
    definition = secret_shop()
    other = secret_shop()
    other["description"] = "of the other"
    accept = built.store.accept_on

    def late(*given, **named):
        monkeypatch.setattr(built.store, "accept_on", accept)
        shop.accept(built, definition, values={"given": "first"})
        return accept(*given, **named)

    monkeypatch.setattr(built.store, "accept_on", late)
    with pytest.raises(Conflict) as caught:
        shop.accept(built, other, values={"given": "second"})
    assert caught.value.code == "being_applied"
    assert secrets_of(built)["given"] == "first"
    shown = built.service.environments.show(ADMIN, "shop", NOWHERE)
    assert "of the other" not in shown.definition
    made = secrets_of(built)["made"]
    built.work()
    assert f"export MADE={made}\n" in shop.user_data(built, "web-1")


def test_nothing_is_defined_while_it_is_applied(built, monkeypatch):
    built.environment("shop")
    fields = {"definition": shop.shop(web={"count": 1})}
    environments = built.service.environments
    change = built.store.change_with

    def late(*given, **named):
        monkeypatch.setattr(built.store, "change_with", change)
        shop.accept(built)
        return change(*given, **named)

    monkeypatch.setattr(built.store, "change_with", late)
    for code in ("changed", "being_applied"):
        with pytest.raises(Conflict) as caught:
            environments.define(ADMIN, "shop", fields, NOWHERE)
        assert caught.value.code == code
    shown = environments.show(ADMIN, "shop", NOWHERE)
    assert json.loads(shown.definition)["instances"]["web"]["count"] == 2


@pytest.mark.parametrize("when", ["before", "at its end"])
def test_an_apply_behind_a_destroy_keeps_its_definition(built, monkeypatch, when):
    built.environment("shop")
    before = built.world.left()
    definition = secret_shop()
    definition["instances"]["web"]["variables"]["AGAIN"] = "yes"
    shop.apply(built, secret_shop(), values={"given": "a"})
    destroyed = built.service.environments.destroy(ADMIN, "shop", {}, NOWHERE)
    applied = []

    def again():
        values = {"given": "b"}
        applied.append(shop.accept(built, definition, values=values, wait=True))

    change = built.store.change_with

    def late(*given, **named):
        monkeypatch.setattr(built.store, "change_with", change)
        again()
        return change(*given, **named)

    if when == "before":
        again()
    else:
        monkeypatch.setattr(built.store, "change_with", late)
    built.work()
    assert task_of(built, destroyed).status == "deleted"
    (task,) = (task_of(built, each) for each in applied)
    assert task.status == "done", task.history[-1].message
    assert "export GIVEN=pre-b-" in shop.user_data(built, "web-1")
    outputs = built.service.environments.outputs(ADMIN, "shop", NOWHERE)
    assert outputs["database"] == shop.server(built, "db").addresses[0].address
    assert shop.plan(built, definition).is_empty
    shop.destroy(built)
    assert built.world.left() == before
    assert not built.store.list_records("definition")
    assert not built.store.list_records("secrets")


def test_width(built):
    """No more go on at a time than was asked for."""
    most = []

    def hook(name, moment):
        going = [t for t in built.store.tasks(None, limit=1000) if not t.is_final]
        most.append(sum(t.type == "create_instance" for t in going))

    definition = shop.shop(web={"count": 3, "variables": {}})
    built.world.hook = lambda *a: hook(*a) if a[0] == "servers.create" else None
    shop.apply(built, definition, width=2)
    assert max(most) == 2


# -- values


def secret_shop():
    definition = shop.shop()
    definition["inputs"] = {
        "given": {"secret": True},
        "made": {"generate": "password", "length": 30},
        "key": {"generate": "key"},
        "open": {"default": "x"},
    }
    definition["instances"]["web"]["variables"] |= {
        "GIVEN": "pre-${inputs.given}-${instances.db.address}",
        "MADE": "${inputs.made}",
        "PUBLIC": "${inputs.key.public}",
        "OPEN": "${inputs.open}",
    }
    return definition


def test_secrets_reach_scripts_and_nothing_else(built):
    secret = "s3cr3t'; echo $HOME"
    definition = secret_shop()
    values = {"given": secret, "open": "y"}
    shop.apply(built, definition, values=values)
    told = shop.user_data(built, "web-1")
    address = shop.server(built, "db").addresses[0].address
    assert f"export GIVEN={shlex.quote(f'pre-{secret}-{address}')}\n" in told
    assert "export OPEN=y\n" in told
    assert re.search(r"export MADE=[A-Za-z0-9]{30}\n", told)
    assert re.search(r"export PUBLIC='ssh-ed25519 \S+'\n", told)
    made = re.search(r"export MADE=(\S+)", told)[1]
    # Nowhere else, whatever is asked or kept.
    for word in ("s3cr3t", made):
        for table in ("task_work", "task_log", "task_history", "tasks"):
            with built.store._database.read() as connection:
                rows = connection.exec_driver_sql(f"select * from {table}").all()
            assert word not in repr(rows), table
        for kind in ("instance", "environment", "definition"):
            assert word not in repr(built.store.list_records(kind))
        assert word not in repr(built.audited)
        environments = built.service.environments
        assert word not in repr(environments.show(ADMIN, "shop", NOWHERE))
        assert word not in repr(shop.plan(built, definition))
        assert word not in repr(built.service.instances.show(ADMIN, "web-1", NOWHERE))
        (record,) = built.store.list_records("secrets")
        assert word not in repr(record.data)
        assert word in repr(secrets_of(built))
    # What is generated stays, and what is given need not be given again.
    assert shop.plan(built, definition, values={"open": "y"}).is_empty
    found = shop.plan(built, definition, values={"given": "other", "open": "y"})
    assert [str(d) for d in found.steps[0].differences] == ["secret given: replaced"]
    shop.destroy(built)
    assert not built.store.list_records("secrets")


@pytest.mark.parametrize("waits", [False, True])
def test_a_secret_that_has_no_room_is_refused_before_anything_is_deleted(built, waits):
    definition = secret_shop()
    definition["provisioners"]["site"]["script"] = f"#{'x' * 42_000}\n"
    shop.apply(built, definition, values={"given": "a"})
    before = server_ids(built)
    values = {"given": "b'" * 1_000}
    if waits:
        more = secret_shop()
        more["instances"]["db"]["description"] = "data"
        more["provisioners"] = definition["provisioners"]
        first = shop.accept(built, more)
        task = built.done(shop.accept(built, definition, values=values, wait=True))
        assert task_of(built, first).status == "done"
        assert "as user-data" in task.history[-1].message
    else:
        with pytest.raises(Invalid) as caught:
            shop.accept(built, definition, values=values)
        assert caught.value.code == "user_data_too_large"
    assert server_ids(built) == before


def test_a_secret_that_is_missing(built):
    with pytest.raises(Invalid, match="given"):
        shop.plan(built, secret_shop())


@pytest.mark.parametrize("name", ["given", "made"])
def test_a_plan_is_nothing_to_guess_secrets_by(built, name):
    definition = secret_shop()
    values = {"given": "right"}
    # Where nothing is there, nothing is kept.
    assert not shop.plan(built, definition, ADMIN, values=values).is_empty
    shop.apply(built, definition, values=values)
    reader, member = reader_of(built, "shop"), member_of(built, "shop")
    for guess in ("right", "wrong"):
        with pytest.raises(Forbidden, match=f"its secrets: {name}") as caught:
            shop.plan(built, definition, reader, values={name: guess})
        assert caught.value.field == "values"
    assert shop.plan(built, definition, reader, values={"open": "x"}).is_empty
    assert not shop.plan(built, definition, member, values={name: "wrong"}).is_empty
    (record,) = built.store.list_records("environment")
    closed = Permissions("rwxr-xr-x")
    built.store.update_record("environment", record.uuid, permissions=closed)
    with pytest.raises(Forbidden, match="permissions of environment shop"):
        shop.plan(built, definition, member, values={name: "wrong"})
    assert shop.plan(built, definition, member).is_empty


def test_values_are_data_only(built):
    """Whatever a value says, the guest's shell takes it as a text."""
    evil = "$(reboot) `id` \" ' \n end"
    definition = shop.shop(web={"variables": {"X": evil.replace("$", "$")}})
    shop.apply(built, definition)
    assert f"export X={shlex.quote(evil)}\n" in shop.user_data(built, "web-1")


def test_other_references(built):
    definition = shop.shop(
        web={
            "variables": {
                "NAME": "${instances.db.name}",
                "HOST": "${instances.db.host}",
                "PORT": "${instances.db.published[5432]}",
                "ALL": "${instances.db.addresses}",
                "ENV": "${environment.name} in ${environment.partition}",
                "AT": "${environment.publish_address}",
                "PLAIN": "$${HOME}",
            }
        },
        db={"publish": ["5432"]},
    )
    shop.apply(built, definition)
    told = shop.user_data(built, "web-1")
    shown = built.service.instances.show(ADMIN, "db", NOWHERE)
    port = shown.published[0].outside
    for line in (
        "export NAME=db",
        "export HOST=node1",
        f"export ALL={shown.addresses[0]}",
        "export ENV='shop in dev_co'",
        "export PLAIN='${HOME}'",
    ):
        assert f"{line}\n" in told
    at = re.search(r"export AT=(203\.0\.113\.\d+)\n", told)[1]
    assert f"export PORT={at}:{port}\n" in told
    assert shop.plan(built, definition).is_empty


def test_provisioners_that_depend(built):
    definition = shop.shop(web={"variables": {}})
    definition["provisioners"]["site"]["depends"] = ["database"]
    shop.apply(built, definition)
    address = shop.server(built, "db").addresses[0].address
    assert f"export DATABASE_ADDRESS={address}\n" in shop.user_data(built, "web-2")
    assert shop.plan(built, definition).is_empty
    more = shop.shop(web={"variables": {}}, db={"count": 2})
    more["provisioners"]["site"]["depends"] = ["database"]
    built.speak("db-1", "made")
    built.speak("db-2", "made")
    more["outputs"] = {}
    assert "replace web-1" in shop.steps(shop.plan(built, more))


def test_provisioners_and_images_of_the_service(built):
    built.provisioner("known", "debian-12", script="echo known\n", tag="k")
    definition = shop.shop(web={"provisioner": "known", "publish": ["80"]})
    shop.apply(built, definition)
    assert "echo known" in shop.user_data(built, "web-1")
    shown = built.service.instances.show(ADMIN, "web-1", NOWHERE)
    assert (shown.provisioner, shown.tags) == ("known", ("k",))
    # Another script of it is a change of what was made with it.
    fields = {"script": "echo other\n"}
    built.service.provisioners.change(ADMIN, "known", fields, NOWHERE)
    found = shop.plan(built, definition)
    assert shop.steps(found) == ["replace web-1", "replace web-2"]
    with pytest.raises(Invalid, match="no provisioner nobody"):
        shop.plan(built, shop.shop(web={"provisioner": "nobody"}))


def test_a_time_limit_of_ones_own(built):
    definition = shop.shop(web={"count": 1})
    definition["provisioners"]["site"]["timeout"] = 60
    built.speak("web", "begun", exit_code=None)
    task = shop.apply(built, definition, end="error")
    assert "has not ended within 60 s" in task.history[-1].message


# -- requests


def test_defining_first_and_applying_later(built):
    built.environment("shop")
    environments = built.service.environments
    with pytest.raises(Conflict) as caught:
        environments.apply(ADMIN, "shop", {}, NOWHERE)
    assert caught.value.code == "no_definition"
    fields = {"definition": secret_shop(), "values": {"given": "a"}}
    environments.define(ADMIN, "shop", fields, NOWHERE)
    assert not built.world.servers
    with pytest.raises(Invalid, match="open"):
        environments.apply(ADMIN, "shop", {"values": {"open": "z"}}, NOWHERE)
    task = built.done(environments.apply(ADMIN, "shop", {}, NOWHERE))
    assert task.status == "done", task.history[-1].message
    assert shop.names(built) == ["db", "web-1", "web-2"]
    assert "export GIVEN=pre-a-" in shop.user_data(built, "web-1")


def test_what_is_refused(built):
    environments = built.service.environments
    with pytest.raises(NotFound):
        environments.apply(ADMIN, "shop", {}, NOWHERE)
    with pytest.raises(NotFound):
        environments.destroy(ADMIN, "shop", {}, NOWHERE)
    with pytest.raises(Invalid, match="of shop, not of other"):
        fields = {"definition": shop.SHOP}
        environments.apply(ADMIN, "other", fields, NOWHERE)
    with pytest.raises(NotFound, match="partition nowhere"):
        shop.plan(built, shop.SHOP | {"partition": "nowhere"})
    with pytest.raises(Invalid, match="no image nothing"):
        shop.accept(built, shop.shop(db={"image": "nothing"}))
    with pytest.raises(Invalid, match="no user alice"):
        shop.accept(built, shop.SHOP | {"users": ["alice"]})
    built.partition("other_co")
    shop.apply(built)
    with pytest.raises(Invalid, match="is in partition dev_co"):
        fields = {"definition": shop.SHOP | {"partition": "other_co"}}
        environments.define(ADMIN, "shop", fields, NOWHERE)
    built.provisioner()
    assert not shop.plan(built, shop.SHOP | {"partition": "other_co"}).is_empty


@pytest.mark.parametrize("partition", [{"a": 1}, ["dev_co"], 7])
def test_a_partition_that_is_no_name(built, partition):
    """It is refused before anything is looked for by it."""
    for _ in range(2):
        with pytest.raises(Invalid, match="partition"):
            shop.accept(built, shop.SHOP | {"partition": partition})
        shop.apply(built)


def test_who_may_not_see_it(built):
    shop.apply(built)
    for call in (
        lambda: built.service.environments.outputs(STRANGER, "shop", NOWHERE),
        lambda: built.service.environments.destroy(STRANGER, "shop", {}, NOWHERE),
        lambda: shop.plan(built, caller=STRANGER),
    ):
        with pytest.raises(NotFound):
            call()
    member = member_of(built, "shop")
    assert shop.plan(built, caller=member).is_empty
    task = built.done(shop.accept(built, shop.shop(web={"count": 3}), member))
    assert task.status == "done", task.history[-1].message
    (record,) = built.store.list_records("instance", name="web-3")
    assert record.owner_id == member.user_id


def keep_to_owner(stage, name, owner, permissions="rwx------"):
    """Leave an instance to one member."""
    (record,) = stage.store.list_records("instance", name=name)
    permissions = Permissions(permissions)
    stage.store.update_record("instance", record.uuid, permissions=permissions)
    assert record.owner_id == owner.user_id


def shop_of_alice(stage):
    """The shop with a database that is Alice's; and Bob, who works there, too."""
    stage.environment("shop")
    alice, bob = (member_of(stage, "shop", user) for user in ("alice", "bob"))
    assert stage.done(shop.accept(stage, caller=alice)).status == "done"
    return alice, bob


UPDATE = shop.shop(db={"description": "x"})
REPLACE = shop.shop(db={"memory": 1024})
DELETE = shop.shop(db=None, web={"variables": {}}) | {"outputs": {}}


@pytest.mark.parametrize("permissions", ["rwx------", "rwxr-xr-x"])
@pytest.mark.parametrize("definition", [UPDATE, REPLACE, DELETE])
def test_instances_that_others_may_not_change(built, definition, permissions):
    alice, bob = shop_of_alice(built)
    keep_to_owner(built, "db", alice, permissions)
    servers = server_ids(built)
    destroy = built.service.environments.destroy
    for call in (
        lambda: shop.accept(built, definition, bob),
        lambda: destroy(bob, "shop", {}, NOWHERE),
    ):
        with pytest.raises(Forbidden, match="instance db .* don't let you change it"):
            call()
    kept = built.service.environments.show(ADMIN, "shop", NOWHERE).definition
    assert json.loads(kept)["instances"]["db"] == shop.SHOP["instances"]["db"]
    assert server_ids(built) == servers
    # What leaves it alone is Bob's to do.
    more = shop.shop(web={"count": 3})
    assert built.done(shop.accept(built, more, bob)).status == "done"
    assert built.done(shop.accept(built, definition, alice)).status == "done"
    assert built.done(destroy(ADMIN, "shop", {}, NOWHERE)).status == "deleted"


@pytest.mark.parametrize("act", ["apply", "destroy"])
def test_waiting_is_no_way_round_permissions(built, act):
    """What is there only when it has its turn is looked at then."""
    alice, bob = shop_of_alice(built)
    keep_to_owner(built, "db", alice)
    first = shop.accept(built, shop.shop(web={"count": 3}), alice)
    if act == "apply":
        accepted = shop.accept(built, REPLACE, bob, wait=True)
    else:
        environments = built.service.environments
        accepted = environments.destroy(bob, "shop", {"wait": True}, NOWHERE)
    built.work()
    assert task_of(built, first).status == "done"
    task = task_of(built, accepted)
    assert task.status == "error"
    assert "instance db (rwx------) don't let you change" in task.history[-1].message
    assert shop.names(built) == ["db", "web-1", "web-2", "web-3"]


def test_instances_that_others_may_not_see(built):
    alice, bob = shop_of_alice(built)
    keep_to_owner(built, "db", alice)
    address = shop.server(built, "db").addresses[0].address
    outputs = built.service.environments.outputs
    assert outputs(bob, "shop", NOWHERE)["database"] is None
    assert outputs(bob, "shop", NOWHERE)["url"]
    for caller in (alice, ADMIN):
        assert outputs(caller, "shop", NOWHERE)["database"] == address
    found = shop.plan(built, REPLACE, bob)
    assert shop.steps(found) == ["replace db", "replace web-1", "replace web-2"]
    told = [[str(d) for d in step.differences] for step in found.steps]
    of_web = ["${instances.db.address}: replaced"]
    assert told == [["memory  -> 1024: replaced"], of_web, of_web]
    for caller in (alice, ADMIN):
        found = shop.plan(built, REPLACE, caller)
        assert "memory 512 -> 1024: replaced" in found.steps[0].reason
        assert address in found.steps[1].reason


def test_outputs_of_what_is_not_there(built):
    built.world.broken["db"] = "unplaced"
    shop.apply(built, end="error")
    outputs = built.service.environments.outputs(ADMIN, "shop", NOWHERE)
    assert outputs == {"url": None, "database": None}


def test_a_private_image_is_shared_with_a_new_environment(built):
    (partition,) = built.store.list_records("partition")
    image = built.world.add_image(
        "mine", "lxd", owner=partition.openstack_id, visibility="shared"
    )
    now = built.clock()
    record = Record(
        "image",
        "u-image",
        "mine",
        now,
        now,
        scope=partition.uuid,
        openstack_id=image.id,
        data={"home": partition.openstack_id},
    )
    built.store.add_record(record)
    definition = shop.shop(db={"image": "mine"})
    shop.plan(built, definition)
    assert not built.world.shared
    shop.apply(built, definition)
    shown = built.service.environments.show(ADMIN, "shop", NOWHERE)
    assert built.world.shared == {(image.id, shown.uuid)}


def test_in_one_project_of_somebodys_cloud(make_stage):
    stage = shop.furnish(make_stage(single=True))
    for size in ((1, 1024, 8), (2, 4096, 20)):
        name = f"flavor-{size[1]}"
        flavor = values.Flavor(name, name, *size)
        stage.world.flavors[name] = flavor
    stage.environment("shop")
    before = stage.world.left()
    shop.apply(stage)
    assert shop.plan(stage).is_empty
    shop.destroy(stage)
    assert stage.world.left() == before


def test_audit_records_say_from_where(built):
    """Those of the whole, and of each part, when it begins and when it has ended."""
    changed = shop.shop(web={"memory": 512, "count": 1}, db={"description": "data"})
    built.audited.clear()
    shop.apply(built)
    shop.apply(built, changed | {"description": "our shop"})
    shop.destroy(built)
    told = {(event["action"], event["target"]["name"]) for _, event in built.audited}
    assert {("create", "shop"), ("update", "shop"), ("delete", "shop")} <= told
    assert {("create", "db"), ("update", "db"), ("delete", "db")} <= told
    for kind, event in built.audited:
        host = event["initiator"].get("host", {})
        assert host.get("address") == ADMIN.remote_address, (kind, event)


@pytest.mark.parametrize("users", [["alice"], []])
def test_users_in_one_project_of_somebodys_cloud(make_stage, users):
    """A role in the one project is nothing that a definition gives."""
    stage = shop.furnish(make_stage(single=True))
    stage.environment("shop")
    definition = shop.SHOP | {"users": users}
    fields = {"definition": definition}
    for call in (
        lambda: shop.plan(stage, definition),
        lambda: shop.accept(stage, definition),
        lambda: stage.service.environments.define(ADMIN, "shop", fields, NOWHERE),
    ):
        with pytest.raises(Unsupported, match="share one project") as caught:
            call()
        assert caught.value.field == "users"


# -- each call fails once


@pytest.mark.parametrize("when", ["before", "after"])
def test_whatever_fails_is_gone_on_with(built, when):
    """The next apply, or destroy, makes up for it; nothing is left or doubled."""
    definition = shop.shop(web={"count": 1, "publish": ["8080:80"]})
    before = built.world.left()
    shop.apply(built, definition)
    whole = _picture(built)
    shop.destroy(built)
    stride = 2
    for number in itertools.count():
        failed = []
        for act in ("apply", "destroy"):
            left = itertools.count(stride * number + 2, -1)

            def hook(name, moment, left=left, failed=failed):
                if name.startswith("store.") or moment != when or next(left) != 0:
                    return
                failed.append(name)
                raise Conflict(f"{name} does not work")

            environments = built.service.environments
            if act == "apply":
                accepted = shop.accept(built, definition)
            else:
                accepted = environments.destroy(ADMIN, "shop", {}, NOWHERE)
            built.world.hook = hook
            built.work()
            built.world.hook = None
            task = task_of(built, accepted)
            if act == "apply":
                shop.apply(built, definition)
                assert _picture(built) == whole, failed
            elif task.status != "deleted":
                assert f"{failed[-1]} does not work" in task.history[-1].message
                shop.destroy(built)
            if act == "destroy":
                assert built.world.left() == before, failed
        if not failed:
            break
    assert number > 5


# -- workers that die


def _picture(stage):
    records = sorted(
        (record.kind, record.name)
        for kind in ("environment", "instance", "definition", "secrets", "address")
        for record in stage.store.list_records(kind)
    )
    return stage.world.counts(), shop.names(stage), records


@pytest.mark.parametrize("stride", [23])
def test_a_worker_that_dies_in_the_middle(built, stride):
    """Whenever that is: nothing is lost, and nothing doubled."""
    before = built.world.left()
    shop.apply(built)
    whole = _picture(built)
    shop.destroy(built)
    changed = shop.shop(web={"memory": 512, "count": 1})
    for number in itertools.count():
        died = []
        for act in ("apply", "change", "destroy"):
            if act == "destroy":
                accepted = built.service.environments.destroy(
                    ADMIN, "shop", {}, NOWHERE
                )
            else:
                accepted = shop.accept(built, shop.SHOP if act == "apply" else changed)
            died.append(built.die_before(stride * number + 5))
            built.forget_leases()
            built.work()
            task = task_of(built, accepted)
            assert task.status == task.goal, (number, act, task.history[-1].message)
            if act == "apply":
                assert _picture(built) == whole, number
                assert shop.plan(built).is_empty
            if act == "change":
                assert shop.names(built) == ["db", "web"]
                assert shop.plan(built, changed).is_empty
        assert built.world.left() == before
        if not any(died):
            break
    assert number > 5


def test_a_parent_that_lost_its_lease_begins_nothing(built):
    """Its successor is at it: what the old one begins would be nobody's."""
    accepted = shop.accept(built)
    held = built.work(
        until=lambda: "+ instance db" in built.store.task(accepted.task_uuid).log
    )
    old = held[accepted.task_uuid]
    built.forget_leases()
    (claimed,) = [
        each
        for each in built.store.claim("w2", 100, 90)
        if each.task.uuid == accepted.task_uuid
    ]
    with pytest.raises(Fenced):
        for _ in range(50):
            built.fresh().run(old)
            built.clock.forward(1)
    built.store.release(claimed.task.uuid, claimed.fencing)
    built.forget_leases()
    built.work()
    assert task_of(built, accepted).status == "done"
    assert shop.names(built) == ["db", "web-1", "web-2"]
