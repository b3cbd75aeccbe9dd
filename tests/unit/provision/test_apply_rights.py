# SPDX-License-Identifier: Apache-2.0
"""Who may plan, apply and destroy, and what that tells them."""

import json

import pytest

from nova_multi.domain.errors import Forbidden, NotFound
from nova_multi.domain.permissions import Permissions
from nova_multi.provision.nouns.switching import Switching
from tests.unit.provision import shop
from tests.unit.provision.callers import STRANGER, member_of, reader_of
from tests.unit.provision.conftest import ADMIN, NOWHERE


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
    servers = shop.server_ids(built)
    destroy = built.service.environments.destroy
    for call in (
        lambda: shop.accept(built, definition, bob),
        lambda: destroy(bob, "shop", {}, NOWHERE),
    ):
        with pytest.raises(Forbidden, match="instance db .* don't let you change it"):
            call()
    kept = built.service.environments.show(ADMIN, "shop", NOWHERE).definition
    assert json.loads(kept)["instances"]["db"] == shop.SHOP["instances"]["db"]
    assert shop.server_ids(built) == servers
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
    assert shop.task_of(built, first).status == "done"
    task = shop.task_of(built, accepted)
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


@pytest.mark.parametrize("name", ["given", "made"])
def test_a_plan_is_nothing_to_guess_secrets_by(built, name):
    definition = shop.secret_shop()
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


NIGHTS = {"hours": "20:00-06:00"}


@pytest.mark.parametrize("way", ["set", "define", "apply", "wait"])
def test_a_schedule_is_no_way_round_permissions(built, way):
    """It closes as an administrator does: who sets it has to be let."""
    alice, bob = shop_of_alice(built)
    keep_to_owner(built, "db", alice)
    environments = built.service.environments
    definition = shop.SHOP | {"schedule": NIGHTS}

    def ask(caller):
        if way == "set":
            return environments.change(caller, "shop", {"schedule": NIGHTS}, NOWHERE)
        if way == "define":
            fields = {"definition": definition}
            return environments.define(caller, "shop", fields, NOWHERE)
        return shop.accept(built, definition, caller, wait=way == "wait")

    if way == "wait":
        shop.accept(built, shop.shop(web={"count": 3}), alice)
    with pytest.raises(Forbidden, match="instance db .* don't let you change it"):
        ask(bob)
    built.work()
    Switching(built.tools).look()
    built.work()
    assert "db" in shop.names(built)
    shown = environments.show(ADMIN, "shop", NOWHERE)
    assert not shown.schedule and "schedule" not in json.loads(shown.definition)
    # What closes nothing is anybody's.
    environments.change(bob, "shop", {"schedule": None}, NOWHERE)
    ask(alice)
    built.work()
    assert environments.show(ADMIN, "shop", NOWHERE).schedule
