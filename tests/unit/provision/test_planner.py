# SPDX-License-Identifier: Apache-2.0
"""Each kind of difference comes to the right steps, in the right order. No mocks."""

import dataclasses
import sys
import tracemalloc

import pytest

from nova_multi import spec
from nova_multi.domain.errors import Conflict, Invalid, NameTaken, Unsupported
from nova_multi.domain.instance import Size
from nova_multi.domain.plan import (
    Condition,
    Facts,
    ImageFacts,
    Present,
    PresentEnvironment,
    PresentInstance,
)
from nova_multi.domain.provisioner import Provisioner
from nova_multi.domain.publish import Publish
from nova_multi.provision import guest, planner
from tests.unit.provision.planning import definition, facts_of, made, performed, steps

SITE = {"provisioners": {"site": {"script": "echo site\n"}}}
WEB = {"provisioner": "site", "memory": 256}


def planned(wanted, present=None, facts=None):
    return planner.plan(wanted, present or Present(), facts or facts_of(wanted))


def changed(before, after, sections=SITE):
    """Plan from one definition's instances to another's."""
    present = made(definition(before, **sections))
    return planned(definition(after, **sections), present)


def only(plan):
    (step,) = plan.steps
    return step


# -- from nothing


def test_everything_is_new():
    plan = planned(definition({"web": {**WEB, "count": 3}}, **SITE))
    assert steps(plan) == [
        "create shop",
        "create web-1",
        "create web-2",
        "create web-3",
    ]
    assert plan.widths == (1, 3)
    assert {step.reason for step in plan.steps} == {"new"}


@pytest.mark.parametrize(
    ("reference", "room", "takes"),
    [
        ("${inputs.key}", {("key", "value"): 400}, 400),
        ("${inputs.key}", {}, 4000),
        ("${inputs.key.public}", {("key", "value"): 9}, 4000),
        ("${instances.db.addresses}", {}, 1024),
        ("${instances.db.address}", {}, 40),
    ],
)
def test_what_references_may_take_has_room_in_a_script(reference, room, takes):
    """Else a replacement would be refused only when the old one is gone."""
    # What script and value may take together.
    some = len(guest.user_data("#" * 43_000, {"X": " "}, "0" * 16))
    most = 43_001 + 65535 // 4 * 3 - some

    def plan_of(size):
        wanted = definition(
            {
                "db": {},
                "web": {"provisioner": "site", "variables": {"X": reference}},
            },
            provisioners={"site": {"script": "#" * size}},
            inputs={"key": {"generate": "key"}},
        )
        return planned(wanted, facts=facts_of(wanted, room=room))

    assert plan_of(most - takes).steps
    with pytest.raises(Invalid) as caught:
        plan_of(most - takes + 1)
    assert caught.value.code == "user_data_too_large"


def test_dependencies_come_first():
    plan = planned(
        definition(
            {
                "proxy": {"variables": {"B": "${instances.web.addresses}"}},
                "web": {"count": 2, "variables": {"D": "${instances.db.address}"}},
                "db": {},
                "log": {},
            },
        )
    )
    assert steps(plan)[1:] == [
        "create db",
        "create log",
        "create web-1",
        "create web-2",
        "create proxy",
    ]
    assert plan.widths == (1, 2, 2, 1)
    assert plan.steps[-1].needs == ("environment", "make web")


def test_nothing_of_a_part():
    assert steps(planned(definition({"web": {"count": 0}}))) == ["create shop"]


def test_ports_of_nothing_are_nobodys():
    """A part of which there is to be none neither has a port nor waits for one."""
    none = {"count": 0, "publish": ["8080:80"]}
    both = definition({"old": none, "web": {"publish": ["8080:80"]}})
    assert steps(planned(both)) == ["create shop", "create web"]
    present = made(both)
    foreign = dataclasses.replace(present.instances[0], part="")
    taken = dataclasses.replace(present, instances=(foreign,))
    assert planned(definition({"old": none}), taken).is_empty


def test_nothing_to_do():
    wanted = definition({"web": {**WEB, "count": 3}}, **SITE)
    plan = planned(wanted, made(wanted))
    assert plan.is_empty
    assert (plan.unchanged, plan.widths) == (3, ())


# -- what has changed in the definition

CHANGES = [
    ("memory", {"memory": 512}, "memory 256 -> 512: replaced"),
    ("cpus", {"cpus": 2}, "cpus 1 -> 2: replaced"),
    ("disk", {"hdsize": 9}, "disk 4 -> 9: replaced"),
    ("image", {"image": "alpine"}, "image debian-12 -> alpine: replaced"),
    ("driver", {"driver": "docker"}, "driver lxd -> docker"),
    ("host type", {"host_type": "MemoryOptimized"}, "host_type  -> MemoryOptimized"),
    ("variable", {"variables": {"A": "1"}}, "variable A none -> '1': replaced"),
    ("description", {"description": "x"}, "description none -> x: in place"),
    ("tags", {"tags": ["a"]}, "tags none -> a: in place"),
    ("publish", {"publish": ["80"]}, "publish none -> 80: in place"),
]


@pytest.mark.parametrize(("fields", "told"), [c[1:] for c in CHANGES])
def test_changes(fields, told):
    step = only(changed({"web": WEB}, {"web": {**WEB, **fields}}))
    assert told in step.reason
    in_place = told.endswith("in place")
    assert step.action == ("update" if in_place else "replace")
    assert not step.drift


def test_another_script_replaces():
    other = {"provisioners": {"site": {"script": "echo other\n"}}}
    present = made(definition({"web": WEB}, **SITE))
    step = only(planned(definition({"web": WEB}, **other), present))
    assert step.action == "replace"
    assert step.differences[0].field == "script"


def test_what_was_the_default_may_be_said():
    """Other words for the same are no change."""
    before = {"web": {"provisioner": "site"}}
    after = {"web": {"provisioner": "site", "memory": 512, "cpus": 1}}
    assert changed(before, after).is_empty


def test_a_renamed_provisioner_that_does_the_same():
    sections = {
        "provisioners": {"site": {"script": "a"}, "page": {"script": "a"}},
    }
    step = only(
        changed({"web": WEB}, {"web": {**WEB, "provisioner": "page"}}, sections)
    )
    assert str(step.differences[0]) == "provisioner site -> page: in place"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (2, 4, ["create web-3", "create web-4"]),
        (4, 2, ["delete web-3", "delete web-4"]),
        (2, 0, ["delete web-1", "delete web-2"]),
        (1, 2, ["update web-1", "create web-2"]),
        (2, 1, ["delete web-2", "update web"]),
        (0, 1, ["create web"]),
    ],
)
def test_another_count(before, after, expected):
    plan = changed({"web": {**WEB, "count": before}}, {"web": {**WEB, "count": after}})
    assert sorted(steps(plan)) == sorted(expected)


def test_what_is_not_in_the_definition_any_more():
    plan = changed(
        {"db": {}, "web": {"depends_on": ["db"]}, "log": {}},
        {"log": {}},
    )
    # What needs something goes before it.
    assert steps(plan) == ["delete web", "delete db"]
    assert plan.steps[0].reason == "not in the definition any more"


def test_who_was_told_of_what_is_replaced_is_replaced():
    db = {"memory": 512}
    web = {"variables": {"DB": "${instances.db.address}"}}
    plan = changed(
        {"db": db, "web": web, "log": {"depends_on": ["db"]}},
        {"db": {"memory": 1024}, "web": web, "log": {"depends_on": ["db"]}},
    )
    assert steps(plan) == ["replace db", "replace web"]
    assert "${instances.db.address} 10.0." in plan.steps[1].reason
    assert plan.steps[1].needs == ("make db",)


def test_who_was_told_of_all_is_replaced_if_there_are_more():
    proxy = {"variables": {"BACKENDS": "${instances.web.addresses}"}}
    before = {"web": {"count": 2}, "proxy": proxy}
    after = {"web": {"count": 3}, "proxy": proxy}
    assert steps(changed(before, after)) == ["create web-3", "replace proxy"]


def test_who_depends_on_a_provisioner_is_told_of_its_instances():
    sections = {
        "provisioners": {
            "database": {"script": "a"},
            "site": {"script": "b", "depends": ["database"]},
        }
    }
    web = {"provisioner": "site"}
    before = {"db": {"provisioner": "database"}, "web": web}
    after = {"db": {"provisioner": "database", "memory": 1024}, "web": web}
    plan = changed(before, after, sections)
    assert steps(plan) == ["replace db", "replace web"]


def test_a_changed_secret_replaces():
    sections = {"inputs": {"p": {"secret": True}}}
    wanted = definition({"web": {"variables": {"P": "${inputs.p}"}}}, **sections)
    present = made(wanted, facts=facts_of(wanted, secrets={"p": 1}))
    assert planned(wanted, present, facts_of(wanted, secrets={"p": 1})).is_empty
    step = only(planned(wanted, present, facts_of(wanted, secrets={"p": 2})))
    assert step.reason == "secret p: replaced"


def test_the_environments_own_words():
    before = definition({}, description="old")
    after = definition({}, description="new", users=["bob", "alice"])
    step = only(planned(after, made(before)))
    assert (step.action, step.kind) == ("update", "environment")
    assert step.reason == (
        "description old -> new: in place; users none -> alice, bob: in place"
    )
    # What the file leaves out stays.
    assert planned(definition({}), made(after)).is_empty


# -- what others have changed


def drifted(**changes):
    wanted = definition({"db": {}, "web": WEB}, **SITE)
    present = made(wanted)
    instances = tuple(
        dataclasses.replace(each, **changes) if each.name == "web" else each
        for each in present.instances
    )
    return planned(wanted, dataclasses.replace(present, instances=instances))


@pytest.mark.parametrize(
    ("changes", "action", "told"),
    [
        ({"condition": Condition.GONE}, "replace", "server gone: replaced"),
        ({"condition": Condition.BROKEN}, "replace", "server in state ERROR: replaced"),
        ({"condition": Condition.FAILED}, "replace", "instance failed: replaced"),
        ({"actual": Size(2, 256, 4)}, "replace", "cpus 2 -> 1: replaced"),
        ({"actual": Size(1, 999, 4)}, "replace", "memory 999 -> 256: replaced"),
        ({"description": "mine"}, "update", "description mine -> none: in place"),
        ({"name": "mine"}, "update", "name mine -> web: in place"),
        ({"publish": (Publish(1, 2),)}, "update", "publish 1:2 -> none: in place"),
    ],
)
def test_drift(changes, action, told):
    step = only(drifted(**changes))
    assert (step.action, step.reason) == (action, told)
    assert step.drift == (action == "replace")


# -- what others have


def with_others(**fields):
    other = PresentInstance("u", "web", **fields)
    return Present(PresentEnvironment("shop", "co"), (other,))


def test_a_name_that_others_have():
    wanted = definition({"web": {}})
    with pytest.raises(NameTaken, match="called web, which this definition did not"):
        planned(wanted, with_others())


def test_a_port_that_others_have():
    wanted = definition({"db": {"publish": ["8080:80"]}})
    with pytest.raises(Conflict, match="by instance web") as caught:
        planned(wanted, with_others(published=(Publish(8080, 1),)))
    assert caught.value.code == "port_taken"


def test_others_are_left_alone():
    present = with_others()
    assert steps(planned(definition({"db": {}}), present)) == ["create db"]
    assert planner.plan_destroy("shop", "co", present).is_empty


def test_a_name_that_goes_from_one_to_another():
    plan = changed({"web": {"count": 2}}, {"web-1": {}})
    assert steps(plan) == ["delete web-1", "delete web-2", "create web-1"]
    assert plan.steps[-1].needs == ("delete web",)


def test_a_port_that_goes_from_one_to_another():
    published = {"publish": ["8080:80"]}
    plan = changed({"old": published, "new": {}}, {"old": {}, "new": published})
    assert steps(plan) == ["update old", "update new"]
    plan = changed({"old": published}, {"new": published})
    assert steps(plan) == ["delete old", "create new"]


def test_ports_that_go_round_in_a_circle():
    one, two = {"publish": ["1000:80"]}, {"publish": ["2000:80"]}
    with pytest.raises(Conflict, match="a, b take over each other's"):
        changed({"a": one, "b": two}, {"a": two, "b": one})


def test_a_port_that_another_keeps():
    present = made(definition({"web": {"publish": ["80"]}}))
    (web,) = present.instances
    port = web.published[0].outside
    after = definition({"web": {"publish": ["80"]}, "db": {"publish": [f"{port}:1"]}})
    with pytest.raises(Conflict, match="instance web, which keeps it"):
        planned(after, present)


# -- what can't be


def test_an_image_that_is_not_there():
    wanted = definition({"a": {}, "b": {}, "c": {"image": "there"}})
    facts = facts_of(wanted)
    key = next(each for each in facts.images if each[0] == "debian-12")
    images = {**facts.images, key: Invalid("there is no image debian-12")}
    with pytest.raises(Invalid) as caught:
        planned(wanted, facts=dataclasses.replace(facts, images=images))
    fields = [each["field"] for each in caught.value.details]
    assert fields == ["instances.a.image", "instances.b.image"]
    # Who stands does not need it.
    present = made(wanted)
    facts = dataclasses.replace(facts, images=images)
    assert planned(wanted, present, facts).is_empty


def test_an_image_that_needs_more():
    wanted = definition({"a": {"memory": 32}})
    with pytest.raises(Invalid, match="a: .* needs at least 64 MB") as caught:
        planned(wanted)
    assert caught.value.field == "instances.a.memory"


BUILDER = {
    "provisioners": {
        "site": {"builder": "https://git.example/a.git", "executor": "make"}
    }
}


def without_git(wanted):
    facts = facts_of(wanted)
    images = {
        key: dataclasses.replace(image, without=("git",))
        for key, image in facts.images.items()
    }
    return dataclasses.replace(facts, images=images)


def test_a_builder_on_an_image_without_git():
    wanted = definition({"web": WEB, "db": {}}, **BUILDER)
    with pytest.raises(Invalid) as caught:
        planned(wanted, facts=without_git(wanted))
    assert caught.value.message == (
        "web: image debian-12 has no git, with which a guest clones the builder of"
        " provisioner site: take one that has it, or a script"
    )
    assert caught.value.field == "instances.web.image"
    assert caught.value.code == "image_without_program"
    # What is not known is tried; who stands does not need it; a script needs none.
    present = made(wanted)
    assert planned(wanted, present, without_git(wanted)).is_empty
    wanted = definition({"web": WEB}, **SITE)
    assert not planned(wanted, facts=without_git(wanted)).is_empty


def test_another_executor_replaces():
    def site(executor):
        text = {"script": "- hosts: all\n", "executor": executor}
        return definition({"web": WEB}, provisioners={"site": text})

    step = only(planned(site("manifest"), made(site("playbook"))))
    assert step.action == "replace"
    assert [each.field for each in step.differences] == ["script"]


def test_no_image():
    wanted = spec.load_dict({"name": "shop", "partition": "co", "instances": {"a": {}}})
    with pytest.raises(Invalid, match="a names no image"):
        planned(wanted)


def test_a_script_that_does_not_fit():
    sections = {"provisioners": {"site": {"script": "#" * 60_000}}}
    with pytest.raises(Invalid, match="Nova takes"):
        planned(definition({"web": {"provisioner": "site"}}, **sections))


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (
            {
                "instances": {
                    "a": {"image": "x"},
                    "b": {"image": "x", "variables": {"O": "${instances.a.outputs.o}"}},
                }
            },
            "instances.b.variables.O",
        ),
    ],
)
def test_what_is_to_come_names_its_section(data, field):
    wanted = spec.load_dict({"name": "shop", "partition": "co", **data})
    with pytest.raises(Unsupported) as caught:
        planned(wanted, facts=Facts())
    assert caught.value.field == field


def test_a_provisioner_of_the_service_that_depends():
    wanted = definition({"web": {"provisioner": "known"}})
    known = Provisioner("", "known", script="a", depends=("database",))
    facts = facts_of(wanted, provisioners={"known": known})
    with pytest.raises(Unsupported, match="depends on database"):
        planned(wanted, facts=facts)
    wanted = definition(
        {"web": {"provisioner": "known"}, "db": {"provisioner": "database"}}
    )
    database = Provisioner("", "database", script="a")
    known_both = {"known": known, "database": database}
    facts = facts_of(wanted, provisioners=known_both)
    assert steps(planned(wanted, facts=facts))[1:] == ["create db", "create web"]


def test_a_driver_that_the_image_is_not_for():
    wanted = definition({"a": {"driver": "docker"}})
    facts = Facts(images={("debian-12", "docker"): ImageFacts("i", "debian-12", "lxd")})
    with pytest.raises(Invalid, match="for lxd, not for docker"):
        planned(wanted, facts=facts)


# -- destroying


def test_destroying_is_the_reverse():
    wanted = definition({"db": {}, "web": {"count": 2, "depends_on": ["db"]}})
    present = made(wanted)
    plan = planner.plan_destroy("shop", "co", present)
    assert steps(plan) == ["delete web-1", "delete web-2", "delete db", "delete shop"]
    assert plan.widths == (2, 1, 1)
    there = dataclasses.replace(present.environment, made=False)
    kept = dataclasses.replace(present, environment=there)
    assert "delete shop" not in steps(planner.plan_destroy("shop", "co", kept))
    # Who uses it otherwise keeps it.
    others = (*present.instances, PresentInstance("u", "mine"))
    used = dataclasses.replace(present, instances=others)
    assert steps(planner.plan_destroy("shop", "co", used)) == steps(plan)[:-1]
    assert performed(plan, wanted, present, facts_of(wanted)) == Present()


# -- speed


@pytest.mark.parametrize("shape", ["one part", "many parts"])
def test_work_grows_with_the_number_of_instances(shape):
    """Calls of functions are counted, which are the same on every machine."""

    def work(count):
        instances = {"db": {}}
        if shape == "one part":
            instances["web"] = {"count": count, "depends_on": ["db"]}
        else:
            for number in range(count):
                instances[f"w{number}"] = {"depends_on": ["db"]}
        wanted = definition(instances)
        facts = facts_of(wanted)
        first = _calls(lambda: planned(wanted, facts=facts))
        plan = planned(wanted, facts=facts)
        assert len(plan.steps) == count + 2
        present = performed(plan, wanted, Present(), facts)
        assert planned(wanted, present, facts).is_empty
        return first, _calls(lambda: planned(wanted, present, facts))

    for few, many in zip(work(100), work(1000), strict=True):
        assert many < 11 * few


def _calls(work):
    """How many calls of functions some work takes, those of C included."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_memory_is_flat():
    """What an instance takes does not depend on how many there are."""

    def taken(count):
        wanted = definition({"db": {}, "web": {"count": count, "depends_on": ["db"]}})
        facts = facts_of(wanted)
        tracemalloc.start()
        plan = planned(wanted, facts=facts)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak / len(plan.steps)

    assert taken(1000) < 1.5 * taken(500)


def test_a_long_chain():
    """Longer than Python's stack."""
    instances = {"w0": {}}
    for number in range(1, 3000):
        instances[f"w{number}"] = {"depends_on": [f"w{number - 1}"]}
    plan = planned(definition(instances))
    assert plan.widths == (1,) * 3001
