# SPDX-License-Identifier: Apache-2.0
"""What is refused at once, and what a task that failed has left."""

import contextlib

import pytest

from nova_multi.cloud import values
from nova_multi.cloud.marks import Mark
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unsupported,
)
from nova_multi.domain.image import ImageType
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.publish import Publish
from nova_multi.domain.task import TaskStatus
from tests.unit.provision.callers import DEBIAN_12, STRANGER, member_of, private
from tests.unit.provision.conftest import ADMIN, NOWHERE

# -- what is refused at once


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"provisioner": None}, "provisioner"),
        ({"memory_mb": 8}, "memory"),
        ({"driver": Driver.LXD}, "driver"),
        ({"networks": ("nowhere",)}, "networks"),
        ({"name": "x" * 62, "count": 20}, "name"),
        ({"publish": ["80:80"], "count": 2}, "publish"),
    ],
)
def test_bad_instances(stage, fields, field):
    stage.ready()
    with pytest.raises(Invalid) as caught:
        stage.accept(**fields)
    assert caught.value.field == field
    assert stage.store.list_records("instance") == []
    assert stage.store.next_due() is None


def test_an_unknown_image(stage):
    stage.ready()
    stage.provisioner("odd", image="nothing")
    with pytest.raises(Invalid, match="no image nothing"):
        stage.accept(provisioner="odd")


def test_an_image_by_its_system_is_the_newest_for_the_driver(stage):
    stage.ready()
    newest = {
        driver: stage.world.add_image(f"{driver}-new", driver, DEBIAN_12)
        for driver in ("docker", "lxd", "qemu")
    }
    stage.world.add_image("lxd-old", "lxd", DEBIAN_12)
    stage.world.add_image("lxd-eleven", "lxd", {**DEBIAN_12, "os_version": "11"})
    stage.provisioner("site12", image="debian-12")
    for driver, made_for in zip(Driver, newest, strict=True):
        name = f"web-{driver}"
        stage.instance(name, provisioner="site12", driver=driver)
        (record,) = (
            each for each in stage.store.list_records("instance") if each.name == name
        )
        assert record.data["image"] == newest[made_for].id


def test_an_image_by_its_system_needs_the_driver_where_there_are_several(stage):
    stage.ready()
    for driver in ("docker", "lxd"):
        stage.world.add_image(driver, driver, DEBIAN_12)
    stage.provisioner("site12", image="debian-12")
    with pytest.raises(Invalid, match="for docker, lxd: say which") as caught:
        stage.accept(provisioner="site12")
    assert caught.value.field == "driver"
    with pytest.raises(Invalid, match="no image debian-12"):
        stage.accept(provisioner="site12", driver=Driver.LIBVIRT)


def test_an_images_name_goes_before_its_system(stage):
    stage.ready()
    stage.world.add_image("lxd", "lxd", DEBIAN_12)
    named = stage.world.add_image("debian-12", "docker")
    stage.provisioner("site12", image="debian-12")
    stage.instance("web", provisioner="site12")
    (record,) = stage.store.list_records("instance")
    assert record.data["image"] == named.id


def test_images_of_others_are_not_used(stage):
    stage.ready()
    image = private(stage)
    for number, name in enumerate(("theirs", image.id, "debian-12")):
        stage.provisioner(f"odd{number}", image=name)
        # Where there is no project yet, the administrator's account looks.
        fields = {"name": f"young{number}", "partition": "dev_co"}
        stage.service.environments.create(ADMIN, fields, NOWHERE)
        for environment in ("dev", f"young{number}"):
            with pytest.raises(Invalid, match="no image"):
                stage.accept(provisioner=f"odd{number}", environment=environment)


def test_images_that_permissions_hide_are_not_used(stage):
    stage.ready()
    owner, member = member_of(stage, user="user-o"), member_of(stage)
    image = stage.world.add_image("secret", owner=owner.project_id)
    other = stage.world.add_image("secret-12", properties=DEBIAN_12)
    for name in ("secret", "secret-12"):
        fields = {
            "name": name,
            "type": ImageType.DISK,
            "permissions": Permissions("rwx------"),
        }
        stage.service.images.create(owner, fields, NOWHERE)

    def boot(caller, number, name):
        fields = {"name": f"p{number}", "image": name}
        stage.service.provisioners.create(caller, fields, NOWHERE)
        fields = {"name": f"web{number}", "provisioner": f"p{number}"}
        return stage.service.instances.create(caller, fields, NOWHERE)

    for number, name in enumerate(("secret", image.id, other.id, "debian-12")):
        with pytest.raises(Invalid, match="no image"):
            boot(member, number, name)
    boot(owner, 10, "secret")
    # Nor is one taken up again that is called otherwise here.
    stage.service.images.change(owner, "secret", {"name": "hidden"}, NOWHERE)
    with pytest.raises(Invalid, match="there is no image"):
        fields = {"name": "secret", "type": ImageType.DISK}
        stage.service.images.create(member, fields, NOWHERE)
    # What is taken up and hidden in one partition is there for all others.
    stage.partition("theirs")
    stage.environment("far", partition="theirs")
    boot(member_of(stage, "far"), 11, "secret")
    # An older one of the same system is not kept from anybody.
    stage.world.add_image("plain-12", properties=DEBIAN_12)
    boot(member, 12, "debian-12")


def test_images_of_others_are_not_told_of(stage):
    image = private(stage)
    for name in ("theirs", image.id, "nothing"):
        with pytest.raises(NotFound, match=f"no image .{name}"):
            stage.service.images.show(STRANGER, name, NOWHERE)


def test_who_is_in_no_partition_makes_no_images_for_all(stage, from_nowhere):
    image = private(stage)
    for fields in (
        {"name": "theirs", "type": ImageType.DISK},
        {"name": image.id, "type": ImageType.DISK},
        {"name": "new", "type": ImageType.DISK, "download_url": "https://e.org/i"},
    ):
        with pytest.raises(Forbidden, match="partition|id"):
            stage.service.images.create(STRANGER, fields, NOWHERE)
    assert stage.store.list_records("image") == []


def test_unknown_names(stage):
    stage.ready()
    with pytest.raises(NotFound):
        stage.accept(environment="nowhere")
    with pytest.raises(NotFound):
        stage.accept(provisioner="nobody")
    with pytest.raises(NotFound):
        stage.service.environments.create(
            ADMIN, {"name": "x", "partition": "none"}, NOWHERE
        )
    with pytest.raises(Invalid) as caught:
        stage.service.environments.create(
            ADMIN, {"name": "x", "partition": "dev_co", "users": ("nobody",)}, NOWHERE
        )
    assert caught.value.field == "users"


def test_a_script_that_is_too_large(stage):
    with pytest.raises(Invalid) as caught:
        stage.provisioner("big", script="#" * 60_000)
    assert caught.value.code == "user_data_too_large"
    assert stage.store.list_records("provisioner") == []


def test_provisioners_in_a_circle(stage):
    stage.provisioner("a")
    stage.provisioner("b", depends=("a",))
    with pytest.raises(Invalid, match="circle"):
        stage.service.provisioners.change(ADMIN, "a", {"depends": ("b",)}, NOWHERE)
    assert stage.service.provisioners.show(ADMIN, "a", NOWHERE).depends == ()


def test_what_is_being_made_is_not_used_yet(stage):
    stage.ready()
    stage.accept()
    instances = stage.service.instances
    for ask in (instances.start, instances.stop, instances.restart):
        with pytest.raises(Conflict, match="being made"):
            ask(ADMIN, "web", NOWHERE)
    with pytest.raises(Conflict):
        instances.clone(ADMIN, "web", {"name": "b"}, NOWHERE)


def test_a_second_delete_is_the_first(stage):
    stage.ready()
    stage.instance()
    first = stage.service.instances.delete(ADMIN, "web", NOWHERE)
    assert stage.service.instances.delete(ADMIN, "web", NOWHERE) == first
    with pytest.raises(Conflict, match="being deleted"):
        stage.service.instances.start(ADMIN, "web", NOWHERE)


def ask_twice_at_once(stage, monkeypatch, ask):
    """Ask, and once more when everything has been looked at, but nothing written."""
    accept_on, inner = stage.store.accept_on, []

    def late(*given):
        monkeypatch.setattr(stage.store, "accept_on", accept_on)
        inner.append(ask())
        return accept_on(*given)

    monkeypatch.setattr(stage.store, "accept_on", late)
    return ask(), inner[0]


@pytest.mark.parametrize("kind", ["environment", "partition", "image"])
def test_a_second_delete_of_anything_is_the_first(
    stage, from_nowhere, monkeypatch, kind
):
    stage.partition("p")
    if kind != "partition":
        stage.environment("p", partition="p")
    image = {"name": "p", "type": ImageType.DISK, "download_url": "https://e.org/i"}
    if kind == "image":
        stage.done(stage.service.images.create(ADMIN, image, NOWHERE))
    nouns = getattr(stage.service, f"{kind}s")
    one, other = ask_twice_at_once(
        stage, monkeypatch, lambda: nouns.delete(ADMIN, "p", NOWHERE)
    )
    assert one == other == nouns.delete(ADMIN, "p", NOWHERE)
    assert stage.done(one).status == "deleted"
    assert stage.store.list_records(kind) == []


def test_a_delete_that_failed_is_tried_again(stage):
    stage.ready()

    def hook(name, when):
        if name == "networks.delete_network" and when == "before":
            raise Conflict("not now")

    stage.world.hook = hook
    first = stage.service.environments.delete(ADMIN, "dev", NOWHERE)
    assert stage.done(first).status == "error"
    assert stage.service.environments.show(ADMIN, "dev", NOWHERE).state == "error"
    stage.world.hook = None
    second = stage.service.environments.delete(ADMIN, "dev", NOWHERE)
    assert second != first
    assert stage.done(second).status == "deleted"


def test_a_partition_that_is_half_gone_stays_so(stage):
    stage.partition()
    for failing in ("hosts.aggregates", "servers.servers"):

        def hook(name, when, failing=failing):
            if name == failing and when == "before":
                raise Conflict("not now")

        stage.world.hook = hook
        task = stage.done(stage.service.partitions.delete(ADMIN, "dev_co", NOWHERE))
        assert task.status == "error" and "not now" in task.history[-1].message
        (record,) = stage.store.list_records("partition")
        assert record.data["state"] == "error"
    stage.world.hook = None
    task = stage.done(stage.service.partitions.delete(ADMIN, "dev_co", NOWHERE))
    assert task.status == "deleted"


def test_only_a_ready_environment_is_changed(stage):
    stage.partition()
    environments = stage.service.environments
    fields = {"name": "dev", "partition": "dev_co"}
    making = environments.create(ADMIN, fields, NOWHERE)
    with pytest.raises(Conflict, match="being made"):
        environments.change(ADMIN, "dev", {"description": "d"}, NOWHERE)
    stage.done(making)
    environments.change(ADMIN, "dev", {"description": "d"}, NOWHERE)
    deleting = environments.delete(ADMIN, "dev", NOWHERE)
    for fields in ({"description": "d"}, {"users": ()}):
        with pytest.raises(Conflict, match="in state deleting"):
            environments.change(ADMIN, "dev", fields, NOWHERE)
    assert stage.done(deleting).status == "deleted"


def test_ports_are_not_published_by_two_at_once(stage, monkeypatch):
    stage.ready()
    stage.instance(publish=["8080:80"])
    fields = {"publish": (Publish(8081, 80),)}

    def ask():
        return stage.service.instances.change(ADMIN, "web", fields, NOWHERE)

    first = ask()
    with pytest.raises(Conflict, match="wait for task"):
        ask()
    assert stage.done(first).status == "done"
    with pytest.raises(Conflict, match="by another request"):
        ask_twice_at_once(stage, monkeypatch, ask)
    stage.work()
    power = stage.service.instances.restart(ADMIN, "web", NOWHERE)
    with pytest.raises(Conflict, match="wait for task"):
        ask()
    stage.done(power)
    deleting = stage.service.instances.delete(ADMIN, "web", NOWHERE)
    with pytest.raises(Conflict, match="being deleted"):
        ask()
    assert stage.done(deleting).status == "deleted"


def test_what_is_not_there_yet_says_so(stage):
    stage.ready()
    stage.instance()
    service = stage.service
    asked = [
        lambda: service.instances.execute(ADMIN, "id", (), NOWHERE),
        lambda: service.instances.change(ADMIN, "web", {"memory_mb": 4096}, NOWHERE),
        lambda: service.packages.install(ADMIN, ("a",), (), NOWHERE),
        lambda: service.properties.read(ADMIN, ("a",), (), NOWHERE),
        lambda: service.hosts.create(ADMIN, {"name": "node9"}, NOWHERE),
        lambda: service.hosts.delete(ADMIN, "node1", NOWHERE),
        lambda: service.images.create(
            ADMIN, {"name": "i", "type": ImageType.DISK, "recipe": "r"}, NOWHERE
        ),
    ]
    for ask in asked:
        with pytest.raises(Unsupported):
            ask()


# -- what is being made, or was left by a task that failed


def test_what_is_being_made_is_not_deleted_yet(stage, from_nowhere):
    service = stage.service
    service.partitions.create(ADMIN, {"name": "p"}, NOWHERE)
    with pytest.raises(Conflict, match="partition p is being made"):
        service.partitions.delete(ADMIN, "p", NOWHERE)
    service.environments.create(ADMIN, {"name": "e", "partition": "p"}, NOWHERE)
    with pytest.raises(Conflict, match="environment e is being made"):
        service.environments.delete(ADMIN, "e", NOWHERE)
    fields = {"name": "i", "type": ImageType.DISK, "download_url": "https://e.org/i"}
    service.images.create(ADMIN, fields, NOWHERE)
    with pytest.raises(Conflict, match="image i is being made"):
        service.images.delete(ADMIN, "i", NOWHERE)


def left_behind(stage, kind):
    """A record of something whose task has failed and could not take it back."""
    (record,) = stage.store.list_records(kind)
    (claimed,) = stage.store.claim("w", 1, 90)
    stage.store.finish(claimed.task.uuid, claimed.fencing, TaskStatus.ERROR, "lost")
    return record


def test_what_a_failed_task_has_left_can_be_deleted(stage, from_nowhere):
    service = stage.service
    service.partitions.create(ADMIN, {"name": "p"}, NOWHERE)
    left_behind(stage, "partition")
    assert stage.done(service.partitions.delete(ADMIN, "p", NOWHERE)).status == (
        "deleted"
    )
    stage.partition("p")
    service.environments.create(ADMIN, {"name": "e", "partition": "p"}, NOWHERE)
    left_behind(stage, "environment")
    assert stage.done(service.environments.delete(ADMIN, "e", NOWHERE)).status == (
        "deleted"
    )
    fields = {"name": "i", "type": ImageType.DISK, "download_url": "https://e.org/i"}
    service.images.create(ADMIN, fields, NOWHERE)
    left_behind(stage, "image")
    assert stage.done(service.images.delete(ADMIN, "i", NOWHERE)).status == "deleted"
    for kind in ("environment", "image"):
        assert stage.store.list_records(kind) == []


def test_nobody_waits_for_what_will_never_be_ready(stage):
    stage.partition()
    fields = {"name": "e", "partition": "dev_co"}
    stage.service.environments.create(ADMIN, fields, NOWHERE)
    left_behind(stage, "environment")
    stage.provisioner()
    task = stage.done(stage.accept(environment="e"))
    assert task.status == "error"
    assert "environment e is in state creating" in task.history[-1].message


def test_servers_that_were_made_by_other_ways_keep_a_project(stage):
    stage.ready()
    environment = stage.service.environments.show(ADMIN, "dev", NOWHERE)
    flavor = stage.tools.clouds.admin().flavors.find_or_make(1, 64, 1)
    (image, *_) = stage.world.images
    foreign = values.NewServer("by-hand", image, flavor.id, ())
    project = stage.tools.clouds.project(environment.uuid)
    server = project.servers.create(foreign, Mark("somebody"))
    image = stage.world.add_image("disk-by-hand", owner=environment.uuid)
    before = stage.world.left()
    task = stage.done(stage.service.environments.delete(ADMIN, "dev", NOWHERE))
    assert task.status == "error"
    told = "its project has servers: by-hand; images: disk-by-hand"
    assert told in task.history[-1].message
    assert stage.world.left() == before
    del stage.world.images[image.id]
    # It can be used as before, and deleted once they are gone.
    stage.instance()
    stage.done(stage.service.instances.delete(ADMIN, "web", NOWHERE))
    project.servers.delete(server)
    with contextlib.suppress(NotFound):
        for _ in range(5):
            project.servers.server(server)
    task = stage.done(stage.service.environments.delete(ADMIN, "dev", NOWHERE))
    assert task.status == "deleted", task.history[-1].message


def test_a_change_that_nova_refuses_is_taken_back(stage):
    stage.ready()
    stage.instance(description="old")

    def hook(name, when):
        if name == "servers.rename" and when == "before":
            raise Conflict("not now")

    stage.world.hook = hook
    fields = {"name": "db", "description": "new", "tags": ("t",)}
    with pytest.raises(Conflict, match="not now"):
        stage.service.instances.change(ADMIN, "web", fields, NOWHERE)
    shown = stage.service.instances.show(ADMIN, "web", NOWHERE)
    assert (shown.description, shown.tags) == ("old", ())


def test_a_host_is_changed_whole_or_not_at_all(stage):
    stage.ready()
    stage.instance()
    stage.partition("second")
    for partition, error in (("nowhere", NotFound), ("second", Conflict)):
        fields = {"os": "debian", "enabled": False, "partition": partition}
        with pytest.raises(error):
            stage.service.hosts.change(ADMIN, "node1", fields, NOWHERE)
    host = stage.service.hosts.show(ADMIN, "node1", NOWHERE)
    assert (host.os, host.enabled, host.partition) == ("", True, "")
