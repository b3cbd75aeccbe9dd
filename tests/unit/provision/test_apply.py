# SPDX-License-Identifier: Apache-2.0
"""Environments by their definitions: apply, apply again, change, destroy."""

import dataclasses
import json

import pytest

from nova_multi.domain.errors import Conflict
from tests.fixtures.fake_cloud import FakeServers
from tests.unit.provision import shop
from tests.unit.provision.conftest import ADMIN, NOWHERE


def test_from_nothing_to_nothing(built):
    before = built.world.left()
    built.world.calls.clear()
    found = shop.plan(built)
    # Nothing is written, here or there.
    assert set(built.world.calls) <= shop.READS, built.world.calls
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
    calls = shop.cloud_calls(built)
    assert set(calls) <= shop.READS, calls
    assert "nothing to do" in task.log

    task = shop.destroy(built)
    assert built.world.left() == before
    assert not built.store.list_records("definition")
    assert not built.store.list_records("secrets")


def test_what_changes_is_replaced_and_nothing_else(built):
    shop.apply(built)
    before = shop.server_ids(built)
    definition = shop.shop(web={"memory": 512})
    found = shop.plan(built, definition)
    assert shop.steps(found) == ["replace web-1", "replace web-2"]
    task = shop.apply(built, definition)
    after = shop.server_ids(built)
    assert after["db"] == before["db"]
    assert after["web-1"] != before["web-1"]
    assert shop.server(built, "web-1").flavor.memory_mb == 512
    assert shop.parts(built, task) == {
        "delete instance web-1": "deleted",
        "create instance web-1": "provisioned",
        "delete instance web-2": "deleted",
        "create instance web-2": "provisioned",
    }
    assert shop.plan(built, definition).is_empty


def test_in_place(built):
    shop.apply(built)
    before = shop.server_ids(built)
    definition = shop.shop(
        web={"publish": ["8080:80"], "count": 1},
        db={"description": "data", "tags": ["back"]},
    )
    task = shop.apply(built, definition)
    assert shop.parts(built, task) == {
        "update instance db": "done",
        "delete instance web-2": "deleted",
        "update instance web": "done",
    }
    assert shop.server_ids(built) == {"db": before["db"], "web": before["web-1"]}
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
    before = shop.server_ids(built)
    more = shop.shop(web={"count": 3})
    shop.apply(built, more)
    assert shop.names(built) == ["db", "web-1", "web-2", "web-3"]
    shop.apply(built, shop.shop(web=None) | {"outputs": {}})
    assert shop.server_ids(built) == {"db": before["db"]}


def test_nobody_is_told_of_what_is_to_go(built, monkeypatch):
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
    stays = shop.server(built, "db-2").id
    delete = FakeServers.delete

    def keep(self, server_id):
        if server_id == stays:
            raise Conflict("Nova does not want to")
        return delete(self, server_id)

    # It is there all the while that others are made, by whatever order.
    monkeypatch.setattr(FakeServers, "delete", keep)
    task = shop.apply(built, fewer, end="error")
    assert "1 of 4 failed: db-2" in task.history[-1].message
    assert shop.names(built) == ["db", "db-2", "web"]
    assert f"export ALL={first}\n" in shop.user_data(built, "web")
    monkeypatch.undo()
    assert shop.steps(shop.plan(built, fewer)) == ["delete db-2"]
    shop.apply(built, fewer)
    assert shop.plan(built, fewer).is_empty


def test_the_environments_own_words(built):
    user = type("User", (), {"id": "user-alice", "name": "alice"})()
    built.world.users["alice"] = user
    shop.apply(built)
    definition = shop.SHOP | {"description": "our shop", "users": ["alice"]}
    task = shop.apply(built, definition)
    assert shop.parts(built, task) == {"update environment shop": "done"}
    shown = built.service.environments.show(ADMIN, "shop", NOWHERE)
    assert (shown.description, shown.users) == ("our shop", ("alice",))
    assert (shown.uuid, "member", "user-alice") in built.world.grants
    assert shop.plan(built, definition).is_empty
    assert json.loads(shown.definition)["instances"]["db"]["memory"] == 512


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
