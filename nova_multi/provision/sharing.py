# SPDX-License-Identifier: Apache-2.0
"""Where images are handled, and which projects may use them."""

from __future__ import annotations

from nova_multi.cloud.clouds import Cloud
from nova_multi.cloud.values import StoredImage
from nova_multi.domain.names import Kind
from nova_multi.provision.store import Record
from nova_multi.provision.tools import Tools


def image_home(tools: Tools, project_id: str) -> Cloud:
    """The cloud in which an image of that project is handled.

    :param project_id: of a partition or an environment; empty for images of the cloud's
        administrator, who also has those whose project is gone.
    """
    if tools.single or (project_id and _stands(tools, project_id)):
        return tools.clouds.project(project_id)
    return tools.clouds.admin()


def _stands(tools: Tools, project_id: str) -> bool:
    return any(
        tools.store.list_records(kind, openstack_ids=[project_id], limit=1)
        for kind in (Kind.ENVIRONMENT, Kind.PARTITION)
    )


def share_image(
    tools: Tools,
    record: Record,
    image: StoredImage,
    project_id: str,
    *,
    only_look: bool = False,
) -> None:
    """Let an environment's project use an image that was made in another one.

    :param only_look: don't, but see whether it could be.
    :raises NotFound: it was only taken up, and its owner keeps it from the project.
    """
    home = record.data.get("home", "")
    if tools.single or not project_id or home == project_id:
        return
    if image.visibility == "public":
        return
    if image.visibility == "shared" and not record.data.get("adopted"):
        if not only_look:
            image_home(tools, home).images.share(image.id, project_id)
    else:
        # Better told now than by a server that fails.
        image_home(tools, project_id).images.image(image.id)
