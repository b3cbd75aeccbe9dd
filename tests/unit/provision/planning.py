# SPDX-License-Identifier: Apache-2.0
"""A world without a cloud: what plans do is done to values."""

import dataclasses
import itertools
from collections import Counter

from nova_multi import spec
from nova_multi.domain import ranges
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import (
    Action,
    Facts,
    ImageFacts,
    Present,
    PresentEnvironment,
    PresentImage,
    PresentInstance,
    PresentNetwork,
)
from nova_multi.domain.provisioner import Ways
from nova_multi.domain.publish import Publish
from nova_multi.provision import imaging, planner
from nova_multi.provision.comparing import depends_key
from nova_multi.provision.recipes import image_key, recipes
from nova_multi.provision.references import Standing

_addresses = (f"10.0.{n // 250}.{n % 250 + 1}" for n in itertools.count())
_ports = itertools.count(20000)


def definition(instances, **sections):
    """A definition; instances have an image and a driver unless they say it."""
    filled = {
        name: {"image": "debian-12", "driver": "lxd", **fields}
        for name, fields in instances.items()
    }
    data = {"name": "shop", "partition": "co", "instances": filled, **sections}
    return spec.load_dict(data)


def facts_of(wanted, **more):
    """Every image that a definition names is there, and is 100 MB large."""
    facts = Facts(**{"ways": Ways(secrets_in_user_data=True), **more})
    keys = {image_key(wanted, facts, part) for part in wanted.instances}
    own = {name for name, each in wanted.images.items() if each.is_made}
    images = {
        key: ImageFacts(f"id of {key}", key[0], key[1], min_memory_mb=64)
        for key in keys
        if any(key) and key[0] not in own
    }
    return dataclasses.replace(facts, images=images)


def made(wanted, present=None, facts=None):
    """What stands once a definition is applied."""
    present, facts = present or Present(), facts or facts_of(wanted)
    return performed(planner.plan(wanted, present, facts), wanted, present, facts)


def performed(plan, wanted, present, facts):
    """What stands once a plan is carried out, step by step."""
    by_part = recipes(wanted, imaging.with_images(wanted, facts))
    there = {each.uuid: each for each in present.instances}
    environment = present.environment
    networks = {each.name: each for each in present.networks}
    images = {each.name: each for each in present.images}
    names = {each.name for each in there.values()}
    left = Counter(step.group for step in plan.steps)
    for step in plan.steps:
        assert not any(left[group] for group in step.needs), step
        left[step.group] -= 1
        if step.kind is Kind.ENVIRONMENT:
            assert step.action is not Action.DELETE or not (networks or images)
            environment = _environment(step, wanted, environment)
            continue
        if step.kind is Kind.NETWORK:
            _wire(step, wanted, networks, there.values())
            continue
        if step.kind is Kind.IMAGE:
            _image(step, wanted, images, there.values())
            continue
        recipe = by_part.get(step.part)
        if step.action is Action.UPDATE:
            names.discard(there[step.record].name)
            there[step.record] = _updated(there[step.record], step, recipe)
            assert step.name not in names
            names.add(step.name)
            continue
        if step.action in (Action.DELETE, Action.REPLACE):
            names.discard(there.pop(step.record).name)
        if step.action in (Action.CREATE, Action.REPLACE):
            assert step.name not in names
            names.add(step.name)
            # One that goes later is not told of.
            staying = [
                each
                for each in there.values()
                if each.part in by_part and each.index < len(by_part[each.part].names)
            ]
            own = set(recipe.networks) & set(wanted.networks)
            assert own <= set(networks), (step, networks)
            new = _created(step, recipe, staying, environment)
            if imaging_of(wanted, recipe):
                record = images[recipe.image].uuid
                new = dataclasses.replace(new, image_record=record)
            there[new.uuid] = new
    return Present(
        environment,
        tuple(there.values()),
        tuple(networks.values()),
        tuple(images.values()),
    )


def imaging_of(wanted, recipe):
    image = wanted.images.get(recipe.image)
    return image is not None and image.is_made


def _image(step, wanted, images, instances):
    """What it is made of stands before, and nothing new is made of what is gone."""
    if step.action is Action.UPDATE:
        told = imaging.properties(wanted.images[step.name])
        images[step.name] = dataclasses.replace(
            images[step.name], properties=told, actual={}
        )
        return
    if step.action is not Action.CREATE:
        gone = images.pop(step.name)
        users = [one.name for one in instances if one.image_record == gone.uuid]
        assert step.action is Action.REPLACE or not users, (step, users)
    if step.action is Action.DELETE:
        return
    definition, of = wanted.images[step.name], ""
    if definition.instance:
        (of,) = [
            one.uuid
            for one in instances
            if (one.part, one.index) == (definition.instance, 0)
        ]
    key = next(_addresses)
    images[step.name] = PresentImage(
        f"uuid of {key}",
        step.name,
        f"id of {key}",
        imaging.words(definition, {}, of),
        imaging.properties(definition),
    )


def _wire(step, wanted, networks, instances):
    """As Neutron does it: nothing in use goes, and routed ranges don't overlap."""
    definition = wanted.networks.get(step.name)
    if step.action is Action.UPDATE:
        networks[step.name] = dataclasses.replace(
            networks[step.name],
            dns=definition.dns,
            dhcp=definition.dhcp,
            actual_dns=None,
            actual_dhcp=None,
            connected=True,
        )
        return
    if step.action is not Action.CREATE:
        users = [one.name for one in instances if step.name in one.networks]
        assert not users, (step, users)
        del networks[step.name]
    if step.action is Action.DELETE:
        return
    assert step.name not in networks
    for each in networks.values():
        if each.routed and definition.routed:
            assert not ranges.overlap(each.cidr, step.cidr), (step, each)
    networks[step.name] = PresentNetwork(
        f"uuid of {next(_addresses)}",
        step.name,
        step.cidr,
        definition.dhcp,
        definition.dns,
        definition.routed,
    )


def _environment(step, wanted, before):
    if step.action is Action.DELETE:
        return None
    before = before or PresentEnvironment("shop", "co", made=True)
    users = before.users if wanted.users is None else wanted.users
    return dataclasses.replace(
        before,
        users=users,
        description=wanted.description or before.description,
        schedule=wanted.schedule or before.schedule,
        # It gets one as soon as anything asks for it.
        publish_address=before.publish_address or "203.0.113.9",
    )


def _published(recipe, before=()):
    known = {(each.inside, each.protocol): each.outside for each in before}
    return tuple(
        Publish(
            each.outside or known.get((each.inside, each.protocol)) or next(_ports),
            each.inside,
            each.protocol,
        )
        for each in recipe.publish
    )


def _updated(one, step, recipe):
    return dataclasses.replace(
        one,
        name=step.name,
        description=recipe.description,
        provisioner=recipe.provisioner,
        tags=recipe.tags,
        publish=recipe.publish,
        published=_published(recipe, one.published),
    )


def _created(step, recipe, there, environment):
    instances = {}
    told_something = any(recipe.references) or recipe.depends
    for each in sorted(there, key=lambda each: each.index) if told_something else ():
        instances.setdefault(each.part, []).append(each)
    standing = Standing(environment, instances)
    told = {str(each): standing.value(each) for each in recipe.references}
    for name, parts in recipe.depends.items():
        told[depends_key(name)] = standing.addresses(parts)
    assert None not in told.values(), told
    address = next(_addresses)
    return PresentInstance(
        uuid=f"uuid of {address}",
        name=step.name,
        part=step.part,
        index=step.index,
        words=recipe.words,
        image=recipe.image,
        driver=recipe.driver,
        size=recipe.size,
        host_type=recipe.host_type,
        provisioner=recipe.provisioner,
        description=recipe.description,
        tags=recipe.tags,
        publish=recipe.publish,
        published=_published(recipe),
        told=told,
        needs=recipe.needs,
        networks=tuple(each for each in recipe.networks if each != "shop"),
        addresses=(address,),
        host="node1",
    )


def steps(plan):
    """A plan in short."""
    return [f"{each.action} {each.name}" for each in plan.steps]
