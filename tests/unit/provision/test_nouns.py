# SPDX-License-Identifier: Apache-2.0
"""Who sees what, what is refused, pages, and how many requests a list costs."""

import contextlib
import io
import threading

import pytest

from nova_multi.cloud import values
from nova_multi.cloud.marks import Mark
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import (
    Ambiguous,
    Conflict,
    Forbidden,
    Invalid,
    NameTaken,
    NotFound,
    Unsupported,
)
from nova_multi.domain.host import HostType
from nova_multi.domain.image import ImageType
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.publish import Publish
from nova_multi.domain.task import TaskStatus
from nova_multi.domain.user import UserType
from nova_multi.provision.provisioning import Provisioning
from nova_multi.provision.service import Caller, Query, Scope, Service, SignedRequest
from nova_multi.provision.store import Record
from tests.fixtures.fake_cloud import MANAGER
from tests.unit.provision.conftest import ADMIN, NOWHERE, START

MEMBER = frozenset({"member"})


def member_of(stage, environment="dev", user="user-m"):
    """A user with a token for an environment's project."""
    found = stage.service.environments.show(ADMIN, environment, NOWHERE)
    return Caller(user, found.uuid, MEMBER)


STRANGER = Caller("user-s", "p-elsewhere", MEMBER)


def names(page):
    return [each.name for each in page.items]


def service_is_complete(provisioning: Provisioning) -> Service:
    return provisioning


# -- who sees what


def test_members_see_their_environment_only(stage):
    stage.ready()
    stage.environment("other")
    stage.instance("web")
    stage.instance("db", environment="other")
    member = member_of(stage)
    assert names(stage.service.environments.list(member, Query())) == ["dev"]
    assert names(stage.service.instances.list(member, Query())) == ["web"]
    with pytest.raises(NotFound):
        stage.service.instances.show(member, "db", NOWHERE)
    with pytest.raises(NotFound):
        stage.service.instances.delete(member, "db", NOWHERE)


def test_members_are_told_the_host_of_their_instances(stage):
    stage.ready()
    stage.instance("web")
    member = member_of(stage)
    (listed,) = stage.service.instances.list(member, Query()).items
    assert listed.host
    assert stage.service.instances.show(member, "web", NOWHERE).host == listed.host


def test_strangers_see_nothing(stage):
    stage.ready()
    stage.instance()
    service = stage.service
    for noun in (
        service.partitions,
        service.environments,
        service.instances,
        service.provisioners,
        service.tasks,
    ):
        assert noun.list(STRANGER, Query()).items == []
    for noun, name in (
        (service.environments, "dev"),
        (service.instances, "web"),
        (service.provisioners, "plain"),
    ):
        with pytest.raises(NotFound):
            noun.show(STRANGER, name, NOWHERE)
    with pytest.raises(NotFound):
        service.environments.create(
            STRANGER, {"name": "mine", "partition": "dev_co"}, NOWHERE
        )
    task = stage.store.tasks(None)[0]
    with pytest.raises(NotFound):
        service.tasks.show(STRANGER, task.uuid, NOWHERE)
    with pytest.raises(NotFound):
        service.tasks.delete(STRANGER, task.uuid)


def test_the_partitions_project_sees_all_its_environments(stage):
    stage.ready()
    stage.environment("other")
    stage.instance("web")
    stage.instance("db", environment="other")
    partition = stage.service.partitions.show(ADMIN, "dev_co", NOWHERE)
    caller = Caller("user-p", partition.uuid, MEMBER)
    assert names(stage.service.instances.list(caller, Query())) == ["db", "web"]


def test_a_name_in_two_environments_is_ambiguous(stage):
    stage.ready()
    stage.environment("other")
    stage.instance("web")
    stage.instance("web", environment="other")
    with pytest.raises(Ambiguous, match="environment"):
        stage.service.instances.show(ADMIN, "web", NOWHERE)
    shown = stage.service.instances.show(ADMIN, "web", Scope(environment="other"))
    assert shown.environment == "other"
    by_id = stage.service.instances.show(ADMIN, shown.uuid, NOWHERE)
    assert by_id.environment == "other"


@pytest.mark.parametrize(
    ("permissions", "may"),
    [
        ("rwxrwx---", "rwx"),
        ("rwxr-x---", "rx"),
        ("rwxr-----", "r"),
        ("rwx---rwx", ""),
        ("---rwx---", "rwx"),
    ],
)
def test_permissions_of_instances(stage, permissions, may):
    stage.ready()
    stage.instance(permissions=Permissions(permissions))
    member = member_of(stage)
    instances = stage.service.instances
    asked = {
        "r": lambda: instances.show(member, "web", NOWHERE),
        "x": lambda: instances.restart(member, "web", NOWHERE),
        "w": lambda: instances.change(member, "web", {"description": "x"}, NOWHERE),
    }
    for action, ask in asked.items():
        if action in may:
            ask()
        else:
            with pytest.raises(NotFound if "r" not in may else Forbidden):
                ask()
    assert bool(instances.list(member, Query()).items) == ("r" in may)


def test_permissions_tell_owners_from_others(stage):
    stage.ready()
    owner, mate = member_of(stage, user="o"), member_of(stage, user="m")
    fields = {
        "name": "mine",
        "image": "debian",
        "permissions": Permissions("rwx------"),
    }
    stage.service.provisioners.create(owner, fields, NOWHERE)
    assert stage.service.provisioners.show(owner, "mine", NOWHERE).name == "mine"
    with pytest.raises(NotFound):
        stage.service.provisioners.show(mate, "mine", NOWHERE)


def test_provisioners_are_the_partitions(stage):
    stage.ready()
    stage.environment("other")
    one, two = member_of(stage), member_of(stage, "other", "user-2")
    stage.service.provisioners.create(one, {"name": "p", "image": "debian"}, NOWHERE)
    assert stage.service.provisioners.show(two, "p", NOWHERE).image == "debian"
    with pytest.raises(NameTaken):
        stage.service.provisioners.create(two, {"name": "p"}, NOWHERE)


# -- lists


def test_pages(stage):
    for number in range(5):
        stage.provisioner(f"p{number}")
    service = stage.service.provisioners
    first = service.list(ADMIN, Query(limit=2))
    second = service.list(ADMIN, Query(limit=2, marker=first.next_marker))
    third = service.list(ADMIN, Query(limit=2, marker=second.next_marker))
    assert [names(each) for each in (first, second, third)] == [
        ["p0", "p1"],
        ["p2", "p3"],
        ["p4"],
    ]
    assert third.next_marker is None
    with pytest.raises(Invalid) as caught:
        service.list(ADMIN, Query(marker="none"))
    assert caught.value.field == "marker"


def test_filters(stage):
    stage.provisioner("one", tag="a")
    stage.provisioner("two", tag="b", driver=Driver.LXD)
    service = stage.service.provisioners
    assert names(service.list(ADMIN, Query({"tag": "b"}))) == ["two"]
    assert names(service.list(ADMIN, Query({"driver": "lxd"}))) == ["two"]
    assert names(service.list(ADMIN, Query({"tag": "b", "name": "one"}))) == []
    with pytest.raises(Invalid) as caught:
        service.list(ADMIN, Query({"colour": "red"}))
    assert caught.value.field == "colour"


def test_a_list_of_many_costs_as_much_as_one_of_few(stage):
    stage.ready()
    environment = stage.store.list_records("environment")[0]

    def fill(begin, end):
        for number in range(begin, end):
            server_id = f"s{number}"
            stage.world.servers[server_id] = values.Server(
                id=server_id,
                name=f"web{number}",
                status="ACTIVE",
                project_id=environment.openstack_id,
                user_id="u",
                flavor=values.Flavor("f", "f", 1, 512, 1),
            )
            stage.store.add_record(
                Record(
                    "instance",
                    f"u{number}",
                    f"web{number}",
                    START,
                    START,
                    scope=environment.uuid,
                    openstack_id=server_id,
                )
            )

    def cost():
        stage.world.calls.clear()
        found = stage.service.instances.list(ADMIN, Query(limit=1000))
        return len(found.items), len(stage.world.calls)

    fill(0, 2)
    assert cost() == (2, 1)
    fill(2, 300)
    assert cost() == (300, 1)


def test_tasks_are_listed(stage):
    stage.ready()
    first = stage.instance("one")
    second = stage.instance("two")
    service = stage.service.tasks
    page = service.list(ADMIN, Query(limit=1))
    assert [each.uuid for each in page.items] == [second.uuid]
    page = service.list(ADMIN, Query(limit=1, marker=page.next_marker))
    assert [each.uuid for each in page.items] == [first.uuid]
    found = service.list(ADMIN, Query({"object_uuid": first.object_uuid}))
    assert [each.uuid for each in found.items] == [first.uuid]
    found = service.list(ADMIN, Query({"status": "received"}))
    assert found.items == []
    service.delete(ADMIN, first.uuid)
    with pytest.raises(NotFound):
        service.show(ADMIN, first.uuid, NOWHERE)
    with pytest.raises(Invalid):
        service.list(ADMIN, Query({"colour": "red"}))
    with pytest.raises(Invalid):
        service.list(ADMIN, Query({"status": "red"}))


def an_instance(stage, owner, name, permissions):
    """Ask for an instance of a member's own."""
    plain = {"name": f"of-{name}", "image": "debian"}
    stage.service.provisioners.create(owner, plain, NOWHERE)
    fields = {"name": name, "provisioner": plain["name"], "permissions": permissions}
    return stage.service.instances.create(owner, fields, NOWHERE)


@pytest.mark.parametrize(
    ("permissions", "may"), [("rwxrwx---", "rw"), ("rwxr-x---", "r"), ("rwx------", "")]
)
def test_permissions_of_instances_are_those_of_their_tasks(stage, permissions, may):
    stage.ready()
    member, owner = member_of(stage), member_of(stage, user="user-o")
    task = stage.done(an_instance(stage, owner, "web", Permissions(permissions)))
    tasks = stage.service.tasks
    listed = tasks.list(member, Query({"object_uuid": task.object_uuid})).items
    assert [each.uuid for each in listed] == ([task.uuid] if "r" in may else [])
    if "r" in may:
        assert tasks.show(member, task.uuid, NOWHERE).uuid == task.uuid
    else:
        with pytest.raises(NotFound):
            tasks.show(member, task.uuid, NOWHERE)
    if "w" in may:
        tasks.delete(member, task.uuid)
    else:
        with pytest.raises(Forbidden if may else NotFound):
            tasks.delete(member, task.uuid)
        assert stage.store.task(task.uuid)


def test_tasks_of_what_is_gone_are_the_askers(stage):
    stage.ready()
    asker, mate = member_of(stage, user="a"), member_of(stage, user="m")
    stage.instance()
    gone = stage.done(stage.service.instances.delete(asker, "web", NOWHERE))
    tasks = stage.service.tasks
    assert tasks.show(ADMIN, gone.uuid, NOWHERE)
    assert gone.uuid in [each.uuid for each in tasks.list(asker, Query()).items]
    with pytest.raises(NotFound):
        tasks.show(mate, gone.uuid, NOWHERE)
    tasks.delete(asker, gone.uuid)


def test_a_page_is_filled_with_what_may_be_seen(stage):
    stage.ready()
    member, mate = member_of(stage), member_of(stage, user="user-o")
    private, public = Permissions("rwx------"), Permissions()
    wanted = []
    for number, permissions in enumerate([public, private, private, public, private]):
        accepted = an_instance(stage, mate, f"i{number}", permissions)
        if permissions == public:
            wanted.append(accepted.task_uuid)
    stage.work()
    tasks = stage.service.tasks
    first = tasks.list(member, Query(limit=1))
    second = tasks.list(member, Query(limit=1, marker=first.next_marker))
    found = [each.uuid for page in (first, second) for each in page.items]
    assert found == wanted[::-1]
    assert second.next_marker is None


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


DEBIAN_12 = {"os_distro": "debian", "os_version": "12"}


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


def private(stage):
    """An image of somebody else."""
    return stage.world.add_image(
        "theirs", properties=DEBIAN_12, owner="p-else", visibility="private"
    )


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


def test_dependencies_stand_first(stage):
    stage.ready()
    stage.provisioner("shop", depends=("plain",))
    with pytest.raises(Conflict, match="depends on plain"):
        stage.accept(provisioner="shop")
    stage.instance("base")
    assert stage.instance(provisioner="shop").status == "created"


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
        lambda: service.environments.apply(ADMIN, "dev", NOWHERE),
        lambda: service.environments.plan(ADMIN, {}, NOWHERE),
        lambda: service.instances.execute(ADMIN, "id", (), NOWHERE),
        lambda: service.instances.change(ADMIN, "web", {"memory_mb": 4096}, NOWHERE),
        lambda: service.packages.install(ADMIN, ("a",), (), NOWHERE),
        lambda: service.properties.read(ADMIN, ("a",), (), NOWHERE),
        lambda: service.hosts.create(ADMIN, {"name": "node9"}, NOWHERE),
        lambda: service.hosts.delete(ADMIN, "node1", NOWHERE),
        lambda: service.images.create(
            ADMIN, {"name": "i", "type": ImageType.ISO}, NOWHERE
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
    before = stage.world.left()
    task = stage.done(stage.service.environments.delete(ADMIN, "dev", NOWHERE))
    assert task.status == "error"
    assert "its project has servers: by-hand" in task.history[-1].message
    assert stage.world.left() == before
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


# -- health


def test_only_one_caller_asks_how_the_backends_are(stage):
    asked, answer = threading.Event(), threading.Event()
    calls = []

    def ask():
        calls.append(1)
        if len(calls) > 1:
            asked.set()
            assert answer.wait(60)

    service = Provisioning(stage.tools, {"slow": ask})
    first = service.health()
    service._health = (service._health[0] - 3600, first)
    other = threading.Thread(target=service.health)
    other.start()
    assert asked.wait(60)
    # Somebody asks, who does not get an answer yet.
    assert service.health() is first
    answer.set()
    other.join(60)
    assert service.health() is not first and len(calls) == 2


# -- partitions and hosts


def test_a_host_is_a_machine(stage):
    (host,) = stage.service.hosts.list(ADMIN, Query()).items
    assert host.name == "node1"
    assert set(host.drivers) == set(Driver)
    assert host.usage["cpus"].total == 8
    assert host.usage["memory_mb"].total == 3 * 8192


def test_a_host_enters_and_leaves_with_all_its_hypervisors(stage):
    stage.ready()
    partitions = stage.service.partitions
    task = stage.done(partitions.add_host(ADMIN, "dev_co", "node1"))
    assert task.status == "done", task.history[-1].message
    (aggregate,) = stage.world.aggregates.values()
    assert set(aggregate.hosts) == {"node1", "node1-docker", "node1-lxd"}
    environment = stage.service.environments.show(ADMIN, "dev", NOWHERE)
    assert environment.uuid in aggregate.metadata.values()
    assert partitions.show(ADMIN, "dev_co", NOWHERE).hosts == ("node1",)
    assert partitions.add_host(ADMIN, "dev_co", "node1") is None
    stage.partition("second")
    with pytest.raises(Conflict, match="dev_co"):
        partitions.add_host(ADMIN, "second", "node1")
    stage.done(partitions.remove_host(ADMIN, "dev_co", "node1"))
    assert stage.world.aggregates == {}
    assert partitions.remove_host(ADMIN, "dev_co", "node1") is None


def test_a_host_with_foreign_servers_is_refused(stage):
    stage.ready()
    stage.instance()
    stage.partition("second")
    with pytest.raises(Conflict, match="web"):
        stage.service.partitions.add_host(ADMIN, "second", "node1")
    # To its own partition it may go.
    assert stage.service.partitions.add_host(ADMIN, "dev_co", "node1")


def test_a_new_environment_may_use_its_partitions_hosts(stage):
    stage.ready()
    stage.done(stage.service.partitions.add_host(ADMIN, "dev_co", "node1"))
    stage.environment("later")
    later = stage.service.environments.show(ADMIN, "later", NOWHERE)
    (aggregate,) = stage.world.aggregates.values()
    assert later.uuid in aggregate.metadata.values()
    stage.done(stage.service.environments.delete(ADMIN, "later", NOWHERE))
    (aggregate,) = stage.world.aggregates.values()
    assert later.uuid not in aggregate.metadata.values()


def test_another_partitions_hosts_are_not_used(stage):
    stage.ready()
    stage.partition("second")
    stage.environment("theirs", "second")
    stage.done(stage.service.partitions.add_host(ADMIN, "second", "node1"))
    task = stage.done(stage.accept())
    assert task.status == "error"
    assert "partition" in task.history[-1].message
    assert stage.instance("ok", environment="theirs").status == "created"


def test_a_host_is_disabled_and_given_a_type(stage):
    fields = {"enabled": False, "type": HostType.HIGH_PERFORMANCE, "os": "Debian"}
    host = stage.service.hosts.change(ADMIN, "node1", fields, NOWHERE)
    assert (host.enabled, host.type, host.os) == (
        False,
        HostType.HIGH_PERFORMANCE,
        "Debian",
    )
    assert not any(each.enabled for each in stage.world.services.values())
    host = stage.service.hosts.change(ADMIN, "node1", {"enabled": True}, NOWHERE)
    assert host.enabled and host.os == "Debian"


def test_the_named_node(stage):
    stage.ready()
    stage.world.add_machine("node2")
    stage.instance(node="node2")
    assert [new.host for new in stage.world.requests.values()] == ["node2"]
    task = stage.done(stage.accept("b", node="node3"))
    assert "node3" in task.history[-1].message


# -- environments


def test_users_of_an_environment(stage):
    stage.service.users.create(ADMIN, {"username": "alice"}, NOWHERE)
    stage.service.users.create(ADMIN, {"username": "bob"}, NOWHERE)
    stage.partition()
    stage.environment(users=("alice",))
    found = stage.service.environments.show(ADMIN, "dev", NOWHERE)
    by_name = {user.name: user.id for user in stage.world.users.values()}
    assert (found.uuid, "member", by_name["alice"]) in stage.world.grants
    accepted = stage.service.environments.change(
        ADMIN, "dev", {"users": ("bob",)}, NOWHERE
    )
    assert stage.done(accepted).status == "done"
    assert (found.uuid, "member", by_name["bob"]) in stage.world.grants
    assert (found.uuid, "member", by_name["alice"]) not in stage.world.grants
    assert stage.service.environments.show(ADMIN, "dev", NOWHERE).users == ("bob",)


def test_a_project_name_that_is_taken_by_others(stage):
    stage.world.projects["p-x"] = values.Project("p-x", "dev", "default")
    stage.partition()
    stage.environment()
    found = stage.service.environments.show(ADMIN, "dev", NOWHERE)
    assert found.name == "dev"
    assert stage.world.projects[found.uuid].name.startswith("dev-")


# -- images, files, users


@pytest.fixture
def from_nowhere(monkeypatch):
    import contextlib

    from nova_multi.provision import fetch

    @contextlib.contextmanager
    def opened(url, *args):
        yield iter([b"1234", b"56"])

    monkeypatch.setattr(fetch, "opened", opened)


def test_an_image_from_a_url(stage, from_nowhere):
    stage.ready()
    member = member_of(stage)
    fields = {
        "os": "debian",
        "variant": "site",
        "version": "12",
        "architecture": "amd64",
        "type": ImageType.LXD,
        "download_url": "https://example.org/i",
    }
    task = stage.done(stage.service.images.create(member, fields, NOWHERE))
    assert task.status == "created"
    image = stage.service.images.show(member, "debian_site_12_amd64", NOWHERE)
    assert (image.size, image.status, image.type) == (6, "active", ImageType.LXD)
    stored = stage.world.images[image.uuid]
    assert stored.properties["img_hv_type"] == "lxd"
    # Another environment of the partition may boot it.
    stage.environment("other")
    stage.provisioner("mine", image="debian_site_12_amd64")
    stage.instance(environment="other", provisioner="mine")
    other = stage.service.environments.show(ADMIN, "other", NOWHERE)
    assert (image.uuid, other.uuid) in stage.world.shared
    assert (
        stage.done(stage.service.images.delete(member, image.name, NOWHERE)).status
        == "deleted"
    )
    assert image.uuid not in stage.world.images


def test_images_that_are_public_need_no_sharing(stage):
    stage.ready()
    stage.environment("other")
    fields = {"name": "debian", "type": ImageType.DISK}
    stage.service.images.create(member_of(stage), fields, NOWHERE)
    # It is taken up in one environment, and booted in the other.
    stage.instance(environment="other")
    assert stage.world.shared == set()


@pytest.mark.parametrize("visibility", ["shared", "private"])
def test_images_that_were_taken_up_are_their_owners_to_share(stage, visibility):
    stage.ready()
    stage.environment("other")
    member = member_of(stage)
    image = stage.world.add_image(
        "mine", owner=member.project_id, visibility=visibility
    )
    fields = {"name": "mine", "type": ImageType.DISK}
    stage.service.images.create(member, fields, NOWHERE)
    stage.provisioner("own", image="mine")
    stage.instance(provisioner="own")
    with pytest.raises(Invalid, match="no image mine"):
        stage.accept("far", environment="other", provisioner="own")
    assert stage.world.shared == set()
    if visibility == "shared":
        other = member_of(stage, "other").project_id
        stage.world.shared.add((image.id, other))
        stage.instance("far", environment="other", provisioner="own")


def test_the_api_asks_for_no_host(stage, monkeypatch):
    def resolve(*_):
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    fields = {"name": "far", "type": ImageType.LXD, "download_url": "https://a.b/c"}
    assert stage.service.images.create(ADMIN, fields, NOWHERE).task_uuid
    fields |= {"name": "bad", "download_url": "file:///etc/passwd"}
    with pytest.raises(Invalid):
        stage.service.images.create(ADMIN, fields, NOWHERE)


def test_images_are_fetched_in_turn(make_stage, monkeypatch):
    import contextlib

    from nova_multi.provision import fetch

    stage = make_stage(downloads=1)
    runner = stage.fresh()
    others = []

    @contextlib.contextmanager
    def opened(url, *args):
        # A second one that wants to be fetched meanwhile waits without a thread.
        if not others:
            (claimed,) = stage.store.claim("w2", 1, 90)
            others.append(runner.run(runner.begin(claimed)))
            stage.store.release(claimed.task.uuid, claimed.fencing)
        yield iter([b"1"])

    monkeypatch.setattr(fetch, "opened", opened)
    fields = {"type": ImageType.LXD, "download_url": "https://example.org/i"}
    accepted = []
    for name in ("one", "two"):
        fields["name"] = name
        accepted.append(stage.service.images.create(ADMIN, dict(fields), NOWHERE))
    (claimed,) = stage.store.claim("w1", 1, 90)
    assert runner.run(runner.begin(claimed)) is None
    assert others[0] > 0
    for each in accepted:
        assert stage.done(each).status == "created"


def test_images_that_were_there_before(stage):
    listed = stage.service.images.list(ADMIN, Query())
    assert names(listed) == ["alpine-docker", "debian"]
    fields = {"name": "debian", "type": ImageType.DISK}
    image = stage.service.images.create(ADMIN, fields, NOWHERE)
    assert names(stage.service.images.list(ADMIN, Query())) == [
        "alpine-docker",
        "debian",
    ]
    stage.done(stage.service.images.delete(ADMIN, "debian", NOWHERE))
    # It was not ours.
    assert image.uuid in stage.world.images
    with pytest.raises(Invalid):
        stage.service.images.create(
            ADMIN, {"name": "debian", "type": ImageType.LXD}, NOWHERE
        )
    with pytest.raises(Invalid) as caught:
        stage.service.images.create(
            ADMIN, {"name": "none", "type": ImageType.LXD}, NOWHERE
        )
    assert caught.value.field == "download_url"


def test_images_are_made_in_the_tokens_project_only(stage, from_nowhere):
    stage.ready()
    stage.environment("other")
    member = member_of(stage)
    partition = stage.service.partitions.show(ADMIN, "dev_co", NOWHERE)
    stage.world.add_image("draft", owner=partition.uuid, visibility="shared")
    boss = Caller("user-b", partition.uuid, MEMBER)
    for caller, scope in (
        (member, Scope(partition="dev_co")),
        (boss, Scope(environment="other")),
    ):
        for more in ({}, {"download_url": "https://e.org/i"}):
            fields = {"name": "draft", "type": ImageType.DISK, **more}
            with pytest.raises(Forbidden, match="not for the project of"):
                stage.service.images.create(caller, fields, scope)
    assert stage.store.list_records("image") == []
    fields = {"name": "draft", "type": ImageType.DISK}
    made = stage.service.images.create(boss, fields, Scope(partition="dev_co"))
    assert made.name == "draft"


def test_images_of_others_are_not_taken_up(stage):
    stage.ready()
    member, image = member_of(stage), private(stage)
    # Their owner has let this project use it, but nobody else.
    shared = stage.world.add_image("lent", owner="p-else", visibility="shared")
    stage.world.shared.add((shared.id, member.project_id))
    for caller, name in (
        (member, "theirs"),
        (member, "lent"),
        (ADMIN, "theirs"),
        (ADMIN, "lent"),
    ):
        fields = {"name": name, "type": ImageType.DISK}
        with pytest.raises(Invalid, match="there is no image"):
            stage.service.images.create(caller, fields, NOWHERE)
    assert stage.store.list_records("image") == []
    assert image.id in stage.world.images


def test_images_are_not_made_for_a_project_that_is_not_there(stage, from_nowhere):
    stage.ready()
    fields = {"name": "young", "partition": "dev_co"}
    stage.service.environments.create(ADMIN, fields, NOWHERE)
    fields = {"name": "i", "type": ImageType.DISK, "download_url": "https://e.org/i"}
    with pytest.raises(Conflict, match="no project yet"):
        stage.service.images.create(ADMIN, fields, Scope(environment="young"))


@pytest.mark.parametrize("permissions", [None, Permissions("rwxrwxrwx")])
def test_an_image_for_all_is_the_administrators_to_change(stage, permissions):
    stage.ready()
    fields = {"name": "debian", "type": ImageType.DISK, "permissions": permissions}
    image = stage.service.images.create(ADMIN, fields, NOWHERE)
    for caller in (member_of(stage), STRANGER, Caller("user-a", "p-else", MEMBER)):
        assert stage.service.images.show(caller, "debian", NOWHERE).uuid == image.uuid
        with pytest.raises(Forbidden, match="for all partitions"):
            stage.service.images.change(caller, "debian", {"os": "odd"}, NOWHERE)
        with pytest.raises(Forbidden, match="for all partitions"):
            stage.service.images.delete(caller, "debian", NOWHERE)
    changed = stage.service.images.change(ADMIN, "debian", {"os": "debian"}, NOWHERE)
    assert changed.os == "debian"


def test_who_is_alone_changes_images_that_are_in_no_partition(make_stage):
    images = make_stage(single=True).service.images
    caller = Caller("user-o", "p-one", MEMBER)
    images.create(caller, {"name": "debian", "type": ImageType.DISK}, NOWHERE)
    assert images.change(caller, "debian", {"os": "debian"}, NOWHERE).os == "debian"


def test_files(stage):
    files = stage.service.files
    fields = {"name": "a.txt", "folder_name": "x"}
    made = files.create(ADMIN, fields, io.BytesIO(b"one"), NOWHERE)
    assert made.size == 3
    changed = files.change(ADMIN, "a.txt", {}, io.BytesIO(b"other"), NOWHERE)
    assert (changed.size, changed.folder_name) == (5, "x")
    file, content = files.open(ADMIN, "a.txt", NOWHERE)
    with content:
        assert content.read() == b"other"
    assert file.checksum == changed.checksum
    files.delete(ADMIN, "a.txt", NOWHERE)
    with pytest.raises(NotFound):
        files.open(ADMIN, "a.txt", NOWHERE)


def test_a_projects_files_have_a_limit(make_stage):
    stage = make_stage(max_project_files=10)
    files = stage.service.files

    def put(name, size, caller=ADMIN):
        return files.create(caller, {"name": name}, io.BytesIO(b"x" * size), NOWHERE)

    put("a", 6)
    with pytest.raises(Conflict) as caught:
        put("b", 5)
    assert caught.value.code == "files_full"
    put("b", 4)
    with pytest.raises(Conflict):
        files.change(ADMIN, "a", {}, io.BytesIO(b"x" * 7), NOWHERE)
    files.change(ADMIN, "a", {}, io.BytesIO(b"y" * 6), NOWHERE)
    put("other", 10, STRANGER)
    files.delete(ADMIN, "b", NOWHERE)
    put("c", 4)


def test_a_name_that_is_taken_is_found_before_the_content(stage):
    files = stage.service.files
    files.create(ADMIN, {"name": "a"}, io.BytesIO(b"x"), NOWHERE)
    content = io.BytesIO(b"other")
    with pytest.raises(NameTaken):
        files.create(ADMIN, {"name": "a"}, content, NOWHERE)
    assert content.tell() == 0


def test_users_and_groups(stage):
    users, groups = stage.service.users, stage.service.groups
    groups.create(ADMIN, {"name": "devs"}, NOWHERE)
    fields = {"username": "alice", "groups": ("devs",), "type": UserType.SYSTEM}
    made = users.create(ADMIN, fields, NOWHERE)
    assert (made.groups, made.type) == (("devs",), UserType.SYSTEM)
    assert groups.show(ADMIN, "devs", NOWHERE).users == ("alice",)
    changed = users.change(ADMIN, "alice", {"groups": ()}, NOWHERE)
    assert (changed.groups, changed.type) == ((), UserType.SYSTEM)
    assert [each.username for each in users.list(ADMIN, Query()).items] == ["alice"]
    with pytest.raises(Invalid):
        users.create(ADMIN, {"username": "bob", "groups": ("none",)}, NOWHERE)
    assert [u.name for u in stage.world.users.values()] == ["alice"]
    users.delete(ADMIN, "alice", NOWHERE)
    groups.delete(ADMIN, "devs", NOWHERE)
    assert stage.world.users == {} and stage.world.groups == {}


def with_own_user(stage):
    """The manager is in the domain as any user is."""
    own = values.User(MANAGER, "provisioning-manager", "default")
    stage.world.users[MANAGER] = own
    return own


@pytest.mark.parametrize("name", ["provisioning-manager", MANAGER])
def test_the_services_own_users_are_nobodys_to_change(stage, name):
    own = with_own_user(stage)
    users, groups = stage.service.users, stage.service.groups
    groups.create(ADMIN, {"name": "devs"}, NOWHERE)
    assert users.list(ADMIN, Query()).items == []
    for ask in (
        lambda: users.show(ADMIN, name, NOWHERE),
        lambda: users.change(ADMIN, name, {"username": "mine"}, NOWHERE),
        lambda: users.delete(ADMIN, name, NOWHERE),
    ):
        with pytest.raises(NotFound):
            ask()
    with pytest.raises(Invalid):
        groups.change(ADMIN, "devs", {"users": (name,)}, NOWHERE)
    (group,) = stage.world.groups
    stage.world.members.add((group, MANAGER))
    assert groups.change(ADMIN, "devs", {"users": ()}, NOWHERE).users == ()
    with pytest.raises(Forbidden):
        groups.delete(ADMIN, "devs", NOWHERE)
    assert stage.world.users == {MANAGER: own}
    assert stage.world.members == {(group, MANAGER)}


@pytest.mark.parametrize("name", ["provisioning-manager", MANAGER])
def test_the_services_own_users_keep_their_role(stage, name):
    with_own_user(stage)
    stage.partition()
    stage.environment()
    environments = stage.service.environments
    with pytest.raises(Invalid, match="there is no user"):
        environments.change(ADMIN, "dev", {"users": (name,)}, NOWHERE)
    # As it may have been written down before that was refused.
    (record,) = stage.store.list_records("environment")
    stage.store.update_record("environment", record.uuid, merge={"user_ids": [MANAGER]})
    accepted = environments.change(ADMIN, "dev", {"users": ()}, NOWHERE)
    assert stage.done(accepted).status == "done"
    assert (record.openstack_id, "member", MANAGER) in stage.world.grants


# -- the rest


def test_each_change_is_audited(stage):
    stage.ready()
    stage.audited.clear()
    accepted = stage.accept()
    ((kind, event),) = stage.audited
    assert kind == "audit.nova_multi.instance.create"
    assert event["initiator"]["id"] == ADMIN.user_id
    assert event["initiator"]["host"]["address"] == ADMIN.remote_address
    assert event["action"] == "create"
    assert event["outcome"] == "pending"
    assert event["task_uuid"] == accepted.task_uuid
    assert event["request_id"] == ADMIN.request_id
    assert event["target"]["name"] == "web"
    stage.work()
    instances = stage.service.instances
    for verb in ("stop", "start", "restart", "delete"):
        stage.done(getattr(instances, verb)(ADMIN, "web", NOWHERE))
    told = [(event["action"], event["outcome"]) for _, event in stage.audited]
    assert told == [
        (action, outcome)
        for action in ("create", "stop", "start", "start/restart", "delete")
        for outcome in ("pending", "success")
    ]
    _, event = stage.audited[1]
    assert event["task_uuid"] == accepted.task_uuid
    assert event["initiator"]["id"] == ADMIN.user_id
    assert event["request_id"] == ADMIN.request_id
    assert event["target"]["name"] == "web"


def test_a_failure_is_audited(stage):
    stage.ready()
    stage.audited.clear()
    stage.done(stage.accept(memory_mb=10**9))
    outcomes = [event["outcome"] for _, event in stage.audited]
    assert outcomes == ["pending", "failure"]
    assert "step" in stage.audited[1][1]["reason"]["reasonCode"]


def test_forgetting_a_task_is_audited(stage):
    stage.ready()
    task = stage.instance()
    stage.audited.clear()
    stage.service.tasks.delete(ADMIN, task.uuid)
    ((kind, event),) = stage.audited
    assert kind == "audit.nova_multi.task.delete"
    assert event["target"]["id"] == task.uuid
    assert event["initiator"]["id"] == ADMIN.user_id


def test_an_audit_that_can_not_be_sent_stops_nothing(stage, caplog):
    from nova_multi.provision.audit import Audit

    def broken(kind, event):
        raise OSError("the bus is away")

    stage.tools.audit = Audit(broken)
    with caplog.at_level("INFO"):
        stage.partition()
    assert "audit.nova_multi.partition.create" in caplog.text


def test_health(stage):
    from nova_multi.domain.errors import Unavailable

    assert {b.name: b.healthy for b in stage.service.health()} == {
        "database": True,
        "keystone": True,
        "nova": True,
    }
    service = Provisioning(stage.tools)

    def hook(name, when):
        raise Unavailable("http://10.0.0.1/secret does not answer")

    stage.world.hook = hook
    backends = {each.name: each for each in service.health()}
    assert backends["database"].healthy
    assert not backends["keystone"].healthy
    assert not backends["nova"].healthy
    assert "10.0.0.1" not in backends["nova"].message


def test_signatures(stage):
    facts = type(
        "Facts", (), {"user_id": "u", "project_id": "p", "roles": ("Member",)}
    )()
    stage.world.signatures["key", "right"] = facts
    signed = SignedRequest("key", b"text", "right")
    identity = stage.service.identify(signed)
    assert (identity.user_id, identity.roles) == ("u", frozenset({"member"}))
    assert stage.service.identify(SignedRequest("key", b"text", "wrong")) is None
    import datetime

    until = stage.clock() + datetime.timedelta(minutes=5)
    assert stage.service.first_use("digest", until)
    assert not stage.service.first_use("digest", until)


def test_contents_that_nobody_names_are_swept_away(stage, monkeypatch):
    from nova_multi.provision import housekeeping

    files = stage.service.files
    kept = files.create(ADMIN, {"name": "a"}, io.BytesIO(b"one"), NOWHERE)
    gone = files.create(ADMIN, {"name": "b"}, io.BytesIO(b"two"), NOWHERE)
    files.delete(ADMIN, "b", NOWHERE)
    sweep = stage.tools.files.sweep
    monkeypatch.setattr(
        stage.tools.files, "sweep", lambda in_use: sweep(in_use, older_than=-60)
    )
    housekeeping.tidy(stage.tools)
    stage.tools.files.open(kept.checksum).close()
    with pytest.raises(NotFound):
        stage.tools.files.open(gone.checksum)
