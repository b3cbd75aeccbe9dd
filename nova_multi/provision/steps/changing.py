# SPDX-License-Identifier: Apache-2.0
"""Changing instances that stand: other published ports, another name, other words."""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.domain.names import Kind
from nova_multi.domain.publish import Publish
from nova_multi.provision import publishing
from nova_multi.provision.steps.base import Step, Work
from nova_multi.provision.steps.instance import ENVIRONMENT, wanted_ports


def update(work: Work) -> Sequence[Step]:
    """Publish other ports, give it another name or other words."""
    return [
        ENVIRONMENT,
        *([REPUBLISH] if "publish" in work.payload else []),
        *([DESCRIBE] if "describe" in work.payload else []),
    ]


def _republish(work: Work) -> None:
    record = work.record(Kind.INSTANCE)
    ports = list(record.data.get("ports", ()))
    before = [Publish.parse(text) for text in record.data.get("published", ())]
    wanted = wanted_ports(work)
    moving = [each for each in before if any(_moves(each, to) for to in wanted)]
    if moving:
        # Neutron forwards a port of a guest but once.
        publishing.unpublish(work, ports, moving)
    kept = (
        publishing.publish(work, ports[record.data.get("published_on", 0)], wanted)
        if wanted
        else []
    )
    # What has moved is gone already; the guest's port that it led to stays open.
    leaving = [each for each in before if each not in kept and each not in moving]
    if leaving:
        publishing.unpublish(work, ports, leaving)
    work.tools.store.update_record(
        Kind.INSTANCE,
        record.uuid,
        merge={
            "publish": [str(each) for each in wanted],
            "published": [str(each) for each in kept],
        },
    )


def _republish_back(work: Work) -> None:
    record = work.find_record(Kind.INSTANCE)
    if record is None:
        return
    before = [Publish.parse(text) for text in record.data.get("published", ())]
    ports = list(record.data.get("ports", ()))
    new = [
        each
        for each in wanted_ports(work)
        if not any(_same_inside(each, b) and not _moves(b, each) for b in before)
    ]
    if new:
        publishing.unpublish(work, ports, new)
    if before:
        publishing.publish(work, ports[record.data.get("published_on", 0)], before)
    publishing.release_unused(work)


def _same_inside(one: Publish, other: Publish) -> bool:
    return (one.inside, one.protocol) == (other.inside, other.protocol)


def _moves(before: Publish, wanted: Publish) -> bool:
    """Whether a port of the guest is to be had at another port of the address."""
    return _same_inside(before, wanted) and wanted.outside not in (None, before.outside)


def _describe(work: Work) -> None:
    """Give it other words, here and in Nova."""
    words = work.payload["describe"]
    merge = {key: words[key] for key in words if key != "name"}
    record = work.tools.store.update_record(
        Kind.INSTANCE, work.payload["record"], name=words.get("name"), merge=merge
    )
    if record.openstack_id and {"name", "description"} & words.keys():
        work.project().servers.rename(
            record.openstack_id, words.get("name"), words.get("description")
        )


DESCRIBE = Step("describe", "instance", _describe)
REPUBLISH = Step("publish", "published ports of instance", _republish, _republish_back)
