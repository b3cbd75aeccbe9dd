# SPDX-License-Identifier: Apache-2.0
"""Applies and destroys at the same time: one after the other, each whole."""

import json

import pytest

from nova_multi.domain.errors import Conflict
from tests.unit.provision import shop
from tests.unit.provision.conftest import ADMIN, NOWHERE


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
    assert shop.task_of(built, first).status == "done"
    task = shop.task_of(built, second)
    assert task.status == "done", task.history[-1].message
    assert f"waits for task {first.task_uuid}" in task.log
    assert shop.parts(built, task) == {"create instance web-3": "provisioned"}
    assert shop.task_of(built, third).status == "deleted"
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
    assert shop.task_of(built, once[0]).status == "done"


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
    assert shop.task_of(built, accepted).status == "done"


def test_who_is_refused_has_written_nothing(built, monkeypatch):
    """Of two that are quick, the slower one's definition and secrets are not kept."""
    built.environment("shop")
    definition = shop.secret_shop()
    other = shop.secret_shop()
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
    assert shop.secrets_of(built)["given"] == "first"
    shown = built.service.environments.show(ADMIN, "shop", NOWHERE)
    assert "of the other" not in shown.definition
    made = shop.secrets_of(built)["made"]
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
    definition = shop.secret_shop()
    definition["instances"]["web"]["variables"]["AGAIN"] = "yes"
    shop.apply(built, shop.secret_shop(), values={"given": "a"})
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
    assert shop.task_of(built, destroyed).status == "deleted"
    (task,) = (shop.task_of(built, each) for each in applied)
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
