# SPDX-License-Identifier: Apache-2.0
"""What can be asked of environments by their definitions, and what is refused."""

import pytest

from nova_multi.cloud import values
from nova_multi.domain.errors import Conflict, Invalid, NotFound, Unsupported
from nova_multi.provision.store import Record
from tests.unit.provision import shop
from tests.unit.provision.conftest import ADMIN, NOWHERE


def test_defining_first_and_applying_later(built):
    built.environment("shop")
    environments = built.service.environments
    with pytest.raises(Conflict) as caught:
        environments.apply(ADMIN, "shop", {}, NOWHERE)
    assert caught.value.code == "no_definition"
    fields = {"definition": shop.secret_shop(), "values": {"given": "a"}}
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
