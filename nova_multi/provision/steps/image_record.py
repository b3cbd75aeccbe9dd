# SPDX-License-Identifier: Apache-2.0
"""The first and the last step of every image: its name, and what it stands for."""

from __future__ import annotations

from nova_multi.domain.names import Kind
from nova_multi.provision.steps.base import Step, Work


def _nothing(work: Work) -> None:
    return


def _free_name(work: Work) -> None:
    if work.tools.store.delete_record(Kind.IMAGE, work.payload["record"]):
        work.took_back(f"name {work.name}")


def _ready(work: Work) -> None:
    image_id = work.state["image_id"]
    work.tools.store.update_record(
        Kind.IMAGE,
        work.payload["record"],
        openstack_id=image_id,
        merge={"state": "ready"},
    )
    work.tools.store.set_object(work.uuid, image_id, work.fencing)


NAME = Step("name", "image", _nothing, _free_name)
READY = Step("ready", "image", _ready)
