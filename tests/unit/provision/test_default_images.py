# SPDX-License-Identifier: Apache-2.0
"""What instances are made of that name a driver, and no image."""

import pytest

from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid
from nova_multi.domain.permissions import Permissions
from nova_multi.provision.default_images import TAG
from nova_multi.provision.store import Record
from tests.unit.provision import shop
from tests.unit.provision.callers import member_of
from tests.unit.provision.conftest import ADMIN, NOWHERE

BARE = {
    "name": "shop",
    "partition": "dev_co",
    "instances": {"a": {"driver": "docker"}, "b": {"driver": "lxd"}},
}


def image_of(stage, name):
    return stage.world.images[shop.server(stage, name).image_id].name


def test_the_operators_option(make_stage):
    images = {Driver.DOCKER: "debian-docker", Driver.LXD: "debian-lxd"}
    stage = shop.furnish(make_stage(images=images))
    stage.world.add_image("other", "docker", tags=(TAG,))
    shop.apply(stage, BARE)
    assert image_of(stage, "a") == "debian-docker"
    assert image_of(stage, "b") == "debian-lxd"
    assert shop.plan(stage, BARE).is_empty


def test_another_default_later_changes_nothing_that_stands(make_stage):
    images = {Driver.DOCKER: "debian-docker", Driver.LXD: "debian-lxd"}
    stage = shop.furnish(make_stage(images=images))
    shop.apply(stage, BARE)
    images[Driver.DOCKER] = "alpine-docker"
    assert shop.plan(stage, BARE).is_empty
    # What is made from now on is made of it.
    more = BARE | {"instances": {**BARE["instances"], "c": {"driver": "docker"}}}
    assert shop.steps(shop.plan(stage, more)) == ["create c"]
    shop.apply(stage, more)
    assert image_of(stage, "c") == "alpine-docker"


def test_the_newest_public_image_with_the_tag(built):
    found = built.world.add_image("newest", "docker", tags=("x", TAG))
    built.world.add_image("older", "docker", tags=(TAG,))
    built.world.add_image("b", "lxd", tags=(TAG,))
    shop.apply(built, BARE)
    assert shop.server(built, "a").image_id == found.id


@pytest.mark.parametrize(
    "fields",
    [
        {"tags": (TAG,), "visibility": "private", "owner": "p-else"},
        {"tags": (TAG,), "visibility": "shared"},
        {"tags": (f"{TAG}-not",)},
        {"driver": "lxd", "tags": (TAG,)},
        {"tags": (TAG,), "status": "queued"},
    ],
)
def test_what_is_no_default(built, fields):
    fields = {"driver": "docker", **fields}
    status = fields.pop("status", "active")
    image = built.world.add_image("tagged", **fields)
    object.__setattr__(image, "status", status)
    definition = BARE | {"instances": {"a": {"driver": "docker"}}}
    with pytest.raises(Invalid, match="docker has no default image") as caught:
        shop.plan(built, definition)
    assert caught.value.field == "instances.a.image"
    assert caught.value.code == "no_default_image"
    assert "[provision] docker_image" in caught.value.message
    assert not built.world.servers


def test_permissions_hide_a_default(built):
    image = built.world.add_image("tagged", "docker", tags=(TAG,))
    built.environment("shop")
    now = built.clock()
    (partition,) = built.store.list_records("partition")
    record = Record(
        "image",
        "u-image",
        "tagged",
        now,
        now,
        scope=partition.uuid,
        openstack_id=image.id,
        data={"adopted": True},
        owner_id="somebody",
        permissions=Permissions("rwx------"),
    )
    built.store.add_record(record)
    definition = BARE | {"instances": {"a": {"driver": "docker"}}}
    with pytest.raises(Invalid, match="no default image"):
        shop.plan(built, definition, member_of(built, "shop"))


@pytest.mark.parametrize(
    ("name", "why"), [("nothing", "no image nothing"), ("debian-lxd", "it is for lxd")]
)
def test_an_option_that_is_of_no_use(make_stage, name, why):
    stage = shop.furnish(make_stage(images={Driver.DOCKER: name}))
    stage.world.add_image("tagged", "docker", tags=(TAG,))
    with pytest.raises(Invalid, match=f"docker's default image, {name}.*{why}"):
        shop.plan(stage, BARE | {"instances": {"a": {"driver": "docker"}}})


def test_neither_image_nor_driver(built):
    with pytest.raises(Invalid, match="nor does either name a driver") as caught:
        shop.plan(built, BARE | {"instances": {"a": {}}})
    assert caught.value.field == "instances.a.image"


def test_a_provisioners_word_goes_before(make_stage):
    stage = shop.furnish(make_stage(images={Driver.DOCKER: "debian-docker"}))
    definition = BARE | {
        "provisioners": {
            "one": {"image": "alpine-docker"},
            "two": {"driver": "docker"},
        },
        "instances": {"a": {"provisioner": "one"}, "b": {"provisioner": "two"}},
    }
    shop.apply(stage, definition)
    assert image_of(stage, "a") == "alpine-docker"
    assert image_of(stage, "b") == "debian-docker"


def test_without_a_file(make_stage):
    """One instance, of a provisioner that names no image."""
    stage = make_stage(images={Driver.DOCKER: "alpine-docker"}).ready()
    stage.provisioner("bare", image="")
    stage.instance("web", provisioner="bare", driver=Driver.DOCKER)
    assert image_of(stage, "web") == "alpine-docker"
    with pytest.raises(Invalid, match="no driver is asked for"):
        stage.accept("other", provisioner="bare")
    with pytest.raises(Invalid, match="libvirt has no default image"):
        stage.accept("other", provisioner="bare", driver=Driver.LIBVIRT)


def test_in_one_project_of_somebodys_cloud(make_stage):
    """There is nobody else whose images it could be."""
    stage = make_stage(single=True)
    stage.partition("dev_co")
    stage.world.add_image(
        "mine", "docker", tags=(TAG,), visibility="private", owner="p-single"
    )
    definition = BARE | {"instances": {"a": {"driver": "docker"}}}
    assert shop.steps(shop.plan(stage, definition))[-1] == "create a"


def test_free_ports_of_several(built):
    """Each gets one of its own, and keeps it."""
    definition = shop.shop()
    definition["outputs"] = {
        "first": "${instances.web[0].published[80]}",
        "second": "${instances.web[1].published[80]}",
    }
    shop.apply(built, definition)
    outputs = built.service.environments.outputs(ADMIN, "shop", NOWHERE)
    ports = {int(each.rpartition(":")[2]) for each in outputs.values()}
    assert len(ports) == 2
    assert ports <= set(built.tools.settings.ports)
    assert shop.plan(built, definition).is_empty
    shop.apply(built, definition)
    assert built.service.environments.outputs(ADMIN, "shop", NOWHERE) == outputs
