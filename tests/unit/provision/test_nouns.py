# SPDX-License-Identifier: Apache-2.0
"""Who sees what, pages, how many requests a list costs, and the rest of all nouns."""

import dataclasses
import io
import threading

import pytest

from nova_multi.cloud import values
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import (
    Ambiguous,
    Forbidden,
    Invalid,
    NameTaken,
    NotFound,
)
from nova_multi.domain.image import ImageType
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.publish import Publish
from nova_multi.provision.provisioning import Provisioning
from nova_multi.provision.service import Caller, Query, Scope, SignedRequest
from nova_multi.provision.settings import Settings
from nova_multi.provision.store import Record
from tests.unit.provision.callers import DEBIAN_12, MEMBER, STRANGER, member_of, names
from tests.unit.provision.conftest import ADMIN, NOWHERE, START

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


def test_members_are_not_told_the_hosts_of_their_partition(stage):
    stage.ready()
    stage.done(stage.service.partitions.add_host(ADMIN, "dev_co", "node1"))
    shown = stage.service.environments.partition
    assert shown(ADMIN, "dev", NOWHERE).hosts == ("node1",)
    seen = shown(member_of(stage), "dev", NOWHERE)
    assert (seen.name, seen.hosts) == ("dev_co", ())


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


def test_who_makes_environments(stage):
    stage.ready()
    fields = {"name": "mine", "partition": "dev_co"}
    create = stage.service.environments.create
    with pytest.raises(Forbidden) as caught:
        create(member_of(stage), fields, NOWHERE)
    assert caught.value.field == "partition"
    partition = stage.service.partitions.show(ADMIN, "dev_co", NOWHERE)
    caller = Caller("user-p", partition.uuid, MEMBER)
    assert stage.done(create(caller, fields, NOWHERE)).status == "created"
    # Its maker works in it, though no user of it was named.
    stage.service.provisioners.create(caller, {"name": "p", "image": "debian"}, NOWHERE)
    wanted = {"name": "web", "provisioner": "p", "environment": "mine"}
    task = stage.done(stage.service.instances.create(caller, wanted, NOWHERE))
    assert task.status == "created"


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


@pytest.mark.parametrize("denied", ["provisioner", "image", "dependency"])
def test_what_may_only_be_seen_is_not_used(stage, denied):
    stage.ready()
    owner, mate = member_of(stage, user="o"), member_of(stage, user="m")
    to_see = {"permissions": Permissions("rwxrw-r--")}
    service = stage.service
    fields = {"name": "debian", "type": ImageType.DISK}
    service.images.create(
        owner, fields | (to_see if denied == "image" else {}), NOWHERE
    )
    for name, more in (
        ("base", to_see if denied == "dependency" else {}),
        ("top", {"depends": ("base",)} | (to_see if denied == "provisioner" else {})),
    ):
        service.provisioners.create(
            owner, {"name": name, "image": "debian", **more}, NOWHERE
        )
    assert service.provisioners.show(mate, "top", NOWHERE).name == "top"
    wanted = {"name": "web", "provisioner": "top"}
    with pytest.raises(Forbidden, match="don't let you"):
        service.instances.create(mate, wanted, NOWHERE)
    assert stage.store.list_records("instance") == []
    assert service.instances.create(owner, wanted, NOWHERE)


def test_an_image_that_may_only_be_seen_is_not_used_by_other_names(stage):
    stage.ready()
    (image,) = (each for each in stage.world.images.values() if each.name == "debian")
    stage.world.images[image.id] = dataclasses.replace(
        image, properties={**image.properties, **DEBIAN_12}
    )
    owner, mate = member_of(stage, user="o"), member_of(stage, user="m")
    fields = {"type": ImageType.DISK}
    service = stage.service
    to_see = {"permissions": Permissions("rwxr--r--")}
    service.images.create(owner, {"name": "debian", **fields, **to_see}, NOWHERE)
    with pytest.raises(Invalid):
        service.images.create(mate, {"name": image.id, **fields}, NOWHERE)
    service.provisioners.create(mate, {"name": "p", "image": "debian-12"}, NOWHERE)
    with pytest.raises(Invalid, match="no image"):
        service.instances.create(mate, {"name": "web", "provisioner": "p"}, NOWHERE)


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
    for _, event in stage.audited:
        # Also of how it ended.
        assert event["initiator"]["host"]["address"] == ADMIN.remote_address
    _, event = stage.audited[1]
    assert event["task_uuid"] == accepted.task_uuid
    assert event["initiator"]["id"] == ADMIN.user_id
    assert event["request_id"] == ADMIN.request_id
    assert event["target"]["name"] == "web"


@pytest.mark.parametrize(
    "ask",
    [
        lambda service: service.instances.change(
            ADMIN, "web", {"publish": (Publish.parse("80"),)}, NOWHERE
        ),
        lambda service: service.instances.clone(ADMIN, "web", {}, NOWHERE),
        lambda service: service.instances.create(
            ADMIN,
            {"name": "x", "environment": "dev", "provisioner": "plain", "count": 2},
            NOWHERE,
        ),
        lambda service: service.partitions.create(ADMIN, {"name": "co"}, NOWHERE),
        lambda service: service.partitions.add_host(ADMIN, "dev_co", "node1"),
    ],
    ids=["publish", "clone", "several", "partition", "host"],
)
def test_every_audit_record_says_from_where(stage, ask):
    stage.ready()
    stage.instance()
    stage.audited.clear()
    stage.done(ask(stage.service))
    assert len(stage.audited) >= 2
    for kind, event in stage.audited:
        assert event["initiator"]["host"]["address"] == ADMIN.remote_address, kind


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


def test_tasks_that_ended_long_ago_are_forgotten(stage, monkeypatch):
    from nova_multi.provision import housekeeping

    monkeypatch.setattr(housekeeping, "_AT_ONCE", 2)
    old = [stage.partition(f"p{number}").uuid for number in range(5)]
    fields = {"name": "dev", "partition": "p1"}
    waiting = stage.service.environments.create(ADMIN, fields, NOWHERE).task_uuid
    stage.clock.forward(stage.tools.settings.task_retention)
    young = stage.service.partitions.delete(ADMIN, "p0", NOWHERE).task_uuid
    housekeeping.tidy(stage.tools)
    assert {each.uuid for each in stage.store.tasks(None)} == {*old, waiting, young}
    stage.clock.forward(1)
    forever = dataclasses.replace(stage.tools, settings=Settings(task_retention=0))
    housekeeping.tidy(forever)
    assert len(stage.store.tasks(None)) == 7
    housekeeping.tidy(stage.tools)
    assert {each.uuid for each in stage.store.tasks(None)} == {waiting, young}
    with pytest.raises(NotFound):
        stage.store.task(old[0])
    # What they had made is there, and can be worked on.
    stage.work()
    assert stage.store.task(waiting).status == "created"
    stage.done(stage.service.partitions.delete(ADMIN, "p2", NOWHERE))


def test_flavors_of_sizes_that_no_instance_has_are_swept_away(stage):
    from nova_multi.cloud.values import Flavor
    from nova_multi.provision import housekeeping

    def tidy():
        housekeeping.tidy(stage.tools)
        return sorted(stage.world.flavors)

    stage.world.flavors["m1.tiny"] = Flavor("m1.tiny", "m1.tiny", 1, 1, 1)
    make = stage.tools.clouds.admin().flavors.find_or_make
    gone = make(1, 77, 1).id
    stage.partition()
    stage.environment()
    stage.service.provisioners.create(ADMIN, {"name": "p", "image": "debian"}, NOWHERE)
    fields = {"environment": "dev", "provisioner": "p", "memory_mb": 128}
    stage.done(stage.service.instances.create(ADMIN, {"name": "a", **fields}, NOWHERE))
    (used,) = stage.world.flavors.keys() - {"m1.tiny", gone}
    # At first sight nothing goes.
    assert tidy() == sorted(["m1.tiny", gone, used])
    assert tidy() == sorted(["m1.tiny", used])
    stage.done(stage.service.instances.delete(ADMIN, "a", NOWHERE))
    tidy()
    # What is wanted again between two looks stays.
    stage.service.instances.create(ADMIN, {"name": "b", **fields}, NOWHERE)
    assert tidy() == tidy() == sorted(["m1.tiny", used])
    stage.work()
    stage.done(stage.service.instances.delete(ADMIN, "b", NOWHERE))
    tidy()

    def accept_meanwhile(name, moment):
        if name == "flavors.delete" and moment == "after":
            stage.world.hook = None
            stage.service.instances.create(ADMIN, {"name": "c", **fields}, NOWHERE)

    seen = []
    stage.world.hook = lambda *args: (seen.append(args), accept_meanwhile(*args))
    assert tidy() == sorted(["m1.tiny", used]), seen
    stage.work()
    assert tidy() == sorted(["m1.tiny", used])


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
