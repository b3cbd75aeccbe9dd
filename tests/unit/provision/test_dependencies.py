# SPDX-License-Identifier: Apache-2.0
"""What a provisioner depends on is reused where it stands, and made first where not."""

import dataclasses
import itertools

import pytest

from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, Invalid, NameTaken
from nova_multi.domain.names import Kind
from nova_multi.domain.permissions import Permissions
from nova_multi.provision.service import Caller, Scope
from nova_multi.provision.steps.dependencies import variables
from tests.unit.provision.conftest import ADMIN, NOWHERE, console_text


@pytest.fixture
def built(stage):
    """The provisioner shop depends on database, and that on storage."""
    stage.ready()
    stage.provisioner("storage")
    stage.provisioner("database", script="echo data\n", depends=("storage",))
    stage.provisioner("shop", script="echo shop\n", depends=("database",))
    stage.speak("database", "data")
    stage.speak("web", "shop")
    return stage


def names(stage):
    return sorted(record.name for record in stage.store.list_records(Kind.INSTANCE))


def server(stage, name):
    (found,) = (s for s in stage.world.servers.values() if s.name == name)
    return found


def user_data(stage, name):
    return stage.world.requests[server(stage, name).id].user_data.decode()


def moment(stage, name, status):
    (record,) = (r for r in stage.store.list_records(Kind.INSTANCE) if r.name == name)
    task = stage.store.task(record.task_uuid)
    (at,) = (change.at for change in task.history if change.status == status)
    return at


def test_what_does_not_stand_is_made_first(built):
    task = built.instance(provisioner="shop")
    assert names(built) == ["database", "storage", "web"]
    # Their tasks are to be found from the one that was asked for.
    found = built.store.tasks(None, parent_uuid=task.uuid)
    assert {each.description.split()[-1] for each in found} == {"database", "storage"}
    # No server was made before what it depends on was at its end.
    assert moment(built, "storage", "created") <= moment(
        built, "database", "setting up"
    )
    ended = moment(built, "database", "provisioned")
    assert ended <= moment(built, "web", "setting up")
    address = server(built, "database").addresses[0].address
    assert f"export DATABASE_ADDRESS={address}\n" in user_data(built, "web")
    assert "STORAGE_ADDRESS=" in user_data(built, "database")
    # Only what it depends on itself is its business.
    assert "STORAGE_ADDRESS" not in user_data(built, "web")
    assert "waits for instance database of database, task " in task.log


def test_what_stands_is_reused(built):
    built.speak("db", "data")
    built.instance("db", provisioner="database")
    assert names(built) == ["db", "storage"]
    task = built.instance(provisioner="shop")
    assert names(built) == ["db", "storage", "web"]
    assert built.store.tasks(None, parent_uuid=task.uuid) == []
    address = server(built, "db").addresses[0].address
    assert f"export DATABASE_ADDRESS={address}\n" in user_data(built, "web")


def test_what_stands_needs_nothing_any_more(built):
    built.speak("db", "data")
    built.instance("db", provisioner="database")
    for name in ("storage",):
        built.done(built.service.instances.delete(ADMIN, name, NOWHERE))
    built.service.provisioners.delete(ADMIN, "storage", NOWHERE)
    built.service.provisioners.delete(ADMIN, "database", NOWHERE)
    built.instance(provisioner="shop")
    assert names(built) == ["db", "web"]


def test_what_is_being_made_is_waited_for(built):
    first = built.accept("web", provisioner="shop")
    second = built.accept("other", provisioner="shop")
    built.speak("other", "shop")
    assert names(built) == ["database", "other", "storage", "web"]
    built.work()
    for accepted in (first, second):
        assert built.store.task(accepted.task_uuid).status == "provisioned"
    assert "DATABASE_ADDRESS" in user_data(built, "other")


def test_several_instances_of_a_dependency(built):
    built.provisioner("cache-2.0", launch=3)
    built.provisioner("site2", script="echo\n", depends=("cache-2.0", "database"))
    for name in ("web-1", "web-2"):
        built.speak(name, "made")
    task = built.done(built.accept(provisioner="site2", count=2))
    assert task.status == "provisioned", task.history[-1].message
    caches = [f"cache-2.0-{number}" for number in (1, 2, 3)]
    assert names(built) == [*caches, "database", "storage", "web-1", "web-2"]
    addresses = [server(built, each).addresses[0].address for each in caches]
    told = user_data(built, "web-2")
    assert f"export CACHE_2_0_ADDRESSES='{' '.join(addresses)}'\n" in told
    assert f"export CACHE_2_0_ADDRESS={addresses[0]}\n" in told
    # The one task that stands for the request stands for all that it made.
    assert len(built.store.tasks(None, parent_uuid=task.uuid)) == 7


def test_what_was_asked_for_goes_before_what_was_found(built):
    built.instance(provisioner="shop", variables={"DATABASE_ADDRESS": "192.0.2.1"})
    assert "export DATABASE_ADDRESS=192.0.2.1\n" in user_data(built, "web")


def test_a_dependency_that_fails(built):
    built.speak("database", "data", exit_code=3)
    task = built.done(built.accept(provisioner="shop"))
    assert task.status == "error"
    message = task.history[-1].message
    assert message.startswith("step dependencies, instance web: dependency database")
    assert "exit status 3" in message
    # The instance is kept to be looked at, and stands in the way until it is deleted.
    assert names(built) == ["database", "storage"]
    with pytest.raises(Conflict, match="instance database has failed") as caught:
        built.accept(provisioner="shop")
    assert caught.value.code == "dependency_failed"
    built.done(built.service.instances.delete(ADMIN, "database", NOWHERE))
    built.speak("database", "data")
    built.instance(provisioner="shop")


def test_one_that_failed_is_no_harm_beside_one_that_stands(built):
    built.speak("good", "data")
    built.speak("bad", "data", exit_code=1)
    built.instance("good", provisioner="database")
    assert built.done(built.accept("bad", provisioner="database")).status == "error"
    # Nor is one that is being made, or that is deleted meanwhile.
    built.speak("new", "data")
    built.accept("new", provisioner="database")
    accepted = built.accept(provisioner="shop")
    built.work()
    assert built.store.task(accepted.task_uuid).status == "provisioned"
    address = server(built, "good").addresses[0].address
    assert f"export DATABASE_ADDRESSES={address}\n" in user_data(built, "web")
    built.speak("more", "shop")
    accepted = built.accept("more", provisioner="shop")
    built.service.instances.delete(ADMIN, "good", NOWHERE)
    built.work()
    assert built.store.task(accepted.task_uuid).status == "provisioned"
    address = server(built, "new").addresses[0].address
    assert f"export DATABASE_ADDRESS={address}\n" in user_data(built, "more")


def test_only_a_failed_one_of_another_name(built):
    """It is left alone, and a new one made."""
    built.speak("bad", "data", exit_code=1)
    assert built.done(built.accept("bad", provisioner="database")).status == "error"
    built.instance(provisioner="shop")
    assert names(built) == ["bad", "database", "storage", "web"]


def test_the_waiting_one_is_deleted(built):
    """At once, however long what it waits for takes."""
    built.world.consoles["database"] = lambda data: ""
    accepted = built.accept(provisioner="shop")
    built.work(until=lambda: "waits for" in built.store.task(accepted.task_uuid).log)
    deleted = built.service.instances.delete(ADMIN, "web", NOWHERE).task_uuid
    built.forget_leases()
    built.work(until=lambda: built.store.task(deleted).is_final)
    task = built.store.task(deleted)
    assert task.status == "deleted", task.history[-1].message
    assert names(built) == ["database", "storage"]


def test_what_the_caller_may_not_see_is_not_reused(built):
    secret = Permissions("rwx------")
    for name, depends in (("storage", ()), ("database", ("storage",))):
        script = "echo data\n" if depends else ""
        fields = {"name": name, "image": "debian", "depends": depends, "script": script}
        scope = Scope(partition="dev_co")
        built.service.provisioners.create(ADMIN, fields, scope)
    built.instance("mine", provisioner="storage", permissions=secret)
    (partition,) = built.store.list_records(Kind.PARTITION)
    bob = Caller("user-b", partition.openstack_id, frozenset({"member"}), "req-2")
    fields = {
        "name": "web",
        "environment": "dev",
        "provisioner": "database",
        "permissions": secret,
    }
    built.speak("web", "data")
    built.done(built.service.instances.create(bob, fields, NOWHERE))
    assert names(built) == ["mine", "storage", "web"]
    made = {r.name: r for r in built.store.list_records(Kind.INSTANCE)}
    # What is made for it is as private as it is.
    assert made["storage"].permissions == secret
    assert made["storage"].owner_id == "user-b"
    address = server(built, "mine").addresses[0].address
    assert address not in user_data(built, "web")


def test_too_many_in_one_request(built):
    built.service.provisioners.change(ADMIN, "storage", {"launch": 600}, NOWHERE)
    with pytest.raises(Invalid, match="1001 instances") as caught:
        built.accept(provisioner="shop", count=400)
    assert caught.value.field == "count"
    assert names(built) == []


def test_addresses_that_do_not_fit(built):
    built.provisioner("long", script="#" * 44_000, depends=("storage",))
    with pytest.raises(Invalid) as caught:
        built.service.provisioners.change(ADMIN, "storage", {"launch": 64}, NOWHERE)
        built.accept(provisioner="long")
    assert caught.value.code == "user_data_too_large"
    assert names(built) == []


def test_two_dependencies_with_variables_of_one_name(built):
    for name in ("my-db", "my.db"):
        built.provisioner(name)
    with pytest.raises(Invalid, match=r"my-db and my\.db give the script"):
        built.provisioner("both", depends=("my-db", "my.db"))


def test_a_default_goes_behind_what_was_found(built):
    defaults = {"DATABASE_ADDRESS": "localhost", "OTHER": "kept"}
    built.service.provisioners.change(ADMIN, "shop", {"variables": defaults}, NOWHERE)
    built.instance(provisioner="shop")
    address = server(built, "database").addresses[0].address
    assert f"export DATABASE_ADDRESS={address}\n" in user_data(built, "web")
    assert "export OTHER=kept\n" in user_data(built, "web")


def test_a_dependency_that_can_not_be_made(built):
    del built.world.services["node1"]
    built.world.hypervisors.clear()
    with pytest.raises(Invalid, match="no host has the driver"):
        built.accept(provisioner="shop")
    assert names(built) == []
    assert len(built.store.tasks(None)) == 2


def test_a_builder_on_an_image_without_git(built):
    """Also where it is only depended on; nothing is begun."""
    images = built.world.images
    [image] = [each for each in images.values() if each.name == "debian"]
    lacking = {**image.properties, "nova_multi_without": "git"}
    images[image.id] = dataclasses.replace(image, properties=lacking)
    built.provisioner(
        "cloned", script="", builder="https://git.example/a.git", executor="make"
    )
    built.provisioner("on", script="true\n", depends=("cloned",))
    before = names(built)
    for name in ("cloned", "on"):
        with pytest.raises(Invalid, match="has no git") as caught:
            built.instance(provisioner=name)
        assert caught.value.code == "image_without_program"
    assert names(built) == before
    # Whatever was installed since is in a snapshot.
    snapshot = {**lacking, "image_type": "snapshot"}
    images[image.id] = dataclasses.replace(image, properties=snapshot)
    built.speak("web", "cloned")
    built.instance(provisioner="cloned")


def test_a_dependency_that_is_deleted_meanwhile(built):
    accepted = built.accept(provisioner="shop")
    built.service.instances.delete(ADMIN, "database", NOWHERE)
    built.work()
    task = built.store.task(accepted.task_uuid)
    assert task.status == "error"
    assert "dependency database" in task.history[-1].message
    assert names(built) == ["storage"]


def test_its_name_is_somebody_elses(built):
    built.instance("database")
    with pytest.raises(NameTaken, match="database"):
        built.accept(provisioner="shop")
    assert names(built) == ["database"]


def test_an_unknown_dependency(built):
    built.service.provisioners.delete(ADMIN, "storage", NOWHERE)
    with pytest.raises(Invalid, match="storage is unknown, needed by database"):
        built.accept(provisioner="shop")


def test_two_who_need_the_same_at_once(built, monkeypatch):
    """Of both, one begins to make it; the other waits for that."""
    accept, once = built.store.accept, []

    def late(*given):
        monkeypatch.setattr(built.store, "accept", accept)
        once.append(built.accept("other", provisioner="shop"))
        return accept(*given)

    monkeypatch.setattr(built.store, "accept", late)
    built.speak("other", "shop")
    accepted = built.accept("web", provisioner="shop")
    assert names(built) == ["database", "other", "storage", "web"]
    built.work()
    for each in (*once, accepted):
        assert built.store.task(each.task_uuid).status == "provisioned"


def test_the_same_driver_where_its_image_leaves_a_choice(built):
    for driver in ("docker", "lxd"):
        system = {"os_distro": "any", "os_version": "1"}
        built.world.add_image(f"any-{driver}", driver, properties=system)
    built.provisioner("base", image="any-1")
    built.provisioner("top", image="any-1", depends=("base",))
    built.instance(provisioner="top", driver=Driver.LXD)
    driver = {
        record.name: record.data["driver"]
        for record in built.store.list_records(Kind.INSTANCE)
    }
    assert driver == {"base": "lxd", "web": "lxd"}
    built.done(built.service.instances.delete(ADMIN, "base", NOWHERE))
    with pytest.raises(Invalid, match="say which driver"):
        built.accept("more", provisioner="top")
    # Also where the image of what was asked for decides.
    built.provisioner("lxd-only", image="any-lxd", depends=("base",))
    built.instance("last", provisioner="lxd-only")
    (base,) = built.store.list_records(Kind.INSTANCE, name="base")
    assert base.data["driver"] == "lxd"


def test_a_worker_that_dies_while_it_waits(built):
    """Whenever that is: nothing is lost, and nothing doubled."""
    for number in itertools.count():
        accepted = built.accept(provisioner="shop")
        died = built.die_before(7 * number)
        built.forget_leases()
        built.work()
        task = built.store.task(accepted.task_uuid)
        assert task.status == "provisioned", (number, task.history[-1].message)
        assert task.log.splitlines().count("shop") == 1
        assert task.log.count("waits for instance") <= 1
        assert len(built.world.servers) == 3
        for name in ("web", "database", "storage"):
            built.done(built.service.instances.delete(ADMIN, name, NOWHERE))
        assert not built.world.servers
        if not died:
            break
    assert number > 5


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("database", "DATABASE"), ("my-db.1", "MY_DB_1"), ("2nd", "_2ND"), ("ü", "_")],
)
def test_names_of_variables(name, prefix):
    assert variables(name, ["10.0.0.1", "10.0.0.2"]) == {
        f"{prefix}_ADDRESS": "10.0.0.1",
        f"{prefix}_ADDRESSES": "10.0.0.1 10.0.0.2",
    }


def test_outputs_of_a_dependency_are_given_as_data(built):
    nasty = "it's $(id)"
    built.world.consoles["database"] = lambda data: console_text(
        data, reports=("output port 5432", f"output word {nasty}", "output address x")
    )
    built.world.consoles["web"] = lambda data: console_text(data)
    task = built.done(built.accept(provisioner="shop"))
    assert task.status == "provisioned", task.history[-1].message
    told = user_data(built, "web")
    assert "export DATABASE_OUTPUT_PORT=5432\n" in told
    assert "export DATABASE_OUTPUT_WORD='it'\"'\"'s $(id)'\n" in told
    assert "export DATABASE_OUTPUT_ADDRESS=x\n" in told
    assert "export DATABASE_ADDRESS=x\n" not in told
