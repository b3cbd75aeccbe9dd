# SPDX-License-Identifier: Apache-2.0
"""A schedule that is taken away while its environment is closed: nothing is lost."""

import pytest

from nova_multi.domain.errors import Conflict
from tests.unit.provision import shop
from tests.unit.provision.conftest import ADMIN, NOWHERE
from tests.unit.provision.test_hours import (
    at_work,
    evening,
    hours_of,
    message,
    record,
    stored,
    switched,
)


@pytest.fixture
def built(stage):
    return shop.furnish(stage)


@pytest.fixture
def closed(built):
    """Closed, with the database's disk."""
    at_work(built, save=["db"])
    assert evening(built).status == "deleted"
    return built


def set_schedule(stage, schedule):
    return stage.service.environments.change(
        ADMIN, "shop", {"schedule": schedule}, NOWHERE
    )


def applied_without(stage):
    """Take it away by an apply instead."""
    return shop.apply(stage, shop.shop() | {"schedule": {}})


@pytest.mark.parametrize("way", ["set", "set twice", "apply"])
def test_its_disks_come_back(closed, way):
    image = stored(closed)["db[0]"]
    if way == "apply":
        applied_without(closed)
        task = None
    else:
        for _ in range(len(way.split())):
            assert set_schedule(closed, None).schedule == {}
        (task,) = switched(closed)
        assert task.status == "done", message(task)
    assert shop.server(closed, "db").image_id == image
    # They have done what they were for.
    assert stored(closed) == {} and image not in closed.world.images
    assert not record(closed).data.get("closed_save")
    definition = shop.shop() | {"schedule": {}}
    assert shop.plan(closed, definition).is_empty
    # Made anew it is as any other.
    server = shop.server(closed, "web-1").image_id
    shop.apply(closed, shop.shop(db={"memory": 1024}))
    assert shop.server(closed, "db").image_id not in (image, server)


def test_they_stay_until_all_stands(closed):
    """An apply that fails has not brought back anything for good."""
    image = stored(closed)["db[0]"]
    set_schedule(closed, None)
    closed.speak("db", "made", exit_code=1)
    (task,) = switched(closed)
    assert task.status == "error"
    assert stored(closed) == {"db[0]": image} and image in closed.world.images
    closed.speak("db", "made")
    shop.apply(closed, shop.shop())
    assert shop.server(closed, "db").image_id == image
    assert stored(closed) == {}


def test_one_that_does_not_fit_is_told(closed):
    set_schedule(closed, None)
    with pytest.raises(Conflict) as caught:
        shop.plan(closed, shop.shop(db={"driver": "docker"}))
    assert caught.value.code == "saved_disk"


def test_another_schedule_says_anew_what_is_kept(closed):
    set_schedule(closed, None)
    set_schedule(closed, {"hours": "08:00-18:00"})
    shop.apply(closed, hours_of())
    assert stored(closed) == {}


def test_a_destroy_ends_it(closed):
    set_schedule(closed, None)
    shop.destroy(closed)
    assert stored(closed) == {}


def test_in_its_hours_nothing_is_to_come_back(built):
    at_work(built, save=["db"])
    switched(built)
    set_schedule(built, None)
    assert not record(built).data.get("closed_save")
