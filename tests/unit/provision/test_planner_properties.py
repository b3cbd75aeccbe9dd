# SPDX-License-Identifier: Apache-2.0
"""What holds for every definition, and for every way from one to another."""

import dataclasses
import json

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nova_multi import spec
from nova_multi.domain.errors import Conflict, DomainError, Invalid
from nova_multi.domain.plan import Condition, Plan, Present, PresentInstance
from nova_multi.provision import planner
from tests.unit.provision.planning import definition, facts_of, made, performed
from tests.unit.spec.strategies import files

PARTS = ("db", "web", "cache", "log", "proxy")
SECTIONS = {
    "provisioners": {
        "site": {"script": "echo site\n"},
        "page": {"script": "echo page\n", "depends": ["site"]},
    }
}
EXAMPLES = settings(max_examples=100, deadline=None)


#: Ranges that overlap from one definition to another, but not within one.
WIRED = st.one_of(
    st.just({}),
    st.builds(
        lambda *each: {
            name: {k: v for k, v in fields.items() if v is not None}
            for name, fields in zip(("front", "back"), each, strict=True)
            if fields
        },
        *(
            st.one_of(
                st.none(),
                st.fixed_dictionaries(
                    {
                        "cidr": st.sampled_from([None, *cidrs]),
                        "routed": st.booleans(),
                        "dns": st.sampled_from([None, ["192.0.2.1"]]),
                    }
                ),
            )
            for cidrs in (
                ("10.1.0.0/24", "10.2.0.0/24"),
                ("10.3.0.0/24", "10.3.0.0/16"),
            )
        ),
    ),
    st.builds(
        lambda cidr: {"back": {"cidr": cidr}},
        st.sampled_from(["10.1.0.0/16", "10.0.0.0/13", "10.128.0.0/24"]),
    ),
)


#: Images, of which one changes its content or its properties from file to file.
IMAGED = st.one_of(
    st.just({}),
    st.builds(
        lambda url, os: {
            "golden": {
                "download_url": f"https://e.org/{url}",
                "type": "lxd",
                "os": os,
            },
            "plain": "debian-12",
        },
        st.sampled_from(["a", "b"]),
        st.sampled_from(["", "debian"]),
    ),
)


@st.composite
def definitions(draw):
    """Some parts, each of which may need those that come before it."""
    chosen = draw(st.lists(st.sampled_from(PARTS), unique=True))
    instances = {}
    wired = draw(WIRED)
    networks = [*wired, "shop"] if wired else []
    imaged = draw(IMAGED)
    for name in chosen:
        before = [each for each in instances if instances[each]["count"]]
        count = draw(st.integers(0, 3))
        fields = {"count": count, "memory": draw(st.sampled_from([128, 256]))}
        # Whatever is of "page" comes after all that is of "site".
        there = {each.get("provisioner") for each in instances.values()}
        made_of = [e.get("provisioner") for e in instances.values() if e["count"]]
        provisioners = ["", "page"] if "site" in made_of else [""]
        if "page" not in there:
            provisioners.append("site")
        provisioner = draw(st.sampled_from(provisioners))
        if provisioner:
            fields["provisioner"] = provisioner
        if before and draw(st.booleans()):
            needed = draw(st.sampled_from(before))
            attribute = draw(st.sampled_from(["address", "addresses", "name"]))
            fields["variables"] = {"X": f"${{instances.{needed}.{attribute}}}"}
        if before and draw(st.booleans()):
            fields["depends_on"] = [draw(st.sampled_from(before))]
        publish = draw(st.sampled_from([[], ["80"], ["80", "53/udp"], ["OWN:80"]]))
        port = 1000 + PARTS.index(name)
        fields["publish"] = [
            each.replace("OWN", str(port)) for each in publish if count < 2
        ] or [each for each in publish if "OWN" not in each]
        if networks:
            fields["networks"] = draw(st.lists(st.sampled_from(networks), unique=True))
            routed = {
                "shop",
                *(e for e in networks if e != "shop" and wired[e].get("routed", True)),
            }
            if fields["networks"] and not routed & set(fields["networks"]):
                fields["publish"] = []
        # One that is made of an instance takes one that comes before.
        images = [*imaged] + [f"of-{each}" for each in before]
        if images and draw(st.booleans()):
            image = fields["image"] = draw(st.sampled_from(images))
            if image.startswith("of-"):
                imaged = {**imaged, image: {"instance": image.removeprefix("of-")}}
        if draw(st.booleans()):
            fields["description"] = draw(st.sampled_from(["", "one", "two"]))
        instances[name] = fields
    return definition(instances, **SECTIONS, networks=wired, images=imaged)


def _planned(wanted, present):
    try:
        return planner.plan(wanted, present, facts_of(wanted))
    except Conflict:
        # Ports that go round in a circle are refused.
        assume(False)
        raise AssertionError("not reached") from None
    except Invalid as error:
        # A network whose range is no more told keeps it, and stands in another's way.
        assume("overlaps" not in error.message)
        raise


@given(definitions())
@EXAMPLES
def test_planning_after_an_apply_is_empty(wanted):
    plan = planner.plan(wanted, made(wanted), facts_of(wanted))
    assert plan.is_empty, plan.steps
    assert plan.unchanged == sum(each.count for each in wanted.instances.values())


@given(definitions(), definitions())
@EXAMPLES
def test_from_any_definition_to_any_other(before, after):
    present = made(before)
    plan = _planned(after, present)
    there = performed(plan, after, present, facts_of(after))
    assert planner.plan(after, there, facts_of(after)).is_empty
    wanted = sum(each.count for each in after.instances.values())
    assert len(there.instances) == wanted
    # Nobody is touched who is in both, and the same.
    touched = {step.record for step in plan.steps} - {""}
    kept = {each.uuid for each in present.instances} - touched
    assert kept <= {each.uuid for each in there.instances}
    assert plan.unchanged == len(kept)


@given(definitions(), definitions(), st.data())
@EXAMPLES
def test_an_apply_that_fails_is_gone_on_with(before, after, data):
    """Some groups fail, and those that need them are not begun."""
    present = made(before)
    plan = _planned(after, present)
    broken = set()
    done = []
    for step in plan.steps:
        fails = data.draw(st.booleans())
        if fails or broken & set(step.needs):
            broken.add(step.group)
        else:
            done.append(step)
    done = [step for step in done if not broken & set(step.needs)]
    partial = dataclasses.replace(plan, steps=tuple(done))
    there = performed(partial, after, present, facts_of(after))
    rest = _planned(after, there)
    whole = performed(rest, after, there, facts_of(after))
    assert planner.plan(after, whole, facts_of(after)).is_empty


@given(definitions(), st.sets(st.sampled_from(list(Condition))), st.booleans())
@EXAMPLES
def test_destroying_removes_exactly_what_was_made(wanted, conditions, made_before):
    present = made(wanted)
    foreign = PresentInstance("u", "mine")
    worn = tuple(
        dataclasses.replace(each, condition=condition)
        for each, condition in zip(
            present.instances,
            [*conditions, *[Condition.STANDING] * len(present.instances)],
            strict=False,
        )
    )
    environment = present.environment
    assert environment is not None
    environment = dataclasses.replace(environment, made=not made_before)
    used = Present(environment, (*worn, foreign))
    plan = planner.plan_destroy("shop", "co", used)
    assert performed(plan, wanted, used, facts_of(wanted)).instances == (foreign,)
    alone = dataclasses.replace(used, instances=worn)
    plan = planner.plan_destroy("shop", "co", alone)
    left = performed(plan, wanted, alone, facts_of(wanted))
    assert left == Present(environment if made_before else None)
    empty: Plan = planner.plan_destroy("shop", "co", left)
    assert empty.is_empty


@given(definitions())
@EXAMPLES
def test_needs_are_told_alike_of_one_and_of_all(wanted):
    found = wanted.all_needs()
    assert found == {name: wanted.needs(name) for name in wanted.instances}


@given(files())
@EXAMPLES
def test_whatever_can_be_read_is_planned_or_refused_at_its_place(data):
    wanted = spec.load_dict(data)
    facts = facts_of(wanted)
    try:
        plan = planner.plan(wanted, Present(), facts)
    except DomainError as error:
        text = json.dumps(data, ensure_ascii=False)
        try:
            spec.load_text(text)
        except DomainError:
            # JSON has characters that YAML has not.
            return
        told = [each["field"] for each in error.details] or [error.field]
        for field in told:
            assert field and (spec.place_of(text, field) or field == "schedule"), field
    else:
        assert planner.plan(wanted, made(wanted), facts).is_empty, plan
