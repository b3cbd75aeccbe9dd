# SPDX-License-Identifier: Apache-2.0
"""Images from a URL."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence

from nova_multi.cloud.clouds import Cloud
from nova_multi.domain.errors import NotFound
from nova_multi.domain.image import ImageType
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.provision import fetch
from nova_multi.provision.sharing import image_home
from nova_multi.provision.steps.base import Step, Wait, Work, made, take_back
from nova_multi.provision.tools import Tools

#: Seconds after which a task that got no turn asks again.
_TURN = 5.0
#: Bytes that are read of a file at once.
_CHUNK = 1024 * 1024


def create(work: Work) -> Sequence[Step]:
    """Fetch an image into Glance."""
    return [
        Step("name", "image", _nothing, _free_name),
        Step("image", "image", _make, _delete_made),
        Step("content", "image", _fill),
        Step("ready", "image", _ready),
    ]


def delete(work: Work) -> Sequence[Step]:
    """Delete an image."""
    return [Step("image", "image", _delete), Step("name", "image", _forget)]


def _nothing(work: Work) -> None:
    return


def _free_name(work: Work) -> None:
    if work.tools.store.delete_record(Kind.IMAGE, work.payload["record"]):
        work.took_back(f"name {work.name}")


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
    with _turn(work.tools):
        _fetch(work)


@contextlib.contextmanager
def _turn(tools: Tools) -> Iterator[None]:
    """One of the few downloads of this worker: hosts that are slow don't take it all.

    :raises Wait: all turns are taken.
    """
    made = threading.BoundedSemaphore(tools.settings.downloads)
    turns: threading.BoundedSemaphore = tools.memory.setdefault("downloads", made)
    if not turns.acquire(blocking=False):
        raise Wait(_TURN)
    try:
        yield
    finally:
        turns.release()


def _fetch(work: Work) -> None:
    cloud = image_home(work.tools, work.payload["home"])
    status = _status(cloud, work.state["image_id"])
    if status == "active":
        return
    if status != "queued":
        cloud.images.delete(work.state["image_id"])
        _make(work)
    with _content(work) as content:
        cloud.images.upload(work.state["image_id"], content)


def _content(work: Work) -> contextlib.AbstractContextManager[Iterator[bytes]]:
    if "file" in work.payload:
        return _file(work)
    settings = work.tools.settings
    return fetch.opened(
        work.payload["url"],
        settings.private_hosts,
        settings.max_image_size,
        settings.download_timeout,
    )


@contextlib.contextmanager
def _file(work: Work) -> Iterator[Iterator[bytes]]:
    """Content of one of our own files, which the caller was let to see."""
    tools = work.tools
    record = tools.store.record(Kind.FILE, work.payload["file"])
    with tools.files.open(record.data.get("checksum", "")) as file:
        yield iter(lambda: file.read(_CHUNK), b"")


def _status(cloud: Cloud, image_id: str) -> str:
    try:
        return cloud.images.image(image_id).status
    except NotFound:
        return "gone"


def _ready(work: Work) -> None:
    image_id = work.state["image_id"]
    work.tools.store.update_record(
        Kind.IMAGE,
        work.payload["record"],
        openstack_id=image_id,
        merge={"state": "ready"},
    )
    work.tools.store.set_object(work.uuid, image_id, work.fencing)


def _delete(work: Work) -> None:
    work.status(TaskStatus.DELETING)
    record = work.find_record(Kind.IMAGE)
    # One that was there before is not ours to delete.
    if record and record.openstack_id and not record.data.get("adopted"):
        cloud = image_home(work.tools, record.data.get("home", ""))
        cloud.images.delete(record.openstack_id)


def _forget(work: Work) -> None:
    work.tools.store.delete_record(Kind.IMAGE, work.payload["record"])
