# SPDX-License-Identifier: Apache-2.0
"""Usage of environments: what the service keeps of servers, and what it reports."""

import pytest

from nova_multi.cloud import values
from nova_multi.domain.errors import Invalid, NotFound
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.usage import End
from nova_multi.provision import housekeeping, lives
from nova_multi.provision.nouns.switching import Switching
from tests.unit.provision import shop
from tests.unit.provision.callers import member_of
from tests.unit.provision.conftest import ADMIN, NOWHERE
from tests.unit.provision.test_hours import (
    at_work,
    evening,
    hours_of,
    morning,
    switched,
    until,
)


@pytest.fixture
def built(stage):
    return shop.furnish(stage)


def usage(stage, begin=None, end=None, caller=ADMIN, name="shop"):
    return stage.service.environments.usage(caller, name, NOWHERE, begin, end)


def hours(found, what="used"):
    """Hours by name."""
    return {
        each.name: pytest.approx(getattr(each, what).instance_hours, abs=0.1)
        for each in found.instances
    }


def test_a_day_a_night_and_a_day(built):
    at_work(built)
    began = built.clock.at
    assert hours(usage(built)) == {"db": 0, "web-1": 0, "web-2": 0}
    evening(built)
    found = usage(built)
    assert hours(found) == {"db": 6, "web-1": 6, "web-2": 6}
    assert all(each.ended for each in found.instances)
    # It is closed until Monday.
    until(built, "2026-05-02T18:00:00Z")
    assert hours(usage(built), "saved") == {"db": 24, "web-1": 24, "web-2": 24}
    morning(built)
    until(built, "2026-05-04T10:00:00Z")
    found = usage(built)
    assert hours(found) == {"db": 8, "web-1": 8, "web-2": 8}
    assert hours(found, "saved") == {"db": 62, "web-1": 62, "web-2": 62}
    assert all(each.lives == 2 for each in found.instances)
    total = (built.clock.at - began).total_seconds() / 3600
    both = found.used.instance_hours + found.saved.instance_hours
    assert both == pytest.approx(3 * total, abs=0.2)
    assert found.used.memory_mb_hours == pytest.approx(8 * (512 + 2 * 256), abs=60)
    assert found.used.cpu_hours == pytest.approx(24, abs=0.5)


def test_a_period(built):
    at_work(built)
    evening(built)
    until(built, "2026-05-02T18:00:00Z")
    begin = built.clock.at.replace(day=1, hour=17)
    found = usage(built, begin, begin.replace(hour=20))
    assert hours(found) == {"db": 1, "web-1": 1, "web-2": 1}
    assert hours(found, "saved") == {"db": 2, "web-1": 2, "web-2": 2}
    with pytest.raises(Invalid):
        usage(built, begin, begin.replace(hour=16))


def test_a_report_outlives_a_destroy(built):
    at_work(built)
    built.clock.forward(2 * 3600)
    shop.destroy(built)
    with pytest.raises(NotFound):
        built.service.environments.show(ADMIN, "shop", NOWHERE)
    built.clock.forward(24 * 3600)
    found = usage(built)
    assert hours(found) == {"db": 2, "web-1": 2, "web-2": 2}
    assert found.saved.instance_hours == 0
    # Others can't know that there was one.
    built.environment("other")
    with pytest.raises(NotFound):
        usage(built, caller=member_of(built, "other"))
    with pytest.raises(NotFound):
        usage(built, name="never")


def test_what_is_destroyed_while_it_is_closed_saves_no_more(built):
    at_work(built)
    evening(built)
    until(built, "2026-05-01T20:00:00Z")
    shop.destroy(built)
    until(built, "2026-05-05T20:00:00Z")
    assert hours(usage(built), "saved") == {"db": 2, "web-1": 2, "web-2": 2}


def test_what_leaves_the_definition_while_it_is_closed_saves_no_more(built):
    at_work(built)
    evening(built)
    until(built, "2026-05-04T07:00:00Z")
    definition = hours_of()
    definition["instances"]["web"]["count"] = 1
    del definition["outputs"]
    built.service.environments.define(
        ADMIN, "shop", {"definition": definition}, NOWHERE
    )
    built.speak("web", "made")
    morning(built)
    until(built, "2026-05-04T12:00:00Z")
    saved = hours(usage(built), "saved")
    assert saved["web-2"] == 62
    assert len(shop.names(built)) == 2


def test_one_that_was_taken_back_has_lived(built):
    built.speak("db", "no", exit_code=1)
    built.tools.settings = built.tools.settings.__class__(delete_failed=True)
    built.service._tools = built.tools
    task = built.done(shop.accept(built))
    assert task.status == "error"
    ended = [e for e in built.store.lifetimes.of_name("shop") if e.name == "db"]
    assert [each.end for each in ended] == [End.DELETED]


def test_instances_without_a_definition(built):
    built.environment("dev")
    built.provisioner()
    built.instance("web")
    built.clock.forward(3600)
    assert hours(usage(built, name="dev")) == {"web": 1}
    built.done(built.service.instances.delete(ADMIN, "web", NOWHERE))
    built.clock.forward(3600)
    assert hours(usage(built, name="dev")) == {"web": 1}


def test_what_others_delete_is_found_out(built):
    at_work(built)
    built.clock.forward(3600)
    server = shop.server(built, "db")
    del built.world.servers[server.id]
    lives.look(built.tools)
    (found,) = [e for e in built.store.lifetimes.of_name("shop") if e.name == "db"]
    assert found.end is End.GONE
    built.clock.forward(3600)
    assert hours(usage(built)) == {"db": 1, "web-1": 2, "web-2": 2}
    # An apply mends it: another life, of the same name.
    shop.apply(built, hours_of())
    built.clock.forward(3600)
    (one,) = [each for each in usage(built).instances if each.name == "db"]
    assert one.lives == 2
    assert one.used.instance_hours == pytest.approx(2, abs=0.1)


def test_what_a_task_is_at_is_left_to_it(built):
    """Else a closed one would count as deleted by other hands."""
    at_work(built)
    until(built, "2026-05-01T18:00:05Z")

    def hook(name, moment):
        if name == "servers.delete" and moment == "after":
            built.world.hook = None
            lives.look(built.tools)
            built.world.hook = hook

    Switching(built.tools).look()
    built.world.hook = hook
    built.work()
    built.world.hook = None
    lives.look(built.tools)
    ends = {each.end for each in built.store.lifetimes.of_name("shop")}
    assert ends == {End.CLOSED}


def test_what_stood_before_an_upgrade_is_taken_up(built):
    at_work(built)
    began = built.store.lifetimes.of_name("shop")[0].began
    with built.store._database.write() as connection:
        connection.exec_driver_sql("DELETE FROM lifetimes")
    built.clock.forward(3600)
    assert usage(built).instances == ()
    lives.look(built.tools)
    lives.look(built.tools)
    found = built.store.lifetimes.of_name("shop")
    assert len(found) == 3
    assert all(abs((each.began - began).total_seconds()) < 120 for each in found)


def test_nothing_is_asked_of_nova_where_nothing_lives(built):
    built.world.calls.clear()
    lives.look(built.tools)
    assert not [each for each in built.world.calls if each.startswith("servers")]


def test_in_one_project(make_stage):
    stage = shop.furnish(make_stage(single=True))
    for size in ((1, 1024, 8), (2, 4096, 20)):
        name = f"flavor-{size[1]}"
        stage.world.flavors[name] = values.Flavor(name, name, *size)
    shop.apply(stage, hours_of())
    stage.clock.forward(3600)
    assert hours(usage(stage)) == {"db": 1, "web-1": 1, "web-2": 1}
    server = shop.server(stage, "db")
    del stage.world.servers[server.id]
    lives.look(stage.tools)
    found = {e.name: e.end for e in stage.store.lifetimes.of_name("shop")}
    assert found == {"db": End.GONE, "web-1": None, "web-2": None}


def test_a_hidden_instance_is_a_part_of_the_whole_only(built):
    at_work(built)
    built.clock.forward(3600)
    (record,) = built.store.list_records("instance", name="db")
    built.store.update_record(
        "instance", record.uuid, permissions=Permissions.parse("rwx------")
    )
    found = usage(built, caller=member_of(built, "shop"))
    assert set(hours(found)) == {"web-1", "web-2"}
    assert found.used.instance_hours == pytest.approx(3, abs=0.1)


def test_old_lifetimes_are_swept_away(built):
    at_work(built)
    shop.destroy(built)
    housekeeping.tidy(built.tools)
    assert len(built.store.lifetimes.of_name("shop")) == 3
    built.clock.forward(built.tools.settings.usage_retention + 86400)
    housekeeping.tidy(built.tools)
    assert built.store.lifetimes.of_name("shop") == []


def test_closed_again_and_again(built):
    at_work(built)
    for day in ("2026-05-01", "2026-05-04", "2026-05-05"):
        evening(built, day)
        following = {"2026-05-01": "2026-05-04", "2026-05-04": "2026-05-05"}
        morning(built, following.get(day, "2026-05-06"))
    assert switched(built) == []
    found = usage(built)
    assert all(each.lives == 4 for each in found.instances)
    assert hours(found) == {"db": 26, "web-1": 26, "web-2": 26}
