# SPDX-License-Identifier: Apache-2.0
"""Images of instances belong to an environment: who has them, and who does not."""

import pytest

from nova_multi.domain.errors import Conflict, Forbidden, Invalid, NameTaken, NotFound
from nova_multi.domain.image import ImageType
from nova_multi.domain.permissions import Permissions
from nova_multi.provision.service import Caller, Query, Scope
from tests.unit.provision import shop
from tests.unit.provision.callers import member_of, names
from tests.unit.provision.conftest import ADMIN, NOWHERE

OWNER_ONLY = Permissions("rwx------")


@pytest.fixture
def ready(stage):
    """Two environments of one partition; an instance and its image in the first."""
    stage.ready().environment("other")
    stage.instance()
    golden(stage)
    return stage


def golden(stage, caller=ADMIN, **fields):
    wanted = {"name": "golden", "instance": "web", **fields}
    create = stage.service.images.create
    task = stage.done(create(caller, wanted, Scope(environment="dev")))
    assert task.status == "created", task.history[-1].message


def made_of(stage, image, environment, caller):
    """Have an instance made of an image."""
    provisioners = {each.name for each in stage.store.list_records("provisioner")}
    if f"of-{image}" not in provisioners:
        fields = {"name": f"of-{image}", "image": image}
        stage.service.provisioners.create(ADMIN, fields, Scope("dev_co"))
    fields = {
        "name": f"new-{environment}",
        "environment": environment,
        "provisioner": f"of-{image}",
    }
    return stage.done(stage.service.instances.create(caller, fields, NOWHERE))


def test_other_environments_have_nothing_of_it(ready):
    images, stranger = ready.service.images, member_of(ready, "other", "user-o")
    assert "golden" not in names(images.list(stranger, Query()))
    kept = ready.store.list_records("image", name="golden")[0]
    for name in ("golden", kept.uuid, kept.openstack_id):
        for scope in (NOWHERE, Scope("dev_co"), Scope(environment="other")):
            for call in (
                lambda name=name, scope=scope: images.show(stranger, name, scope),
                lambda name=name, scope=scope: images.delete(stranger, name, scope),
                lambda name=name, scope=scope: images.change(
                    stranger, name, {"permissions": Permissions()}, scope
                ),
            ):
                with pytest.raises(NotFound):
                    call()
    with pytest.raises(Invalid, match="no image golden"):
        made_of(ready, "golden", "other", stranger)
    with pytest.raises(Invalid, match="no image golden"):
        fields = {"name": "golden", "type": ImageType.DISK}
        images.create(stranger, fields, Scope(environment="other"))


def test_its_own_environment_uses_it(ready):
    images, member = ready.service.images, member_of(ready)
    assert "golden" in names(images.list(member, Query()))
    assert images.show(member, "golden", NOWHERE).status == "active"
    task = made_of(ready, "golden", "dev", member)
    assert task.status == "created", task.history[-1].message
    image = ready.store.list_records("image", name="golden")[0].openstack_id
    (instance,) = ready.store.list_records("instance", name="new-dev")
    assert ready.world.servers[instance.openstack_id].image_id == image
    # The partition's own members see it, as they see the instance.
    partition = ready.service.partitions.show(ADMIN, "dev_co", NOWHERE)
    above = Caller("user-p", partition.uuid, member.roles)
    assert images.show(above, "golden", NOWHERE).name == "golden"
    assert ready.done(images.delete(member, "golden", NOWHERE)).status == "deleted"


def test_permissions_hold_in_its_environment(stage):
    stage.ready()
    owner, mate = member_of(stage), member_of(stage, user="user-z")
    stage.instance()
    golden(stage, owner, permissions=OWNER_ONLY)
    with pytest.raises(NotFound):
        stage.service.images.show(mate, "golden", NOWHERE)
    # Neither by its name in Glance, nor under another record.
    with pytest.raises(Invalid, match="no image golden"):
        made_of(stage, "golden", "dev", mate)
    fields = {"name": "golden", "type": ImageType.DISK}
    for caller, error in ((mate, Invalid), (owner, NameTaken)):
        with pytest.raises(error):
            stage.service.images.create(caller, fields, NOWHERE)
    stage.service.images.change(
        owner, "golden", {"permissions": Permissions("rwxr--r--")}, NOWHERE
    )
    with pytest.raises(Forbidden, match="image golden"):
        made_of(stage, "golden", "dev", mate)
    assert made_of(stage, "golden", "dev", owner).status == "created"


def test_the_nearest_of_a_name(ready):
    """The environment's own goes before the partition's."""
    ready.world.add_image("golden")
    fields = {"name": "golden", "type": ImageType.DISK}
    ready.service.images.create(ADMIN, fields, Scope("dev_co"))
    (own,) = (
        each.openstack_id
        for each in ready.store.list_records("image", name="golden")
        if not each.data.get("adopted")
    )
    for environment in ("dev", "other"):
        task = made_of(ready, "golden", environment, ADMIN)
        assert task.status == "created", task.history[-1].message
        (new,) = ready.store.list_records("instance", name=f"new-{environment}")
        used = ready.world.servers[new.openstack_id].image_id
        assert (used == own) == (environment == "dev")


def test_an_environment_with_one_is_not_deleted(ready):
    task = ready.done(ready.service.instances.delete(ADMIN, "web", NOWHERE))
    assert task.status == "deleted"
    with pytest.raises(Conflict, match="dev has images: golden") as caught:
        ready.service.environments.delete(ADMIN, "dev", NOWHERE)
    assert caught.value.code == "not_empty"
    ready.done(ready.service.images.delete(ADMIN, "golden", NOWHERE))
    task = ready.done(ready.service.environments.delete(ADMIN, "dev", NOWHERE))
    assert task.status == "deleted"


def test_definitions_leave_it_alone(built):
    """It is none of theirs, in the same environment though it be."""
    shop.apply(built)
    fields = {"name": "golden", "instance": "db"}
    scope = Scope(environment="shop")
    assert (
        built.done(built.service.images.create(ADMIN, fields, scope)).status
        == "created"
    )
    assert shop.plan(built).is_empty
    assert built.done(shop.accept(built, shop.shop(web={"count": 1}))).status == "done"
    destroy = built.service.environments.destroy
    task = built.done(destroy(ADMIN, "shop", {}, NOWHERE))
    (image,) = built.store.list_records("image", name="golden")
    assert image.openstack_id in built.world.images
    # It can't be left behind without a project.
    assert task.status == "error"
    assert any(
        "images: golden" in each.message
        for one in built.store.tasks(None, type="delete_environment")
        for each in built.store.task(one.uuid).history
    )
    built.done(built.service.images.delete(ADMIN, "golden", NOWHERE))
    task = built.done(destroy(ADMIN, "shop", {}, NOWHERE))
    assert task.status == "deleted", task.history[-1].message
