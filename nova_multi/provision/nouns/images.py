# SPDX-License-Identifier: Apache-2.0
"""Images: Glance's, those of our records and those that were there before."""

from __future__ import annotations

from typing import Any

from nova_multi.cloud.values import StoredImage
from nova_multi.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unsupported,
)
from nova_multi.domain.image import Image, ImageName, ImageType, image_name
from nova_multi.domain.names import Kind, check_name
from nova_multi.domain.task import TaskType
from nova_multi.provision import fetch, inside
from nova_multi.provision.nouns.base import Noun, attributes, page
from nova_multi.provision.service import Accepted, Caller, Fields, Page, Query, Scope
from nova_multi.provision.sharing import image_home
from nova_multi.provision.store import Record

_FILTERS = attributes(
    "name", "type", "os", "variant", "version", "architecture", "status"
)
_NAME_PARTS = ("os", "variant", "version", "architecture")
_KEPT = (*_NAME_PARTS, "timezone", "download_url")
#: What would have to be built here first.
_BUILT = ("recipe", "preseed_url", "container_resource", "key")


class Images(Noun):
    """See :class:`nova_multi.provision.service.Service.images`."""

    def list(self, caller: Caller, query: Query) -> Page[Image]:
        """Images that the caller may see, those of Glance that are public as well."""
        records = self._find.shared(Kind.IMAGE, caller, query.scope)
        stored = {each.id: each for each in self._glance().images.images()}
        known = {each.openstack_id for each in self._store.list_records(Kind.IMAGE)}
        values = [_value(each, stored.get(each.openstack_id)) for each in records]
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
        return _value(record, self._stored(record))

    def create(self, caller: Caller, fields: Fields, scope: Scope) -> Image | Accepted:
        """Fetch one from its URL, or take up one of that name that Glance has."""
        kind: ImageType = fields["type"]
        name = fields.get("name") or image_name(
            *(fields.get(part) for part in _NAME_PARTS)
        )
        check_name(Kind.IMAGE, name)
        for field in _BUILT:
            if fields.get(field):
                raise Unsupported(
                    f"{field}: images are not built here yet", field=field
                )
        if kind is ImageType.ISO:
            raise Unsupported("an ISO is not installed here yet", field="type")
        partition, environment = self._home(caller, scope)
        within = environment or partition
        if within is None and not self._find.is_admin(caller):
            # What belongs to no partition is for all, and the administrator's to make.
            raise Forbidden("your project is in no partition that images could be for")
        if within is not None:
            self._check_own(caller, within)
        data: dict[str, Any] = {key: fields[key] for key in _KEPT if fields.get(key)}
        data |= {"type": kind.value, "home": within.openstack_id if within else ""}
        where = {
            "scope": partition.uuid if partition else "",
            "project_id": data["home"] or caller.project_id,
        }
        url = fields.get("download_url")
        if not url:
            return self._take_up(caller, name, kind, fields, data, where)
        source = self._source(caller, url)
        task_uuid = self._tools.new_uuid()
        record = self._new(
            Kind.IMAGE,
            name,
            caller,
            **where,
            data={**data, "state": "creating"},
            permissions=fields.get("permissions"),
            task_uuid=task_uuid,
        )
        payload = {
            "type": kind.value,
            **source,
            "home": data["home"],
            "visibility": "shared" if data["home"] or self._tools.single else "public",
            "properties": _properties(fields),
        }
        return self._accept_new(caller, TaskType.CREATE_IMAGE, record, payload)

    def _source(self, caller: Caller, url: str) -> dict[str, str]:
        """Where an image is fetched from: elsewhere, or one of the service's files.

        :raises Invalid: it is not fetched from there.
        """
        settings = self._tools.settings
        named = inside.file_named(url, settings.endpoints)
        if named is None:
            # Where its host is, only the worker asks: that may take a while.
            fetch.screened(url, settings.private_hosts)
            return {"url": url}
        try:
            file = self._find.one_shared(Kind.FILE, caller, *named)
        except NotFound as error:
            raise Invalid(error.message, field="download_url") from error
        if file.data.get("size", 0) > settings.max_image_size:
            raise Invalid(
                f"file {file.name} has more than {settings.max_image_size} bytes",
                field="download_url",
            )
        return {"url": url, "file": file.uuid}

    def _take_up(
        self,
        caller: Caller,
        name: str,
        kind: ImageType,
        fields: Fields,
        data: dict[str, Any],
        where: dict[str, str],
    ) -> Image:
        try:
            found = image_home(self._tools, data["home"]).images.find(name)
            # The service's accounts see more than those on whose behalf they look.
            if not (
                self._tools.single
                or found.visibility == "public"
                or found.owner in (caller.project_id, data["home"])
            ):
                raise NotFound(f"there is no image {name}")
            # One that may not be used is not to be had under another name.
            if found.id in self._find.hidden_images(caller, where["scope"], "x"):
                raise NotFound(f"there is no image {name}")
        except NotFound as error:
            raise Invalid(
                f"there is no image {name} yet: give the download_url to get it from",
                field="download_url",
            ) from error
        made_for = found.properties.get("img_hv_type", "qemu").lower()
        if made_for not in (kind.driver.value, kind.driver.hypervisor_type):
            raise Invalid(f"image {name} is for {made_for}", field="type")
        record = self._keep(
            self._new(
                Kind.IMAGE,
                name,
                caller,
                **where,
                data={**data, "adopted": True},
                permissions=fields.get("permissions"),
                openstack_id=found.id,
            )
        )
        self._audit(caller, "create", record)
        return _value(record, found)

    def _check_own(self, caller: Caller, within: Record) -> None:
        """See that an image may be handled in a partition's or environment's project.

        :raises Forbidden: the caller has no role there.
        :raises Conflict: there is no project yet.
        """
        if self._tools.single:
            return
        if not (
            self._find.is_admin(caller) or within.openstack_id == caller.project_id
        ):
            raise Forbidden(
                f"your token is not for the project of {within.kind} {within.name}"
            )
        # Without one the administrator's account would make it, for all.
        if not within.openstack_id:
            raise Conflict(f"{within.kind} {within.name} has no project yet")

    def change(self, caller: Caller, name: str, fields: Fields, scope: Scope) -> Image:
        """Change what is known of it."""
        before = self._find.one_shared(Kind.IMAGE, caller, name, scope, "w")
        changes = {key: fields[key] for key in _KEPT if key in fields}
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
                    record.openstack_id, {"name": record.name, **_properties(fields)}
                )
        self._audit(caller, "update", record)
        return _value(record, self._stored(record))

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


def _properties(fields: Fields) -> dict[str, str]:
    """What Glance has a name for."""
    names = {"os": "os_distro", "version": "os_version"}
    return {ours: fields[key] for key, ours in names.items() if fields.get(key)}


def _value(record: Record, stored: StoredImage | None) -> Image:
    data = record.data
    status = "queued" if data.get("state") == "creating" else "deleted"
    return Image(
        uuid=record.openstack_id or record.uuid,
        name=record.name,
        type=ImageType(data["type"]),
        **{key: data.get(key) or "" for key in _KEPT},
        permissions=record.permissions,
        status=stored.status if stored else status,
        size=stored.size if stored else None,
        owner_id=record.owner_id,
        project_id=record.project_id,
        created=record.created,
        modified=record.modified,
    )


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
