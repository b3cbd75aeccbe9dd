# SPDX-License-Identifier: Apache-2.0
"""An image of what a server's disk holds, made by Nova in the server's project."""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.cloud.image import routing
from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.image import ImageType
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.provision.steps.base import Step, Wait, Work, made, ready, take_back

#: Seconds between looks at what may take a while.
_LOOK = 1.0
#: What Nova notes of the server, and what would boot the image by other means than its
#: own: it is an image like any other.
_DROPPED = (
    "kernel_id",
    "ramdisk_id",
    "os_command_line",
    "base_image_ref",
    "instance_uuid",
    "user_id",
    "image_state",
    "image_location",
    "boot_roles",
    "owner_id",
    "owner_project_name",
    "owner_user_name",
)


def of_instance(work: Work) -> Sequence[Step]:
    """Make one of an instance that stands."""
    return [
        Step("environment", "image", _environment),
        Step("snapshot", "image", _of_instance, delete_made),
        *FILLED,
    ]


def _environment(work: Work) -> None:
    record = ready(work, Kind.ENVIRONMENT, work.payload["environment"])
    work.keep(project_id=record.openstack_id)


def _of_instance(work: Work) -> None:
    work.status(TaskStatus.CREATING)
    take(work, work.payload["instance"])


def take(work: Work, server_id: str) -> None:
    """Have Nova make it; it is filled later.

    :raises NotFound: there is no such server.
    :raises Conflict: its state forbids it.
    """
    image_id = work.project().servers.snapshot(server_id, work.name, work.mark)
    work.keep(image_id=image_id)


def delete_made(work: Work) -> None:
    """Delete every image that the task has made."""
    if "project_id" not in work.state:
        return
    cloud = work.project()
    ids = made(work, cloud, "image", work.state.get("image_id"))
    take_back(work, "image", ids, cloud.images.delete)


def _filled(work: Work) -> None:
    try:
        image = work.project().images.image(work.state["image_id"])
    except NotFound as error:
        # Nova takes back a snapshot that failed.
        raise Conflict("the snapshot failed: its image is gone") from error
    if image.status == "active":
        return
    if image.status in ("killed", "deleted", "pending_delete"):
        raise Conflict(f"the snapshot failed: its image is {image.status}")
    if work.step_age("filled") > work.tools.settings.build_timeout:
        raise Conflict("the snapshot takes too long", code="timeout")
    raise Wait(_LOOK)


def _describe(work: Work) -> None:
    kind = ImageType(work.payload["type"])
    work.project().images.update(
        work.state["image_id"],
        {
            "visibility": work.payload["visibility"],
            **routing(kind),
            **work.payload.get("properties", {}),
        },
        remove=_DROPPED,
    )


#: Behind the step that has it made.
FILLED = (
    Step("filled", "image", _filled),
    Step("describe", "image", _describe),
)
