# SPDX-License-Identifier: Apache-2.0
"""Working hours: who acts when, what is saved and what is never lost."""

import datetime
import json
import threading

import pytest

from nova_multi.domain import times
from nova_multi.domain.errors import Conflict, Invalid, NotFound, Unavailable
from nova_multi.domain.task import TaskType
from nova_multi.provision import hours, saved
from nova_multi.provision.nouns.switching import Switching
from tests.fixtures.fake_cloud.image_identity import FakeImages
from tests.unit.provision import shop
from tests.unit.provision.callers import DEBIAN_12
from tests.unit.provision.conftest import ADMIN, NOWHERE

#: The clock begins on Friday 2026-05-01, 12:00 UTC.
WORK = {"days": "mon-fri", "hours": "08:00-18:00"}
NIGHT = {"hours": "20:00-06:00"}
HOUR = 3600


def hours_of(**fields):
    return shop.shop() | {"schedule": {**WORK, **fields}}


@pytest.fixture
def built(stage):
    return shop.furnish(stage)


def look(stage):
    Switching(stage.tools).look()


def switched(stage):
    """What the periodic look has begun, done to its end; the tasks."""
    before = {each.uuid for each in stage.store.tasks(None)}
    look(stage)
    stage.work()
    return [
        each
        for each in stage.store.tasks(None)
        if each.uuid not in before and not each.parent_uuid
    ]


def until(stage, text):
    at = times.parse_time(text)
    assert at >= stage.clock.at
    stage.clock.at = at


def at_work(stage, **fields):
    """The shop stands, in its hours."""
    shop.apply(stage, hours_of(**fields))
    assert switched(stage) == []
    return stage


def environment(stage):
    return stage.service.environments.show(ADMIN, "shop", NOWHERE)


def record(stage):
    (found,) = stage.store.list_records("environment", name="shop")
    return found


def evening(stage, day="2026-05-01"):
    until(stage, f"{day}T18:00:05Z")
    (task,) = switched(stage)
    assert task.type is TaskType.CLOSE_ENVIRONMENT
    return task


def morning(stage, day="2026-05-04"):
    until(stage, f"{day}T08:00:05Z")
    (task,) = switched(stage)
    assert task.type is TaskType.APPLY_ENVIRONMENT
    return task


def now(stage, name):
    """A server after what Nova was at is done."""
    server = shop.server(stage, name)
    servers = stage.tools.clouds.project(server.project_id).servers
    for _ in range(5):
        server = servers.server(server.id)
    return server


def message(task):
    return task.history[-1].message


# -- a day


def test_closed_in_the_evening_and_made_again_in_the_morning(built):
    at_work(built)
    address = environment(built).publish_address
    project = environment(built).uuid
    first = {server.id for server in built.world.servers.values()}

    task = evening(built)
    assert task.status == "deleted", message(task)
    assert task.description == "close environment shop: its hours are over"
    assert shop.names(built) == []
    assert switched(built) == []
    # What is to be the same tomorrow.
    assert environment(built).publish_address == address
    assert environment(built).uuid == project

    until(built, "2026-05-04T07:59:55Z")
    assert switched(built) == []
    task = morning(built)
    assert task.status == "done", message(task)
    assert shop.names(built) == ["db", "web-1", "web-2"]
    assert not first & {server.id for server in built.world.servers.values()}
    assert switched(built) == []
    assert shop.plan(built, hours_of()).is_empty


def test_generated_values_stay(built):
    definition = hours_of()
    definition["inputs"] = {"password": {"generate": "password"}}
    definition["instances"]["db"]["variables"] = {"P": "${inputs.password}"}
    shop.apply(built, definition)

    def password():
        lines = shop.user_data(built, "db").splitlines()
        return next(each for each in lines if each.startswith("export P="))

    before = password()
    evening(built)
    assert morning(built).status == "done"
    assert password() == before


def test_a_project_is_left_as_it_was_by_a_destroy_while_it_is_closed(built):
    before = built.world.left()
    at_work(built, save=["db"])
    evening(built)
    shop.destroy(built)
    assert built.world.left() == before
    assert not built.store.list_records(saved.KIND)
    assert switched(built) == []


def test_what_no_definition_has_made_stays(built):
    at_work(built)
    built.provisioner("plain", image="debian")
    built.instance("other", environment="shop")
    assert evening(built).status == "deleted"
    assert shop.names(built) == ["other"]
    assert morning(built).status == "done"


def test_the_newest_image_is_taken(built):
    at_work(built)
    evening(built)
    newer = built.world.add_image("debian-lxd-2", "lxd", properties=DEBIAN_12)
    # Glance lists the newest first.
    built.world.images = {newer.id: newer, **built.world.images}
    morning(built)
    assert shop.server(built, "db").image_id == newer.id


# -- who acts, and how often


def test_of_any_number_of_workers_one_acts(built):
    at_work(built)
    until(built, "2026-05-01T18:00:00Z")
    barrier = threading.Barrier(4)

    def worker():
        barrier.wait()
        look(built)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found = built.store.tasks(None, type=TaskType.CLOSE_ENVIRONMENT)
    assert len(found) == 1
    built.work()


def test_two_that_have_read_the_same_are_one(built):
    at_work(built)
    until(built, "2026-05-01T18:00:00Z")
    one, two = Switching(built.tools), Switching(built.tools)
    stale = record(built)
    one._look_at(stale)
    with pytest.raises(Conflict) as caught:
        two._look_at(stale)
    assert caught.value.code == "changed"


def test_an_outage_over_many_changes_is_followed_by_one(built):
    at_work(built)
    # From Friday noon to Wednesday noon nobody looked: it stands, and is to stand.
    until(built, "2026-05-06T12:00:00Z")
    (task,) = switched(built)
    assert task.type is TaskType.APPLY_ENVIRONMENT
    assert "nothing to do" in built.store.task(task.uuid).log
    until(built, "2026-05-08T03:00:00Z")
    (task,) = switched(built)
    assert task.type is TaskType.CLOSE_ENVIRONMENT
    assert shop.names(built) == []
    # A whole day passed over while it was closed: nothing is there to be closed.
    until(built, "2026-05-09T03:00:00Z")
    assert switched(built) == []
    assert switched(built) == []


def test_a_task_that_comes_too_late_does_nothing(built):
    at_work(built)
    until(built, "2026-05-01T18:00:00Z")
    look(built)
    # No worker was there until Monday noon.
    until(built, "2026-05-04T12:00:00Z")
    look(built)
    servers = set(built.world.servers)
    built.work()
    closing, opening = sorted(
        (each for each in built.store.tasks(None) if "hours" in each.description),
        key=lambda each: each.created,
    )
    assert closing.status == "deleted" and opening.status == "done"
    log = built.store.task(closing.uuid).log
    assert "its hours are not over any more: nothing is done" in log
    assert set(built.world.servers) == servers


def test_a_begin_behind_an_end_that_goes_on_waits_for_it(built):
    at_work(built)
    until(built, "2026-05-01T18:00:00Z")
    look(built)
    shop_record = record(built)
    schedule = {"schedule": {"hours": "00:00-12:00"}}
    with pytest.raises(Conflict):
        built.service.environments.define(
            ADMIN, "shop", {"definition": hours_of()}, NOWHERE
        )
    # Its hours are changed meanwhile: closed all the same.
    built.service.environments.change(ADMIN, "shop", schedule, NOWHERE)
    look(built)
    queue = record(built).data["applying"]
    assert queue[:1] == shop_record.data["applying"] and len(queue) == 2
    built.work()
    assert shop.names(built) == []


# -- by hand


def test_what_is_applied_by_hand_stays_until_the_next_change(built):
    until(built, "2026-05-01T20:00:00Z")
    shop.apply(built, hours_of())
    assert switched(built) == []
    assert len(shop.names(built)) == 3
    assert morning(built).status == "done"
    assert evening(built, "2026-05-04").status == "deleted"
    # Again at night, without the file.
    fields = {}
    task = built.done(built.service.environments.apply(ADMIN, "shop", fields, NOWHERE))
    assert task.status == "done"
    until(built, "2026-05-05T02:00:00Z")
    assert switched(built) == []
    assert len(shop.names(built)) == 3


def test_a_schedule_counts_from_now_on(built):
    shop.apply(built)
    change = {"schedule": NIGHT}
    shown = built.service.environments.change(ADMIN, "shop", change, NOWHERE)
    assert shown.schedule == {"hours": ["20:00-06:00"]}
    (task,) = switched(built)
    assert task.type is TaskType.CLOSE_ENVIRONMENT and task.status == "deleted"
    built.service.environments.change(ADMIN, "shop", {"schedule": WORK}, NOWHERE)
    (task,) = switched(built)
    assert task.type is TaskType.APPLY_ENVIRONMENT and task.status == "done"
    # The same once more is no change.
    built.service.environments.change(ADMIN, "shop", {"schedule": WORK}, NOWHERE)
    assert switched(built) == []


def test_without_hours_what_was_closed_comes_back(built):
    at_work(built)
    evening(built)
    built.service.environments.change(ADMIN, "shop", {"schedule": None}, NOWHERE)
    (task,) = switched(built)
    assert task.type is TaskType.APPLY_ENVIRONMENT and task.status == "done"
    assert switched(built) == []
    until(built, "2026-05-09T18:00:05Z")
    assert switched(built) == []


def test_without_hours_what_was_destroyed_stays_away(built):
    at_work(built)
    shop.destroy(built)
    assert switched(built) == []
    until(built, "2026-05-04T08:00:05Z")
    assert switched(built) == []


def test_a_definition_that_is_only_kept_is_made_in_its_hours(built):
    built.environment("shop")
    built.service.environments.define(
        ADMIN, "shop", {"definition": hours_of()}, NOWHERE
    )
    (task,) = switched(built)
    assert task.type is TaskType.APPLY_ENVIRONMENT and task.status == "done"
    assert len(shop.names(built)) == 3


def test_an_environment_without_a_definition_is_left_alone(built):
    built.environment("plain", schedule=NIGHT)
    assert switched(built) == []


def test_a_plan_tells_of_a_schedule(built):
    shop.apply(built)
    (step,) = shop.plan(built, hours_of()).steps
    assert [str(each) for each in step.differences] == ["schedule: in place"]
    shop.apply(built, hours_of())
    assert shop.plan(built, hours_of()).is_empty
    # A file that leaves it out leaves it as it is.
    assert shop.plan(built).is_empty
    assert environment(built).schedule == {
        "days": ["mon-fri"],
        "hours": ["08:00-18:00"],
    }
    shop.apply(built, shop.shop() | {"schedule": {}})
    assert environment(built).schedule == {}


@pytest.mark.parametrize(
    "schedule", [{"hour": "x"}, {"hours": "8-18"}, {"timezone": "Mars/Phobos"}]
)
def test_what_is_no_schedule_is_refused(built, schedule):
    with pytest.raises(Invalid) as caught:
        built.environment("plain", schedule=schedule)
    assert caught.value.details[0]["field"].startswith("schedule.")
    built.environment("plain")
    change = {"schedule": schedule}
    with pytest.raises(Invalid):
        built.service.environments.change(ADMIN, "plain", change, NOWHERE)


def test_a_schedule_of_an_older_release_is_no_end(built):
    built.environment("plain")
    (plain,) = built.store.list_records("environment", name="plain")
    merge = {hours.SCHEDULE: {"what": [1]}}
    built.store.update_record("environment", plain.uuid, merge=merge)
    assert switched(built) == []
    shown = built.service.environments.show(ADMIN, "plain", NOWHERE)
    assert shown.schedule == {"what": [1]}


# -- what fails


def test_a_begin_that_can_not_be_planned_is_told_by_its_task(built):
    at_work(built)
    evening(built)
    images, built.world.images = built.world.images, {}
    task = morning(built)
    assert task.status == "error"
    assert "image debian-12" in message(task)
    assert switched(built) == []
    built.world.images = images
    built.clock.forward(built.tools.settings.hours_retry)
    (again,) = switched(built)
    assert again.status == "done", message(again)
    assert switched(built) == []


def test_the_pause_between_tries_grows(built):
    at_work(built)
    evening(built)
    built.world.images = {}
    morning(built)
    pause = built.tools.settings.hours_retry
    for factor in (1, 2, 4, 8, 16, 16):
        built.clock.forward(pause * factor - 30)
        assert switched(built) == []
        built.clock.forward(31)
        (task,) = switched(built)
        assert task.status == "error"


def test_what_does_not_answer_is_asked_again(built, monkeypatch):
    at_work(built)
    evening(built)
    until(built, "2026-05-04T08:00:05Z")

    def away(*args, **named):
        raise Unavailable("Glance does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(Switching, "_wanted", away)
        look(built)
    assert switched(built)[0].status == "done"


# -- saving


def stored(stage):
    found = stage.store.list_records(saved.KIND)
    return {each.name: each.openstack_id for each in found}


def test_a_disk_is_there_again(built):
    at_work(built, save=["db"])
    server = shop.server(built, "db")
    task = evening(built)
    assert task.status == "deleted", message(task)
    calls = built.world.calls
    stopped = calls.index("servers.stop")
    taken = calls.index("servers.snapshot")
    assert stopped < taken < calls.index("servers.delete")
    assert "saved: db" in built.store.task(task.uuid).log
    kept = stored(built)
    assert list(kept) == ["db[0]"]
    image = built.world.images[kept["db[0]"]]
    assert image.owner == server.project_id

    task = morning(built)
    assert task.status == "done", message(task)
    assert shop.server(built, "db").image_id == image.id
    assert shop.server(built, "web-1").image_id != image.id
    # Its script runs on it once more, and nothing is taken for changed.
    assert "echo data" in shop.user_data(built, "db")
    assert shop.plan(built, hours_of(save=["db"])).is_empty

    # It takes the place of the one before.
    evening(built, "2026-05-04")
    assert stored(built)["db[0]"] != image.id
    assert image.id not in built.world.images
    assert len([i for i in built.world.images.values() if "snapshot" in i.name]) == 1


def test_each_of_several_has_its_own(built):
    at_work(built, save=["web"])
    evening(built)
    assert sorted(stored(built)) == ["web[0]", "web[1]"]
    morning(built)
    images = {name: shop.server(built, name).image_id for name in ("web-1", "web-2")}
    assert images == {
        "web-1": stored(built)["web[0]"],
        "web-2": stored(built)["web[1]"],
    }


def fail_snapshots(stage, monkeypatch):
    """Nova takes the request, and later takes the image back."""

    def gone(self, image_id):
        found = self._get("images", image_id)
        if "snapshot" in found.name:
            del self.world.images[image_id]
            raise NotFound(f"there is no image {image_id}")
        return found

    monkeypatch.setattr(FakeImages, "image", gone)


def test_what_can_not_be_saved_is_not_destroyed(built, monkeypatch):
    at_work(built, save=["db"])
    images = set(built.world.images)
    with monkeypatch.context() as broken:
        fail_snapshots(built, broken)
        task = evening(built)
    assert task.status == "error"
    assert "db can't be saved (snapshot): it failed: its image is gone" in message(task)
    assert "nothing was destroyed" in message(task)
    assert shop.names(built) == ["db", "web-1", "web-2"]
    # It runs again, and nothing is left of the try.
    assert now(built, "db").status == "ACTIVE"
    assert set(built.world.images) == images
    assert switched(built) == []
    built.clock.forward(built.tools.settings.hours_retry)
    (task,) = switched(built)
    assert task.status == "deleted", message(task)
    assert shop.names(built) == []


def test_what_can_not_be_saved_is_destroyed_if_one_wants_that(built, monkeypatch):
    at_work(built, save=["db", "web"], unsaved="destroy")
    with monkeypatch.context() as broken:
        fail_snapshots(built, broken)
        task = evening(built)
    assert task.status == "deleted", message(task)
    assert "it is destroyed all the same" in built.store.task(task.uuid).log
    assert shop.names(built) == [] and stored(built) == {}
    assert morning(built).status == "done"


def test_a_server_in_error_can_not_be_saved(built):
    at_work(built, save=["db"])
    server = shop.server(built, "db")
    change = {"status": "ERROR"}
    built.tools.clouds.project(server.project_id).servers._set(server.id, **change)
    task = evening(built)
    assert task.status == "error"
    assert "its server is in state ERROR" in message(task)
    assert len(shop.names(built)) == 3


def test_what_was_off_stays_off_after_a_failure(built, monkeypatch):
    at_work(built, save=["db"])
    task = built.done(built.service.instances.stop(ADMIN, "db", NOWHERE))
    assert task.status == "done"
    with monkeypatch.context() as broken:
        fail_snapshots(built, broken)
        evening(built)
    assert now(built, "db").status == "SHUTOFF"


def test_what_is_gone_keeps_what_was_saved_before(built):
    at_work(built, save=["db"])
    evening(built)
    morning(built)
    before = stored(built)
    server = shop.server(built, "db")
    built.tools.clouds.project(server.project_id).servers.delete(server.id)
    while server.id in built.world.servers:
        try:
            built.tools.clouds.project(server.project_id).servers.server(server.id)
        except Exception:
            break
    task = evening(built, "2026-05-04")
    assert task.status == "deleted", message(task)
    assert "db is gone: there is nothing to save" in built.store.task(task.uuid).log
    assert stored(built) == before


def test_a_disk_that_does_not_fit_any_more_is_told_by_a_plan(built):
    at_work(built, save=["db"])
    evening(built)
    built.world.add_image("other-lxd", "lxd")
    for change, told in (
        ({"driver": "docker"}, "on lxd, and it is to be on docker"),
        ({"image": "other-lxd"}, "from image debian-12, and it is to have other-lxd"),
    ):
        definition = hours_of(save=["db"])
        definition["instances"]["db"].update(change)
        with pytest.raises(Conflict, match=told):
            shop.plan(built, definition)
        # Who does without it names it no more.
        definition["schedule"].pop("save")
        assert len(shop.plan(built, definition).steps) == 4


def test_what_is_not_named_any_more_is_deleted(built):
    at_work(built, save=["db", "web"])
    evening(built)
    assert len(stored(built)) == 3
    definition = hours_of(save=["web"])
    definition["instances"]["web"]["count"] = 1
    built.speak("web", "made")
    task = shop.apply(built, definition)
    assert list(stored(built)) == ["web[0]"]
    assert "saved disks were deleted: db[0], web[1]" in task.log
    left = {each.id for each in built.world.images.values() if "snapshot" in each.name}
    assert left == set(stored(built).values())


def test_an_environment_with_saved_disks_is_not_empty(built):
    built.environment("shop")
    shop.apply(built, hours_of(save=["db"]))
    evening(built)
    with pytest.raises(Conflict, match=r"saved disks: db\[0\]"):
        built.service.environments.delete(ADMIN, "shop", NOWHERE)
    shop.destroy(built)
    task = built.done(built.service.environments.delete(ADMIN, "shop", NOWHERE))
    assert task.status == "deleted"


def test_whoever_dies_while_closing_loses_nothing(make_stage):
    """At whichever call the worker dies, another one comes to the same end."""
    calls, died = 0, True
    while died:
        stage = shop.furnish(make_stage())
        at_work(stage, save=["db"])
        until(stage, "2026-05-01T18:00:05Z")
        look(stage)
        died = stage.die_before(calls)
        stage.forget_leases()
        stage.work()
        (task,) = stage.store.tasks(None, type=TaskType.CLOSE_ENVIRONMENT)
        assert task.status == "deleted", (calls, message(task))
        (kept,) = stored(stage).values()
        taken = [i.id for i in stage.world.images.values() if "snapshot" in i.name]
        assert taken == [kept], calls
        assert shop.names(stage) == []
        calls += 7


def test_nothing_is_destroyed_before_all_is_saved(built, monkeypatch):
    """Whatever call fails, the disk is there: on its server, or as an image."""
    at_work(built, save=["db"])
    until(built, "2026-05-01T18:00:05Z")
    look(built)

    def hook(name, moment):
        names = shop.names(built)
        whole = [
            i for i in built.world.images.values()
            if "snapshot" in i.name and i.status == "active"
        ]  # fmt: skip
        assert "db" in names or whole, name

    built.world.hook = hook
    built.work()
    built.world.hook = None
    assert shop.names(built) == []


def test_mark_is_of_its_period():
    one = hours.Seen(True, "2026-05-01T08:00:00.000000Z", "t", 3)
    assert one.is_same(hours.Seen(True, one.since))
    assert not one.is_same(hours.Seen(False, one.since))
    at = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)
    assert hours.wanted(hours.read({"schedule": WORK}), at).is_same(one)
    assert hours.wanted(hours.read({}), at) == hours.Seen(True)


def ports(stage):
    found = stage.store.list_records("instance")
    return {
        each.name: each.data["published"] for each in found if "published" in each.data
    }


def test_published_ports_are_the_same_in_the_morning(built):
    definition = hours_of()
    definition["instances"]["web"]["count"] = 3
    shop.apply(built, definition)
    # Others than the first free ones: one was given back.
    definition["instances"]["web"]["count"] = 2
    before = ports(built)
    shop.apply(built, definition)
    (first,) = built.store.list_records("instance", name="web-1")
    built.store.update_record("instance", first.uuid, merge={"published": ["29000:80"]})
    evening(built)
    assert morning(built).status == "done"
    assert ports(built) == {"web-1": ["29000:80"], "web-2": before["web-2"]}
    assert shop.plan(built, definition).is_empty


def test_a_port_that_somebody_has_taken_meanwhile_is_left_to_them(built):
    at_work(built)
    (port,) = ports(built)["web-1"]
    evening(built)
    built.provisioner("plain", image="debian")
    built.instance("other", environment="shop", publish=[port.replace(":80", ":81")])
    assert morning(built).status == "done"
    found = ports(built)
    assert found["other"] == [port.replace(":80", ":81")]
    assert found["web-1"] != [port]


def test_a_schedule_that_is_set_is_in_the_kept_definition(built):
    at_work(built, save=["db"])
    change = {"schedule": {"hours": "08:00-20:00", "save": ["web"]}}
    shown = built.service.environments.change(ADMIN, "shop", change, NOWHERE)
    wanted = {"hours": ["08:00-20:00"], "save": ["web"]}
    assert shown.schedule == json.loads(shown.definition)["schedule"] == wanted
    (task,) = switched(built)
    assert "nothing to do" in built.store.task(task.uuid).log
    until(built, "2026-05-01T20:00:05Z")
    switched(built)
    assert sorted(stored(built)) == ["web[0]", "web[1]"]
    for wrong in ({"save": ["no"]}, {"save": ["db", "db"]}):
        with pytest.raises(Invalid) as caught:
            built.service.environments.change(
                ADMIN, "shop", {"schedule": wrong}, NOWHERE
            )
        assert caught.value.details[0]["field"].startswith("schedule.save")


def test_a_definition_without_a_schedule_gets_none(built):
    shop.apply(built)
    change = {"schedule": WORK}
    shown = built.service.environments.change(ADMIN, "shop", change, NOWHERE)
    assert "schedule" not in json.loads(shown.definition)


def test_without_a_definition_nothing_can_be_saved(built):
    built.environment("plain")
    change = {"schedule": {**WORK, "save": ["db"]}}
    with pytest.raises(Invalid, match="has no definition"):
        built.service.environments.change(ADMIN, "plain", change, NOWHERE)


def test_what_its_hours_say_is_shown(built):
    at_work(built)
    found = environment(built).hours
    assert found.is_open and found.until == times.parse_time("2026-05-01T18:00:00Z")
    assert not found.task
    task = evening(built)
    found = environment(built).hours
    assert not found.is_open
    assert found.until == times.parse_time("2026-05-04T08:00:00Z")
    assert found.task == task.uuid
    built.environment("plain")
    plain = built.service.environments.show(ADMIN, "plain", NOWHERE)
    assert plain.hours is None
