# SPDX-License-Identifier: Apache-2.0
"""What a definition may say and an apply can't do yet. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nova_multi.domain.definition import Definition, Reference, Root
from nova_multi.domain.errors import Invalid, Unsupported
from nova_multi.domain.plan import Facts


def check(definition: Definition, facts: Facts) -> None:
    """See that everything in a definition can be made.

    :raises Unsupported: something is to come; all of that is told.
    :raises Invalid: an instance refers to one of which there is to be none, or
        publishes ports where no router is.
    """
    found = list(_to_come(definition, facts))
    if found:
        raise Unsupported(
            "; ".join(each.message for each in found),
            field=found[0].field,
            details=[each.as_detail() for each in found],
        )
    wrong = [*_to_nothing(definition), *_off_the_router(definition)]
    if wrong:
        raise Invalid.together(wrong)


def _to_come(definition: Definition, facts: Facts) -> Iterator[Unsupported]:
    in_use = {each.provisioner for each in definition.instances.values() if each.count}
    for name, instance in definition.instances.items():
        known = definition.provisioners.get(
            instance.provisioner
        ) or facts.provisioners.get(instance.provisioner)
        for needed in known.depends if known else ():
            if needed not in in_use:
                yield Unsupported(
                    f"{name}: its provisioner {instance.provisioner} depends on"
                    f" {needed}, of which the definition makes none",
                    field=f"instances.{name}.provisioner",
                )
    for where, reference in _references(definition):
        if reference.attribute == "outputs":
            yield Unsupported(
                f"{reference}: outputs of instances are not there yet", field=where
            )


def _to_nothing(definition: Definition) -> Iterator[Invalid]:
    """References to instances that a definition makes none of, or not so many."""
    for where, reference in _references(definition):
        if reference.root is not Root.INSTANCES:
            continue
        target = definition.instances.get(reference.name)
        count = target.count if target else 0
        if (reference.index or 0) >= count and not where.startswith("outputs"):
            told = f"{reference}: the definition makes {count} of {reference.name}"
            yield Invalid(told, field=where)


def _off_the_router(definition: Definition) -> Iterator[Invalid]:
    """Instances with published ports that no router of the environment leads to."""
    for name, instance in definition.instances.items():
        if instance.publish and published_on(definition, instance.networks) is None:
            yield Invalid(
                f"{name}: it publishes ports, which takes a network with the"
                " environment's router: its own one, or a routed one of the file",
                field=f"instances.{name}.publish",
            )


def published_on(definition: Definition, networks: Sequence[str]) -> int | None:
    """Which of its networks an instance's ports are published on; None for none.

    :param networks: of the instance; none for the environment's own.
    """
    for number, each in enumerate(networks or [definition.name]):
        found = definition.networks.get(each)
        if each == definition.name or (found and found.routed):
            return number
    return None


def _references(definition: Definition) -> Iterator[tuple[str, Reference]]:
    """Every reference, with where it stands."""
    templates = [
        (f"{section}.{each.name}.variables.{key}", template)
        for section in ("provisioners", "instances")
        for each in getattr(definition, section).values()
        for key, template in each.variables.items()
    ]
    templates += [(f"outputs.{key}", each) for key, each in definition.outputs.items()]
    for where, template in templates:
        yield from ((where, reference) for reference in template.references)
