# SPDX-License-Identifier: Apache-2.0
"""Applies and destroys whose calls fail, and whose workers die."""

import itertools

import pytest

from nova_multi.domain.errors import Conflict
from nova_multi.provision.store import Fenced
from tests.unit.provision import shop
from tests.unit.provision.conftest import ADMIN, NOWHERE


@pytest.mark.parametrize("when", ["before", "after"])
def test_whatever_fails_is_gone_on_with(built, when):
    """The next apply, or destroy, makes up for it; nothing is left or doubled."""
    definition = shop.shop(web={"count": 1, "publish": ["8080:80"]})
    before = built.world.left()
    shop.apply(built, definition)
    whole = shop.picture(built)
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
            task = shop.task_of(built, accepted)
            if act == "apply":
                shop.apply(built, definition)
                assert shop.picture(built) == whole, failed
            elif task.status != "deleted":
                assert f"{failed[-1]} does not work" in task.history[-1].message
                shop.destroy(built)
            if act == "destroy":
                assert built.world.left() == before, failed
        if not failed:
            break
    assert number > 5


@pytest.mark.parametrize("stride", [23])
def test_a_worker_that_dies_in_the_middle(built, stride):
    """Whenever that is: nothing is lost, and nothing doubled."""
    before = built.world.left()
    shop.apply(built)
    whole = shop.picture(built)
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
            task = shop.task_of(built, accepted)
            assert task.status == task.goal, (number, act, task.history[-1].message)
            if act == "apply":
                assert shop.picture(built) == whole, number
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
    assert shop.task_of(built, accepted).status == "done"
    assert shop.names(built) == ["db", "web-1", "web-2"]
