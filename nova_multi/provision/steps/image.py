# SPDX-License-Identifier: Apache-2.0
"""Images: fetched or uploaded, made of an instance, or installed."""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.cloud.clouds import Cloud
from nova_multi.domain.errors import NotFound
from nova_multi.domain.image import ImageType
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.provision import checking, presence
from nova_multi.provision.sharing import image_home
from nova_multi.provision.steps import content, installation, snapshot
from nova_multi.provision.steps.base import Step, Work, made, take_back
from nova_multi.provision.steps.image_record import NAME, READY


def create(work: Work) -> Sequence[Step]:
    """Get an image into Glance, from wherever it comes."""
    if "installer" in work.payload:
        return installation.install(work)
    if "instance" in work.payload:
        return [NAME, *snapshot.of_instance(work), READY]
    return [
        NAME,
        Step("image", "image", _make, _delete_made),
        Step("content", "image", _fill),
        READY,
    ]


def delete(work: Work) -> Sequence[Step]:
    """Delete an image."""
    return [Step("image", "image", _delete), Step("name", "image", _forget)]


def update(work: Work) -> Sequence[Step]:
    """Give an image of a definition other properties."""
    return [Step("change", "image", _change)]


def _change(work: Work) -> None:
    """Have it as it is to be, whatever it is like now."""
    record, properties = work.record(Kind.IMAGE), work.payload["properties"]
    cloud = image_home(work.tools, record.data.get("home", ""))
    before = record.data.get(presence.PROPERTIES, {})
    dropped = [key for key in before if key not in properties]
    cloud.images.update(record.openstack_id, properties, remove=dropped)
    # Entries are merged one level deep: this one is taken as a whole.
    work.tools.store.update_record(
        Kind.IMAGE,
        record.uuid,
        merge={presence.PROPERTIES: properties, **work.payload["described"]},
    )


def _make(work: Work) -> None:
    payload, cloud = work.payload, image_home(work.tools, work.payload["home"])
    image = cloud.images.create(
        work.name,
        ImageType(payload["type"]),
        work.mark,
        visibility=payload["visibility"],
        properties=payload.get("properties", {}),
    )
    work.keep(image_id=image.id)


def _delete_made(work: Work) -> None:
    cloud = image_home(work.tools, work.payload["home"])
    ids = made(work, cloud, "image", work.state.get("image_id"))
    take_back(work, "image", ids, cloud.images.delete)


def _fill(work: Work) -> None:
    """Fetch and upload in one go; what a former owner left half-way is begun anew."""
    work.status(TaskStatus.CREATING)
    with content.turn(work.tools):
        _fetch(work)


def _fetch(work: Work) -> None:
    cloud = image_home(work.tools, work.payload["home"])
    status = _status(cloud, work.state["image_id"])
    if status == "active":
        return
    if status != "queued":
        cloud.images.delete(work.state["image_id"])
        _make(work)
    kind = ImageType(work.payload["type"])
    with work.tools.files.scratch() as path:
        content.get(work, work.payload, path)
        work.message(TaskStatus.CREATING, "inspecting")
        wanted = work.payload.get("properties", {}).get("architecture", "")
        with checking.checked(kind, path, content.limits(work.tools), wanted) as found:
            # Glance lets no format be changed once there is content.
            cloud.images.update(work.state["image_id"], found.fields)
            work.message(TaskStatus.CREATING, "uploading")
            cloud.images.upload(work.state["image_id"], found.content)
    if "upload" in work.payload:
        # Nothing keeps it any more from being swept away.
        work.tools.store.update_record(
            Kind.IMAGE, work.payload["record"], merge={"upload": None}
        )


def _status(cloud: Cloud, image_id: str) -> str:
    try:
        return cloud.images.image(image_id).status
    except NotFound:
        return "gone"


def _delete(work: Work) -> None:
    work.status(TaskStatus.DELETING)
    record = work.find_record(Kind.IMAGE)
    # One that was there before is not ours to delete.
    if record and record.openstack_id and not record.data.get("adopted"):
        cloud = image_home(work.tools, record.data.get("home", ""))
        cloud.images.delete(record.openstack_id)


def _forget(work: Work) -> None:
    work.tools.store.delete_record(Kind.IMAGE, work.payload["record"])
