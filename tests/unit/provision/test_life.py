# SPDX-License-Identifier: Apache-2.0
"""What is asked for comes about, and goes away again."""

import io

import pytest

from nova_multi.cloud.marks import Mark
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, Invalid
from nova_multi.domain.image import ImageType
from nova_multi.domain.publish import Publish
from nova_multi.domain.task import TaskStatus
from nova_multi.provision.service import Caller, Scope
from tests.unit.provision.callers import member_of
from tests.unit.provision.conftest import ADMIN, NOWHERE, console_text


def statuses(task):
    return [str(change.status) for change in task.history]


def test_environment_has_a_project_and_a_network(stage):
    stage.partition()
    task = stage.environment(users=())
    found = stage.service.environments.show(ADMIN, "dev", NOWHERE)
    assert found.state == "ready"
    assert found.partition == "dev_co"
    project = stage.world.projects[found.uuid]
    assert project.parent_id and project.name == "dev"
    assert stage.world.counts() == {
        "projects": 2,
        "networks": 1,
        "subnets": 1,
        "routers": 1,
        "links": 1,
        "security groups": 2,
    }
    assert task.object_uuid == found.uuid


def test_an_instance_waits_for_its_environment(stage):
    stage.partition()
    stage.provisioner()
    stage.service.environments.create(
        ADMIN, {"name": "dev", "partition": "dev_co"}, NOWHERE
    )
    task = stage.done(stage.accept())
    assert task.status == "created"


def test_states_of_an_instance_come_from_novas_records(stage):
    stage.ready()
    task = stage.instance()
    assert statuses(task) == [
        "pending",
        "dispatching",
        "dispatched",
        "setting up",
        "creating",
        "created",
    ]
    times = {str(change.status): change.at for change in task.history}
    (actions,) = stage.world.actions.values()
    (event,) = actions[-1].events
    assert times["dispatched"] == event.start
    assert times["created"] == event.finish
    assert actions[-1].request_id in task.request_ids
    server_id = next(iter(stage.world.servers))
    assert task.object_uuid == server_id
    shown = stage.service.instances.show(ADMIN, "web", NOWHERE)
    assert (shown.uuid, shown.status, shown.host) == (server_id, "ACTIVE", "node1")


def test_everything_goes_away_again(stage):
    stage.ready()
    stage.instance(publish=["8080:80", "53:53/udp"])
    task = stage.done(stage.service.instances.delete(ADMIN, "web", NOWHERE))
    assert statuses(task)[-2:] == ["deleting", "deleted"]
    kinds = stage.world.counts()
    assert "servers" not in kinds and "ports" not in kinds
    assert "forwardings" not in kinds
    task = stage.done(stage.service.environments.delete(ADMIN, "dev", NOWHERE))
    assert task.status == "deleted", task.history[-1].message
    task = stage.done(stage.service.partitions.delete(ADMIN, "dev_co", NOWHERE))
    assert task.status == "deleted", task.history[-1].message
    assert stage.world.left() == {}
    assert stage.world.grants == set()


def test_what_is_full_is_not_deleted(stage, from_nowhere):
    service = stage.ready().service
    stage.instance()
    member = member_of(stage)
    service.provisioners.create(member, {"name": "mine", "image": "debian"}, NOWHERE)
    service.files.create(member, {"name": "seed"}, io.BytesIO(b"x"), NOWHERE)
    fields = {"name": "golden", "type": ImageType.DISK}
    url = {"download_url": "https://images.example.org/a"}
    stage.done(service.images.create(member, fields | url, NOWHERE))
    service.images.create(member, fields | {"name": "debian"}, NOWHERE)
    with pytest.raises(Conflict, match="has instances: web; images: golden$") as caught:
        service.environments.delete(ADMIN, "dev", NOWHERE)
    assert caught.value.code == "not_empty"
    told = "environments: dev; provisioners: mine; images: debian, golden; files: seed$"
    with pytest.raises(Conflict, match=told) as caught:
        service.partitions.delete(ADMIN, "dev_co", NOWHERE)
    assert caught.value.code == "not_empty"
    for noun, name in (
        (service.instances, "web"),
        (service.images, "golden"),
        (service.environments, "dev"),
    ):
        stage.done(noun.delete(ADMIN, name, NOWHERE))
    told = "has provisioners: mine; images: debian; files: seed$"
    with pytest.raises(Conflict, match=told):
        service.partitions.delete(ADMIN, "dev_co", NOWHERE)
    # What was only taken up outlives the project that it was taken up in.
    assert service.images.show(ADMIN, "debian", NOWHERE).status == "active"
    stage.done(service.images.delete(ADMIN, "debian", NOWHERE))
    service.provisioners.delete(ADMIN, "mine", NOWHERE)
    service.files.delete(ADMIN, "seed", NOWHERE)
    task = stage.done(service.partitions.delete(ADMIN, "dev_co", NOWHERE))
    assert task.status == "deleted", task.history[-1].message
    assert stage.world.left() == {}


def test_nothing_comes_into_what_is_being_deleted(stage):
    service = stage.ready().service
    stage.done(service.environments.delete(ADMIN, "dev", NOWHERE))
    service.partitions.delete(ADMIN, "dev_co", NOWHERE)
    scope = Scope(partition="dev_co")
    for ask in (
        lambda: service.provisioners.create(ADMIN, {"name": "late"}, scope),
        lambda: service.files.create(ADMIN, {"name": "l"}, io.BytesIO(b"x"), scope),
        lambda: service.images.create(
            ADMIN, {"name": "debian", "type": ImageType.DISK}, scope
        ),
    ):
        with pytest.raises(Conflict, match="partition dev_co is being deleted"):
            ask()


@pytest.mark.parametrize("kind", ["environment", "partition"])
def test_whose_project_is_gone_can_be_deleted(stage, kind):
    """Keystone refuses the service's account there, and will for ever."""
    service = stage.ready().service
    stage.done(service.environments.delete(ADMIN, "dev", NOWHERE))
    if kind == "environment":
        stage.environment("other")
    (record,) = stage.store.list_records(kind)
    del stage.world.projects[record.openstack_id]
    nouns = getattr(service, f"{kind}s")
    task = stage.done(nouns.delete(ADMIN, record.name, NOWHERE))
    assert task.status == "deleted", task.history[-1].message
    assert stage.store.list_records(kind) == []


def test_an_image_whose_project_is_gone_can_be_deleted(stage, from_nowhere):
    """As one could be left behind by who deletes projects by other ways."""
    service = stage.ready().service
    fields = {"name": "golden", "type": ImageType.DISK}
    url = {"download_url": "https://images.example.org/a"}
    member = member_of(stage)
    stage.done(service.images.create(member, fields | url, NOWHERE))
    del stage.world.projects[member.project_id]
    (record,) = stage.store.list_records("environment")
    stage.store.delete_record("environment", record.uuid)
    assert service.images.show(ADMIN, "golden", NOWHERE).status == "active"
    task = stage.done(service.images.delete(ADMIN, "golden", NOWHERE))
    assert task.status == "deleted", task.history[-1].message
    assert "images" not in stage.world.left()


def test_the_script_reports(stage):
    stage.ready()
    stage.speak("web", "one", "two")
    task = stage.instance(provisioner="site")
    assert statuses(task)[-3:] == ["created", "provisioning", "provisioned"]
    assert task.log.splitlines()[-2:] == ["one", "two"]


def test_a_script_that_fails_leaves_the_instance_to_be_looked_at(stage):
    stage.ready()
    stage.speak("web", "no such package", exit_code=3)
    task = stage.done(stage.accept(provisioner="site"))
    assert task.status == "error"
    last = task.history[-1].message
    assert "step provision" in last and "web" in last and "exit status 3" in last
    assert "kept" in last
    assert "no such package" in task.log
    assert len(stage.world.servers) == 1


def test_a_script_that_fails_takes_the_instance_along_if_told_so(make_stage):
    stage = make_stage(delete_failed=True).ready()
    before = stage.world.left()
    stage.speak("web", exit_code=1)
    task = stage.done(stage.accept(provisioner="site"))
    assert task.status == "error"
    assert stage.world.left() == before


def test_a_guest_that_never_reports(make_stage):
    stage = make_stage(report_timeout=60).ready()
    task = stage.done(stage.accept(provisioner="site"))
    assert task.status == "error"
    assert "not reported anything within 60 s" in task.history[-1].message


def test_a_guest_that_falls_silent(make_stage):
    stage = make_stage(report_timeout=60).ready()
    stage.speak("web", "half of it", exit_code=None)
    task = stage.done(stage.accept(provisioner="site"))
    assert task.status == "error"
    assert "in phase run" in task.history[-1].message
    assert task.log.count("half of it") == 1


def test_a_script_that_talks_for_ever(make_stage):
    stage = make_stage(report_timeout=30, script_timeout=60).ready()
    said = []

    def console(data):
        said.append(f"line {len(said)}")
        return console_text(data, said, exit_code=None)

    stage.world.consoles["web"] = console
    task = stage.done(stage.accept(provisioner="site"))
    assert task.status == "error"
    assert "not ended within 60 s" in task.history[-1].message
    assert "line 3" in task.log


def test_start_stop_restart(stage):
    stage.ready()
    stage.instance()
    (server_id,) = stage.world.servers
    instances = stage.service.instances
    assert stage.done(instances.stop(ADMIN, "web", NOWHERE)).status == "done"
    assert stage.world.servers[server_id].status == "SHUTOFF"
    assert stage.done(instances.start(ADMIN, "web", NOWHERE)).status == "done"
    assert stage.world.servers[server_id].status == "ACTIVE"
    assert stage.done(instances.restart(ADMIN, "web", NOWHERE)).status == "done"
    names = [action.name for action in stage.world.actions[server_id]]
    assert names == ["reboot", "start", "stop", "create"]


def test_several_at_once(stage):
    stage.ready()
    accepted = stage.accept("grid", count=5)
    task = stage.done(accepted)
    assert task.status == "created"
    names = sorted(server.name for server in stage.world.servers.values())
    assert names == [f"grid-{n}" for n in range(1, 6)]
    children = stage.store.tasks(None, parent_uuid=accepted.task_uuid)
    assert len(children) == 5


def test_one_of_several_fails(stage):
    stage.ready()
    stage.world.broken["grid-2"] = "bad"
    task = stage.done(stage.accept("grid", count=3))
    assert task.status == "error"
    assert "1 of 3 failed" in task.history[-1].message
    assert "grid-2" in task.history[-1].message
    assert len(stage.world.servers) == 2


def test_of_several_names_all_or_none_is_taken(stage):
    stage.ready()
    stage.instance("grid-3")
    with pytest.raises(Conflict):
        stage.accept("grid", count=3)
    assert [r.name for r in stage.store.list_records("instance")] == ["grid-3"]


def test_clone(stage):
    stage.ready()
    stage.instance(publish=["8080:80"])
    accepted = stage.service.instances.clone(ADMIN, "web", {"name": "web2"}, NOWHERE)
    assert stage.done(accepted).status == "created"
    snapshot = next(i for i in stage.world.images.values() if "snapshot" in i.name)
    copy = next(s for s in stage.world.servers.values() if s.name == "web2")
    assert copy.image_id == snapshot.id
    assert (
        stage.done(stage.service.instances.delete(ADMIN, "web2", NOWHERE)).status
        == "deleted"
    )
    assert snapshot.id not in stage.world.images
    assert [s.name for s in stage.world.servers.values()] == ["web"]


def test_a_clone_is_on_the_same_networks(stage):
    stage.ready()
    environment = stage.service.environments.show(ADMIN, "dev", NOWHERE)
    networks = stage.tools.clouds.project(environment.uuid).networks
    second = networks.create_network("second", Mark("somebody"))
    stage.instance(networks=("second",), variables={"A": "1"}, tags=("t",))
    accepted = stage.service.instances.clone(ADMIN, "web", {"name": "web2"}, NOWHERE)
    task = stage.done(accepted)
    assert task.status == "created", task.history[-1].message
    ports = [
        [stage.world.ports[port].network_id for port in new.ports]
        for new in stage.world.requests.values()
    ]
    assert ports == [[environment.network_id, second.id]] * 2
    first, clone = (
        stage.service.instances.show(ADMIN, name, NOWHERE) for name in ("web", "web2")
    )
    assert clone.networks == first.networks == ("second",)
    assert (clone.variables, clone.tags) == ({"A": "1"}, ("t",))


def test_a_port_that_is_taken_names_who_has_it(stage):
    stage.ready()
    stage.instance(publish=["8080:80"])
    with pytest.raises(Conflict, match="instance web") as caught:
        stage.accept("other", publish=["8080:81"])
    assert caught.value.code == "port_taken"
    assert [r.name for r in stage.store.list_records("instance")] == ["web"]


def test_a_port_that_is_taken_only_when_it_comes_to_it(stage):
    stage.ready()
    stage.instance(publish=["8080:80"])
    record = stage.store.list_records("instance")[0]
    # As if both had been accepted at the same time.
    stage.store.update_record("instance", record.uuid, merge={"published": []})
    stage.store.update_record("instance", record.uuid, merge={"publish": []})
    before = stage.world.left()
    task = stage.done(stage.accept("other", publish=["8080:81"]))
    assert task.status == "error"
    assert "already published by instance web" in task.history[-1].message
    assert stage.world.left() == before


def test_ports_are_free_again_after_the_delete(stage):
    stage.ready()
    stage.instance(publish=["8080:80"])
    stage.done(stage.service.instances.delete(ADMIN, "web", NOWHERE))
    stage.instance("other", publish=["8080:80"])
    shown = stage.service.instances.show(ADMIN, "other", NOWHERE)
    assert [str(each) for each in shown.published] == ["8080:80"]
    assert len(stage.world.addresses) == 1


def test_other_ports(stage):
    stage.ready()
    stage.instance(publish=["8080:80", "9090:90"])
    fields = {"publish": (Publish(8080, 80), Publish(7070, 70))}
    accepted = stage.service.instances.change(ADMIN, "web", fields, NOWHERE)
    assert stage.done(accepted).status == "done"
    outside = sorted(each.outside for each in stage.world.forwardings.values())
    assert outside == [7070, 8080]


def test_a_port_of_the_guest_at_another_port_of_the_address(stage):
    stage.ready()
    stage.instance(publish=["8080:80", "9090:90"])
    fields = {"publish": (Publish(8081, 80), Publish(None, 90))}
    accepted = stage.service.instances.change(ADMIN, "web", fields, NOWHERE)
    task = stage.done(accepted)
    assert task.status == "done", task.history[-1].message
    outside = sorted(each.outside for each in stage.world.forwardings.values())
    assert outside == [8081, 9090]
    # The guest is still reached at both of its own.
    (port,) = {each.port_id for each in stage.world.forwardings.values()}
    groups = stage.world.ports[port].security_groups
    names = {stage.world.security_groups[each].name for each in groups}
    assert names >= {"publish-tcp-80", "publish-tcp-90"}


def test_other_ports_that_fail_leave_what_was_published(stage):
    stage.ready()
    stage.instance(publish=["8080:80", "9090:90"])
    before = {(e.outside, e.inside) for e in stage.world.forwardings.values()}

    def hook(name, when):
        if name == "publishing.open" and when == "after":
            stage.world.hook = None
            raise Conflict("no more rules")

    stage.world.hook = hook
    fields = {"publish": (Publish(8081, 80), Publish(None, 70))}
    accepted = stage.service.instances.change(ADMIN, "web", fields, NOWHERE)
    task = stage.done(accepted)
    assert task.status == "error" and "no more rules" in task.history[-1].message
    after = {(e.outside, e.inside) for e in stage.world.forwardings.values()}
    assert after == before
    shown = stage.service.instances.show(ADMIN, "web", NOWHERE)
    assert [str(each) for each in shown.published] == ["8080:80", "9090:90"]


def test_deleted_while_it_is_made(stage):
    stage.ready()
    before = stage.world.left()
    accepted = stage.accept(publish=["8080:80"])
    stage.work(until=lambda: stage.world.servers)
    stage.service.instances.delete(ADMIN, "web", NOWHERE)
    stage.forget_leases()
    stage.work()
    task = stage.store.task(accepted.task_uuid)
    assert task.status == "error"
    assert "deleted while it was made" in task.history[-1].message
    assert stage.world.left() == before
    assert stage.store.list_records("instance") == []


def test_no_host_names_the_requirement(stage):
    stage.ready()
    stage.world.add_machine("node2")
    task = stage.done(stage.accept(memory_mb=999_999))
    assert task.status == "error"
    assert "999999 MB of memory" in task.history[-1].message


def test_nova_finds_no_host_placement_says_why(stage):
    stage.ready()
    stage.world.broken["web"] = "unplaced"
    task = stage.done(stage.accept())
    assert "no host meets: memory" in task.history[-1].message


def test_a_driver_that_no_host_has(stage):
    stage.ready()
    for host in list(stage.world.services):
        if host.endswith("-docker"):
            del stage.world.services[host]
    stage.provisioner("boxed", image="alpine-docker")
    with pytest.raises(Invalid) as caught:
        stage.accept(provisioner="boxed", driver=Driver.DOCKER)
    assert caught.value.field == "driver"


def test_the_policy_chooses_the_machine(stage):
    stage.ready()
    stage.world.add_machine("node2")
    for number in range(4):
        stage.instance(f"web{number}")
    hosts = [new.host for new in stage.world.requests.values()]
    assert sorted(hosts) == ["node1", "node1", "node2", "node2"]


@pytest.mark.parametrize("why", ["unplaced", "unclaimed"])
def test_a_host_that_was_filled_meanwhile_has_a_second(stage, why):
    stage.ready()
    stage.world.add_machine("node2")
    accepted = stage.accept(publish=["8080:80"])

    def fill(name, when):
        # Somebody else's server comes between our choice and Nova's.
        if (name, when) == ("servers.create", "before"):
            stage.world.refusing["node1"] = why

    stage.world.hook = fill
    task = stage.done(accepted)
    assert task.status == "created", task.history[-1].message
    assert [new.host for new in stage.world.requests.values()] == ["node1", "node2"]
    (server,) = stage.world.servers.values()
    assert (server.host, server.id) == ("node2", task.object_uuid)
    assert f"host node1 refused it (it was {why})" in task.log
    shown = stage.service.instances.show(ADMIN, "web", NOWHERE)
    assert (shown.uuid, shown.status) == (server.id, "ACTIVE")
    assert len(stage.world.ports) == len(stage.world.forwardings) == 1
    stage.world.hook = None
    stage.done(stage.service.instances.delete(ADMIN, "web", NOWHERE))
    assert "servers" not in stage.world.left()


def test_what_every_host_refuses_ends(stage):
    stage.ready()
    before = stage.world.left()
    for number in range(2, 6):
        stage.world.add_machine(f"node{number}")
    stage.world.refusing = {f"node{number}": "unplaced" for number in range(1, 6)}
    task = stage.done(stage.accept())
    assert task.status == "error"
    assert "it was unplaced (no host meets: memory)" in task.history[-1].message
    tried = [new.host for new in stage.world.requests.values()]
    assert tried == ["node1", "node2", "node3"]
    assert stage.world.left() == before


@pytest.mark.parametrize(
    ("fields", "broken"), [({"node": "node1"}, "unplaced"), ({}, "spoilt")]
)
def test_what_is_not_tried_elsewhere(stage, fields, broken):
    """A node that was named, and what a compute had begun to make."""
    stage.ready()
    stage.world.add_machine("node2")
    stage.world.refusing["node1"] = broken
    task = stage.done(stage.accept(**fields))
    assert task.status == "error"
    assert [new.host for new in stage.world.requests.values()] == ["node1"]


def test_openstack_that_is_away_is_waited_for(stage):
    from nova_multi.domain.errors import Unavailable

    stage.ready()
    accepted = stage.accept()
    refusals = iter(range(5))

    def hook(name, when):
        if (
            name == "servers.create"
            and when == "before"
            and next(refusals, None) is not None
        ):
            raise Unavailable("Nova is away", retry_after=7)

    stage.world.hook = hook
    stage.work()
    task = stage.store.task(accepted.task_uuid)
    assert task.status == "created"
    assert task.log.count("Nova is away") == 1


def test_openstack_that_stays_away_ends_it(stage):
    from nova_multi.domain.errors import Unavailable

    stage.ready()
    before = stage.world.left()
    accepted = stage.accept()

    def hook(name, when):
        if name == "servers.create":
            raise Unavailable("Nova is away", retry_after=30)

    stage.world.hook = hook
    stage.work()
    task = stage.store.task(accepted.task_uuid)
    assert task.status == TaskStatus.ERROR
    assert "Nova is away" in task.history[-1].message
    assert stage.world.left() == before


def test_who_comes_from_another_project(make_stage, stage):
    elsewhere = Caller("user-x", "p-elsewhere", frozenset({"admin"}), admin=True)
    inside = Caller("user-single", "p-single", frozenset({"member"}))
    single = make_stage(single=True).service
    assert single.admits(inside) and not single.admits(elsewhere)
    assert stage.service.admits(elsewhere)


def test_one_project_of_an_ordinary_user(make_stage):
    stage = make_stage(single=True)
    stage.world.flavors["m1"] = __import__(
        "nova_multi.cloud.values", fromlist=["Flavor"]
    ).Flavor("m1", "m1.small", 1, 2048, 20)
    stage.partition()
    stage.environment()
    stage.provisioner()
    stage.instance(publish=["8080:80"])
    shown = stage.service.instances.show(ADMIN, "web", NOWHERE)
    assert shown.status == "ACTIVE"
    stage.done(stage.service.instances.delete(ADMIN, "web", NOWHERE))
    task = stage.done(stage.service.environments.delete(ADMIN, "dev", NOWHERE))
    assert task.status == "deleted", task.history[-1].message
    assert {k for k in stage.world.left()} <= {"security groups"}
