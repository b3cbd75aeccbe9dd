# SPDX-License-Identifier: Apache-2.0
"""Partitions, hosts, environments, images, files and users."""

import contextlib
import io
import itertools

import pytest

from nova_multi.cloud import values
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NameTaken,
    NotFound,
    Unavailable,
)
from nova_multi.domain.host import HostType
from nova_multi.domain.image import ImageType
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.user import UserType
from nova_multi.provision.machines import PARTITION_KEY
from nova_multi.provision.service import Caller, Query, Scope
from tests.fixtures.fake_cloud import MANAGER
from tests.unit.provision.callers import (
    MEMBER,
    STRANGER,
    member_of,
    names,
    private,
)
from tests.unit.provision.conftest import ADMIN, DISK, NOWHERE, Killed

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


def test_a_host_does_not_enter_two_partitions_at_once(stage):
    stage.partition("one")
    stage.partition("two")
    partitions = stage.service.partitions
    first = partitions.add_host(ADMIN, "one", "node1")

    def hook(name, when):
        if (name, when) == ("hosts.create_aggregate", "before"):
            # It has looked, and done nothing yet.
            raise Killed

    stage.world.hook = hook
    with pytest.raises(Killed):
        stage.work()
    stage.world.hook = None
    second = partitions.add_host(ADMIN, "two", "node1")
    stage.work(worker="w2")
    ended = {each: stage.store.task(each.task_uuid) for each in (first, second)}
    assert [ended[each].status for each in (first, second)] == ["done", "error"]
    assert "is in partition one" in ended[second].history[-1].message
    (aggregate,) = stage.world.aggregates.values()
    assert (
        aggregate.metadata[PARTITION_KEY]
        == partitions._find.partition(ADMIN, "one").uuid
    )
    # Nothing keeps it from moving later.
    stage.done(partitions.remove_host(ADMIN, "one", "node1"))
    assert stage.done(partitions.add_host(ADMIN, "two", "node1")).status == "done"


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


@pytest.mark.parametrize("verb", ["create", "change"])
def test_a_host_that_is_given_a_partition_enters_it_by_a_task(stage, verb):
    stage.ready()
    fields = {"name": "node1", "partition": "dev_co", "os": "Debian"}
    hosts = stage.service.hosts
    names = () if verb == "create" else ("node1",)
    task = stage.done(getattr(hosts, verb)(ADMIN, *names, fields, NOWHERE))
    assert (task.type, task.status) == ("add_host", "done")
    shown = hosts.show(ADMIN, "node1", NOWHERE)
    assert (shown.partition, shown.os) == ("dev_co", "Debian")
    # Where it is already nothing takes time.
    assert hosts.change(ADMIN, "node1", {"partition": "dev_co"}, NOWHERE) == shown


@pytest.mark.parametrize(
    ("call", "nth"), [("hosts.disable", 2), ("placement.set_host_type", 3)]
)
def test_a_host_that_nova_changes_by_half_is_put_back(stage, call, nth):
    left = itertools.count(nth, -1)

    def hook(name, when):
        if (name, when) == (call, "before") and next(left) == 1:
            raise Unavailable("not now")

    stage.world.hook = hook
    fields = {"enabled": False, "type": HostType.HIGH_PERFORMANCE, "os": "Debian"}
    with pytest.raises(Unavailable):
        stage.service.hosts.change(ADMIN, "node1", fields, NOWHERE)
    assert all(each.enabled for each in stage.world.services.values())
    assert not any(each.traits for each in stage.world.providers.values())
    assert stage.service.hosts.show(ADMIN, "node1", NOWHERE).os == ""


def test_wherever_a_host_is_named_its_id_will_do(stage):
    stage.ready()
    stage.world.add_machine("node2")
    hosts, partitions = stage.service.hosts, stage.service.partitions
    node2 = hosts.show(ADMIN, "node2", NOWHERE).uuid
    assert node2 != "node2"
    hosts.change(ADMIN, node2, {"os": "Debian"}, NOWHERE)
    # It stays the same when something is written down about it.
    assert hosts.show(ADMIN, node2, NOWHERE).uuid == node2
    stage.done(partitions.add_host(ADMIN, "dev_co", node2))
    assert partitions.show(ADMIN, "dev_co", NOWHERE).hosts == ("node2",)
    stage.instance(node=node2)
    assert [new.host for new in stage.world.requests.values()] == ["node2"]
    stage.done(partitions.remove_host(ADMIN, "dev_co", node2))
    assert partitions.show(ADMIN, "dev_co", NOWHERE).hosts == ()


def test_wherever_users_and_groups_are_named_their_ids_will_do(stage):
    users, groups = stage.service.users, stage.service.groups
    devs = groups.create(ADMIN, {"name": "devs"}, NOWHERE)
    fields = {"username": "alice", "groups": (devs.uuid,)}
    alice = users.create(ADMIN, fields, NOWHERE)
    assert alice.groups == ("devs",)
    ops = groups.create(ADMIN, {"name": "ops", "users": (alice.uuid,)}, NOWHERE)
    assert ops.users == ("alice",)
    assert groups.change(ADMIN, ops.uuid, {"users": ()}, NOWHERE).users == ()


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


def test_users_are_all_that_there_are_to_be(stage):
    """Also where somebody has given roles by other ways."""
    stage.service.users.create(ADMIN, {"username": "alice"}, NOWHERE)
    stage.partition()
    stage.environment()
    project = stage.service.environments.show(ADMIN, "dev", NOWHERE).uuid
    manager = stage.tools.clouds.manager()
    manager.grants.grant(project, "member", user_id="user-foreign")
    manager.grants.grant(project, "reader", user_id="user-auditor")
    accepted = stage.service.environments.change(
        ADMIN, "dev", {"users": ("alice",)}, NOWHERE
    )
    assert stage.done(accepted).status == "done"
    (alice,) = stage.world.users
    assert {(role, user) for where, role, user in stage.world.grants} >= {
        ("member", alice),
        ("reader", "user-auditor"),
        ("member", MANAGER),
    }
    assert (project, "member", "user-foreign") not in stage.world.grants


def test_a_project_name_that_is_taken_by_others(stage):
    stage.world.projects["p-x"] = values.Project("p-x", "dev", "default")
    stage.partition()
    stage.environment()
    found = stage.service.environments.show(ADMIN, "dev", NOWHERE)
    assert found.name == "dev"
    assert stage.world.projects[found.uuid].name.startswith("dev-")


# -- images, files, users


def test_an_image_from_a_url(stage, from_nowhere):
    stage.ready()
    member = member_of(stage)
    fields = {
        "os": "debian",
        "variant": "site",
        "version": "12",
        "architecture": "amd64",
        "type": ImageType.DISK,
        "download_url": "https://example.org/i",
    }
    task = stage.done(stage.service.images.create(member, fields, NOWHERE))
    assert task.status == "created"
    image = stage.service.images.show(member, "debian_site_12_amd64", NOWHERE)
    size = len(DISK)
    assert (image.size, image.status, image.type) == (size, "active", ImageType.DISK)
    stored = stage.world.images[image.uuid]
    assert stored.properties["img_hv_type"] == "qemu"
    assert stored.properties["architecture"] == "x86_64"
    assert (stored.disk_format, stored.min_disk_gb) == ("raw", 1)
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
        yield iter([DISK])

    monkeypatch.setattr(fetch, "opened", opened)
    fields = {"type": ImageType.DISK, "download_url": "https://example.org/i"}
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


def crowd(stage, users, groups):
    """Each user is in every group whose number divides the user's."""
    for g in range(1, groups + 1):
        stage.service.groups.create(ADMIN, {"name": f"g{g}"}, NOWHERE)
    for u in range(1, users + 1):
        inside = tuple(f"g{g}" for g in range(1, groups + 1) if u % g == 0)
        fields = {"username": f"u{u:02}", "groups": inside}
        stage.service.users.create(ADMIN, fields, NOWHERE)


@pytest.mark.parametrize(
    ("users", "groups", "limit", "requests"),
    [(12, 3, 100, 3), (12, 3, 2, 2), (3, 12, 100, 3), (3, 12, 1, 1)],
)
def test_users_cost_a_request_for_each_group_or_user(
    stage, users, groups, limit, requests
):
    crowd(stage, users, groups)
    stage.world.calls.clear()
    found = stage.service.users.list(ADMIN, Query(limit=limit)).items
    told = {each.username: set(each.groups) for each in found}
    assert told == {
        f"u{u:02}": {f"g{g}" for g in range(1, groups + 1) if u % g == 0}
        for u in range(1, min(users, limit) + 1)
    }
    # Users and groups themselves are two more.
    assert len(stage.world.calls) == requests + 2


def test_groups_cost_a_request_for_each_on_the_page(stage):
    crowd(stage, 12, 10)
    stage.world.calls.clear()
    page = stage.service.groups.list(ADMIN, Query(limit=2))
    assert [each.name for each in page.items] == ["g1", "g10"]
    assert page.items[1].users == ("u10",)
    assert len(stage.world.calls) == 3
    rest = stage.service.groups.list(ADMIN, Query(marker=page.next_marker))
    assert [each.name for each in rest.items] == [f"g{n}" for n in range(2, 10)]


def test_users_of_a_group_and_groups_of_a_user(stage):
    crowd(stage, 12, 4)
    users, groups = stage.service.users, stage.service.groups
    found = users.list(ADMIN, Query({"groups": "g4"})).items
    assert [each.username for each in found] == ["u04", "u08", "u12"]
    assert set(found[0].groups) == {"g1", "g2", "g4"}
    assert names(groups.list(ADMIN, Query({"users": "u09"}))) == ["g1", "g3"]
    assert users.list(ADMIN, Query({"groups": "none"})).items == []
    assert groups.list(ADMIN, Query({"users": "none"})).items == []


def fail_at(stage, name, number):
    """Let Keystone be away at a call, and there again."""
    left = itertools.count(number - 1, -1)

    def hook(called, moment):
        if called == name and moment == "before" and next(left) == 0:
            raise Unavailable("Keystone is away")

    stage.world.hook = hook


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_change_of_a_user_that_fails_is_taken_back(stage, number):
    crowd(stage, 1, 4)
    users = stage.service.users
    users.change(ADMIN, "u01", {"groups": ("g1", "g2")}, NOWHERE)
    before = users.show(ADMIN, "u01", NOWHERE)
    name = "identity.remove_member" if number == 3 else "identity.add_member"
    fail_at(stage, name, 1 if number == 3 else number)
    fields = {"username": "new", "groups": ("g3", "g4"), "login": "x"}
    with pytest.raises(Unavailable):
        users.change(ADMIN, "u01", fields, NOWHERE)
    stage.world.hook = None
    after = users.show(ADMIN, "u01", NOWHERE)
    assert (after.username, after.login) == (before.username, before.login)
    assert set(after.groups) == set(before.groups)


@pytest.mark.parametrize("number", [1, 2])
def test_a_change_of_a_group_that_fails_is_taken_back(stage, number):
    crowd(stage, 4, 1)
    groups = stage.service.groups
    groups.change(ADMIN, "g1", {"users": ("u01",)}, NOWHERE)
    fail_at(stage, "identity.add_member", number)
    fields = {"name": "new", "users": ("u02", "u03")}
    with pytest.raises(Unavailable):
        groups.change(ADMIN, "g1", fields, NOWHERE)
    stage.world.hook = None
    assert groups.show(ADMIN, "g1", NOWHERE).users == ("u01",)


def test_a_login_is_what_a_user_is_found_by(stage):
    users = stage.service.users
    alice = users.create(ADMIN, {"username": "alice", "login": "al"}, NOWHERE)
    users.create(ADMIN, {"username": "bob"}, NOWHERE)
    assert users.show(ADMIN, "al", NOWHERE) == alice
    stage.partition()
    stage.environment(users=("al",))
    found = stage.service.environments.show(ADMIN, "dev", NOWHERE)
    assert (found.uuid, "member", alice.uuid) in stage.world.grants
    group = stage.service.groups.create(
        ADMIN, {"name": "devs", "users": ("al", "bob")}, NOWHERE
    )
    assert group.users == ("alice", "bob")


@pytest.mark.parametrize(
    "fields", [{"login": "al"}, {"login": "alice"}, {"username": "al"}]
)
def test_a_login_is_one_users(stage, fields):
    users = stage.service.users
    users.create(ADMIN, {"username": "alice", "login": "al"}, NOWHERE)
    users.create(ADMIN, {"username": "bob", "login": "bob"}, NOWHERE)
    for ask in (
        lambda: users.create(ADMIN, {"username": "carol", **fields}, NOWHERE),
        lambda: users.change(ADMIN, "bob", fields, NOWHERE),
    ):
        with pytest.raises(NameTaken) as caught:
            ask()
        assert caught.value.field == next(iter(fields))
    assert len(stage.world.users) == 2
    # One's own may be said again.
    users.change(ADMIN, "alice", {"username": "alice", "login": "al"}, NOWHERE)


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
