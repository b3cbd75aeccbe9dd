# SPDX-License-Identifier: Apache-2.0
"""Images: Glance's, those of our records and those that were there before."""

from __future__ import annotations

from typing import Any

from nova_multi.cloud.values import StoredImage
from nova_multi.domain.errors import NotFound
from nova_multi.domain.image import Image, ImageName, ImageType
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskType
from nova_multi.provision.nouns.base import attributes, page
from nova_multi.provision.nouns.new_images import (
    KEPT,
    NewImages,
    properties,
    value_of,
)
from nova_multi.provision.service import Accepted, Caller, Fields, Page, Query, Scope
from nova_multi.provision.sharing import image_home
from nova_multi.provision.store import Record

_FILTERS = attributes(
    "name", "type", "os", "variant", "version", "architecture", "status"
)


class Images(NewImages):
    """See :class:`nova_multi.provision.service.Images`."""

    def list(self, caller: Caller, query: Query) -> Page[Image]:
        """Images that the caller may see, those of Glance that are public as well."""
        records = self._find.shared(Kind.IMAGE, caller, query.scope)
        stored = {each.id: each for each in self._glance().images.images()}
        known = {each.openstack_id for each in self._store.list_records(Kind.IMAGE)}
        values = [value_of(each, stored.get(each.openstack_id)) for each in records]
        values += [
            _foreign(each)
            for each in stored.values()
            if each.id not in known and each.visibility == "public"
        ]
        return page(values, query, lambda each: each.name, _FILTERS)

    def show(self, caller: Caller, name: str, scope: Scope) -> Image:
        """One of them."""
        try:
            record = self._find.one_shared(Kind.IMAGE, caller, name, scope)
        except NotFound:
            if self._tools.single:
                found = self._glance().images.find(name)
            else:
                # The administrator's account sees everybody's.
                found = self._glance().images.find_public(name)
            known = self._store.list_records(Kind.IMAGE, openstack_ids=[found.id])
            if known or found.visibility != "public":
                raise
            return _foreign(found)
        return value_of(record, self._stored(record))

    def change(self, caller: Caller, name: str, fields: Fields, scope: Scope) -> Image:
        """Change what is known of it."""
        before = self._find.one_shared(Kind.IMAGE, caller, name, scope, "w")
        changes = {key: fields[key] for key in KEPT if key in fields}
        record = self._store.update_record(
            Kind.IMAGE,
            before.uuid,
            name=fields.get("name"),
            merge=changes,
            permissions=fields.get("permissions"),
        )
        if record.openstack_id and not record.data.get("adopted"):
            cloud = image_home(self._tools, record.data.get("home", ""))
            with self._put_back(before, changes):
                cloud.images.update(
                    record.openstack_id, {"name": record.name, **properties(fields)}
                )
        self._audit(caller, "update", record)
        return value_of(record, self._stored(record))

    def delete(self, caller: Caller, name: str, scope: Scope) -> Accepted:
        """Delete it; one that was only taken up stays in Glance."""
        record = self._find.one_shared(Kind.IMAGE, caller, name, scope, "w")
        self._check_made(record)
        return self._accept_delete(caller, TaskType.DELETE_IMAGE, record, {})

    def _glance(self) -> Any:
        return image_home(self._tools, "")

    def _stored(self, record: Record) -> StoredImage | None:
        if not record.openstack_id:
            return None
        try:
            cloud = image_home(self._tools, record.data.get("home", ""))
            return cloud.images.image(record.openstack_id)
        except NotFound:
            return None


def _foreign(stored: StoredImage) -> Image:
    """An image of Glance's that was never told to us."""
    parts = ImageName.parse(stored.name)
    return Image(
        uuid=stored.id,
        name=stored.name,
        type=_type(stored),
        os=parts.os if parts else stored.properties.get("os_distro", ""),
        variant=parts.variant if parts else "",
        version=parts.version if parts else stored.properties.get("os_version", ""),
        architecture=parts.architecture
        if parts
        else stored.properties.get("architecture", ""),
        status=stored.status,
        size=stored.size,
        project_id=stored.owner or "",
        created=stored.created,
        modified=stored.updated,
    )


def _type(stored: StoredImage) -> ImageType:
    made_for = stored.properties.get("img_hv_type", "").lower()
    if made_for == "docker" or stored.container_format == "docker":
        return ImageType.DOCKER_CONTAINER
    if made_for == "lxd":
        return ImageType.LXD
    return ImageType.ISO if stored.disk_format == "iso" else ImageType.DISK
