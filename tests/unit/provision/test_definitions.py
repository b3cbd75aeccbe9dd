# SPDX-License-Identifier: Apache-2.0
"""What is kept of definitions: the facts of a plan, and secrets."""

import dataclasses
import json

import pytest

from nova_multi import spec
from nova_multi.domain.definition import Reference, Root
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Ambiguous, Conflict, Invalid
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Action, Difference, Facts, ImageFacts, PlanStep
from nova_multi.domain.provisioner import Provisioner
from nova_multi.provision import definitions
from nova_multi.provision.secret_inputs import Secrets
from nova_multi.provision.steps import subtasks


def test_facts_are_the_same_after_a_database():
    known = Provisioner(
        "u",
        "known",
        memory_mb=512,
        cpus=2,
        hdsize_gb=3,
        image="debian",
        driver=Driver.LXD,
        script="echo",
        tag="t",
        depends=("a", "b"),
        variables={"A": "1"},
    )
    images = {
        ("debian-12", None): ImageFacts(
            "i", "debian", Driver.DOCKER, 1, 2, "r", ("git",)
        ),
        ("plain", Driver.LXD): ImageFacts("j", "plain"),
    }
    facts = Facts(images, {"known": known}, {"password": 3}, {"campus": "id"})
    sources = {"golden": {"url": "https://e.org"}}
    facts = dataclasses.replace(facts, sources=sources)
    written = json.loads(json.dumps(definitions.written(facts)))
    assert definitions.facts_of(written) == facts


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Invalid("there is none", field="image"), Invalid),
        (Ambiguous("there are two"), Conflict),
    ],
)
def test_what_is_wrong_with_an_image_is_kept(error, kind):
    facts = Facts({("x", None): error})
    found = definitions.facts_of(json.loads(json.dumps(definitions.written(facts))))
    image = found.images["x", None]
    assert type(image) is kind
    assert (image.message, image.code) == (error.message, error.code)
    facts = Facts(sources={"x": error})
    found = definitions.facts_of(json.loads(json.dumps(definitions.written(facts))))
    source = found.sources["x"]
    assert type(source) is kind and source.code == error.code


def test_steps_are_the_same_after_a_database():
    differences = (Difference("memory", "1", "2"), Difference("tags", in_place=True))
    step = PlanStep(
        Action.UPDATE,
        Kind.INSTANCE,
        "web-1",
        "make web",
        "web",
        0,
        "r",
        differences,
        ("make db",),
        2,
    )
    found = subtasks.read(json.loads(json.dumps(subtasks.written(step))))
    assert (found.action, found.kind, found.name) == ("update", "instance", "web-1")
    assert (found.group, found.needs, found.record) == ("make web", ("make db",), "r")
    # What its task does, and no more.
    assert [each.field for each in found.differences] == ["tags"]


INPUTS = {
    "given": {"secret": True},
    "made": {"generate": "password", "length": 12},
    "key": {"generate": "key"},
    "open": {"default": "x"},
}


def _of(name, attribute="value"):
    return Reference(Root.INPUTS, name, attribute)


def _definition(inputs):
    return spec.load_dict({"name": "shop", "partition": "co", "inputs": inputs})


def test_what_is_kept_of_inputs():
    wanted = _definition(INPUTS)
    first = Secrets().with_values(wanted, {"given": "a", "open": "y"})
    assert first.versions == {"given": 1, "made": 1, "key": 1}
    assert first.value(_of("given")) == "a"
    assert len(first.value(_of("made"))) == 12
    assert first.value(_of("key", "public")).startswith("ssh-ed25519 ")
    assert "OPENSSH PRIVATE KEY" in first.value(_of("key"))
    # The same again, and what was not given, is no change.
    assert first.with_values(wanted, {"given": "a"}) == first
    assert first.with_values(wanted, {}) == first
    second = first.with_values(wanted, {"given": "b", "made": "own"})
    assert second.versions == {"given": 2, "made": 2, "key": 1}
    # What no definition names any more is kept no longer.
    assert second.with_values(_definition({}), {}) == Secrets()


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (5, "5"), (1.5, "1.5")])
def test_values_that_are_no_texts(value, text):
    kept = Secrets({"a": {"value": value, "version": 1}})
    assert kept.value(_of("a")) == text


def test_what_is_not_kept():
    with pytest.raises(Conflict, match=r"\$\{inputs.a\} has no value"):
        Secrets().value(_of("a"))


def test_nobody_sees_them_by_chance():
    assert "s3cr3t" not in repr(Secrets({"a": {"value": "s3cr3t", "version": 1}}))
