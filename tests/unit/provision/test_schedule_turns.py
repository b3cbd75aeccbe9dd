# SPDX-License-Identifier: Apache-2.0
"""A schedule that is set while others are at the definition: neither is lost."""

import json

import pytest

from nova_multi.domain.errors import Conflict, NameTaken
from nova_multi.provision import definitions
from tests.unit.provision import shop
from tests.unit.provision.conftest import ADMIN, NOWHERE

WORK = {"days": "mon-fri", "hours": "08:00-18:00"}
LONGER = {"hours": "07:00-22:00"}


@pytest.fixture
def built(stage):
    found = shop.furnish(stage)
    shop.apply(found, shop.shop() | {"schedule": WORK})
    return found


def between(monkeypatch, act, times=1):
    """Have something done whenever the definition has been read for a change."""
    find, left = definitions.find, [times]

    def found(store, environment):
        record = find(store, environment)
        if left[0]:
            left[0] -= 1
            act()
        return record

    monkeypatch.setattr(
        "nova_multi.provision.nouns.environments.definitions.find", found
    )


def shown(stage):
    return stage.service.environments.show(ADMIN, "shop", NOWHERE)


@pytest.mark.parametrize("way", ["apply", "define"])
def test_a_definition_that_comes_between_is_kept(built, monkeypatch, way):
    wanted = shop.shop(web={"count": 3}) | {"schedule": WORK}
    environments = built.service.environments

    def act():
        if way == "apply":
            shop.accept(built, wanted)
        else:
            environments.define(ADMIN, "shop", {"definition": wanted}, NOWHERE)

    between(monkeypatch, act)
    environments.change(ADMIN, "shop", {"schedule": LONGER}, NOWHERE)
    definition = json.loads(shown(built).definition)
    assert definition["instances"]["web"]["count"] == 3
    assert definition["schedule"] == shown(built).schedule
    assert shown(built).schedule["hours"] == ["07:00-22:00"]
    if way == "apply":
        built.work()
        assert "web-3" in shop.names(built)


def test_who_is_never_quick_enough_is_told(built, monkeypatch):
    (kept,) = built.store.list_records(definitions.KIND)
    number = iter(range(100))

    def act():
        told = {**definitions.of(kept), "description": str(next(number))}
        data = definitions.changed(kept, told)
        built.store.update_record(kept.kind, kept.uuid, data=data)

    between(monkeypatch, act, times=100)
    before = shown(built).schedule
    with pytest.raises(Conflict) as caught:
        built.service.environments.change(ADMIN, "shop", {"schedule": LONGER}, NOWHERE)
    assert caught.value.code == "changed"
    assert shown(built).schedule == before


def test_all_of_a_change_or_nothing(built):
    """A name that is taken leaves the schedule as it was, in both places."""
    built.environment("other")
    before = shown(built)
    with pytest.raises(NameTaken):
        fields = {"name": "other", "schedule": LONGER}
        built.service.environments.change(ADMIN, "shop", fields, NOWHERE)
    after = shown(built)
    assert (after.schedule, after.definition) == (before.schedule, before.definition)
    built.service.environments.change(ADMIN, "shop", {"name": "shop-2"}, NOWHERE)
    found = built.service.environments.show(ADMIN, "shop-2", NOWHERE)
    assert found.schedule == before.schedule
