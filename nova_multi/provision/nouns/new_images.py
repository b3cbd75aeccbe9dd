# SPDX-License-Identifier: Apache-2.0
"""Accepting images: uploaded, fetched, made of an instance, installed, or taken up."""

from __future__ import annotations

import dataclasses
from typing import Any, BinaryIO

from nova_multi.cloud.values import StoredImage
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NameTaken,
    NotFound,
    Unsupported,
)
from nova_multi.domain.image import (
    Image,
    ImageType,
    image_name,
    told_properties,
)
from nova_multi.domain.names import Kind, check_name
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.task import TaskType
from nova_multi.provision import answers, fetch, inside, uploads
from nova_multi.provision.checking import Checksum
from nova_multi.provision.nouns.base import Noun
from nova_multi.provision.service import Accepted, Caller, Fields, Scope
from nova_multi.provision.sharing import image_home
from nova_multi.provision.store import Record

NAME_PARTS = ("os", "variant", "version", "architecture")
KEPT = (*NAME_PARTS, "timezone", "download_url")
#: What would have to be built here first.
_BUILT = ("recipe", "container_resource")
#: Where content may come from; one at most.
_SOURCES = ("file", "download_url", "instance")
#: What only an installation knows to do with.
_INSTALLED = ("preseed_url", "key")


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """What all ways to an image have in common.

    :ivar home: project that it is to be in; empty for the administrator's.
    :ivar scope: uuid of the partition or the environment, empty for none.
    """

    name: str
    type: ImageType
    home: str
    scope: str
    data: dict[str, Any]
    properties: dict[str, str]
    permissions: Permissions | None


class NewImages(Noun):
    """Accepts the making of images."""

    def create(
        self,
        caller: Caller,
        fields: Fields,
        scope: Scope,
        content: BinaryIO | None = None,
    ) -> Image | Accepted:
        """Make one, or take up one of that name that Glance has.

        :param content: uploaded with the request.
        """
        given = {**fields, **({"file": True} if content is not None else {})}
        _check_sources(given)
        if given.get("instance"):
            return self._of_instance(caller, given, scope)
        if not given.get("type"):
            raise Invalid("type is missing", field="type")
        kind: ImageType = given["type"]
        if _is_installed(given):
            return self._install(caller, given, scope)
        partition, environment = self._home(caller, scope)
        within = environment or partition
        if within is None and not self._find.is_admin(caller):
            # What belongs to no partition is for all, and the administrator's to make.
            raise Forbidden("your project is in no partition that images could be for")
        if within is not None:
            self._check_own(caller, within)
        wanted = self._wanted(
            given,
            kind,
            within.openstack_id if within else "",
            partition.uuid if partition else "",
        )
        if content is None and not given.get("download_url"):
            return self._take_up(caller, wanted, environment)
        source = (
            self._kept(caller, wanted, content)
            if content is not None
            else self.source(caller, given["download_url"])
        )
        if given.get("checksum"):
            source["checksum"] = str(Checksum.parse(given["checksum"]))
        return self._accept_image(caller, wanted, source)

    def _wanted(
        self, fields: Fields, kind: ImageType, home: str, scope: str
    ) -> _Wanted:
        name = fields.get("name") or image_name(
            *(fields.get(part) for part in NAME_PARTS)
        )
        check_name(Kind.IMAGE, name)
        data: dict[str, Any] = {key: fields[key] for key in KEPT if fields.get(key)}
        data |= {"type": kind.value, "home": home}
        return _Wanted(
            name, kind, home, scope, data, properties(fields), fields.get("permissions")
        )

    def _accept_image(
        self,
        caller: Caller,
        wanted: _Wanted,
        source: dict[str, Any],
    ) -> Accepted:
        record = self._new(
            Kind.IMAGE,
            wanted.name,
            caller,
            scope=wanted.scope,
            project_id=wanted.home or caller.project_id,
            data={
                **wanted.data,
                "state": "creating",
                **({"upload": source["upload"]} if "upload" in source else {}),
            },
            permissions=wanted.permissions,
            task_uuid=self._tools.new_uuid(),
        )
        visible = "shared" if wanted.home or self._tools.single else "public"
        payload = {
            "type": wanted.type.value,
            **source,
            "home": wanted.home,
            "visibility": visible,
            "properties": wanted.properties,
        }
        return self._accept_new(caller, TaskType.CREATE_IMAGE, record, payload)

    # -- where content comes from

    def _kept(
        self, caller: Caller, wanted: _Wanted, content: BinaryIO
    ) -> dict[str, Any]:
        """Keep what was uploaded until it is in Glance.

        :raises Conflict: the project has no room for it.
        """
        project_id = wanted.home or caller.project_id
        # Nobody fills the disk with what could not be called anything.
        if self._store.list_records(Kind.IMAGE, scope=wanted.scope, name=wanted.name):
            raise NameTaken(f"there is already an image called {wanted.name}")
        checksum, size = uploads.put(self._tools, project_id, content)
        return {"upload": {"checksum": checksum, "size": size}}

    def source(self, caller: Caller, url: str) -> dict[str, Any]:
        """Where an image is fetched from: elsewhere, or one of the service's files.

        :raises Invalid: it is not fetched from there.
        """
        return self._from(caller, url, "download_url")

    def _from(
        self, caller: Caller, url: str, field: str, limit: int | None = None
    ) -> dict[str, Any]:
        settings = self._tools.settings
        limit = limit or settings.max_image_size
        named = inside.file_named(url, settings.endpoints)
        if named is None:
            # Where its host is, only the worker asks: that may take a while.
            try:
                fetch.screened(url, settings.private_hosts)
            except Invalid as error:
                raise Invalid(error.message, field=field, code=error.code) from error
            return {"url": url}
        try:
            file = self._find.one_shared(Kind.FILE, caller, *named)
        except NotFound as error:
            raise Invalid(error.message, field=field) from error
        if file.data.get("size", 0) > limit:
            raise Invalid(f"file {file.name} has more than {limit} bytes", field=field)
        return {"url": url, "file": file.uuid}

    # -- of an instance

    def _of_instance(self, caller: Caller, fields: Fields, scope: Scope) -> Accepted:
        """Make one of what an instance's disk holds just now.

        It belongs to the environment, as the instance does, and its owner is the
        caller; whoever may not use the instance may not use it either, unless it is
        told otherwise.
        """
        name = fields["instance"]
        source = self._find.instance(caller, name, scope, "x")
        if source.data.get("deleting"):
            raise Conflict(f"instance {source.name} is being deleted")
        if not source.openstack_id or source.data.get("creating"):
            raise Conflict(f"instance {source.name} is being made: wait for its task")
        kind = ImageType.of_driver(Driver(source.data["driver"]))
        if fields.get("type") not in (None, kind):
            raise Invalid(
                f"instance {source.name} runs on {source.data['driver']}: an image of"
                f" it is of type {kind}",
                field="type",
            )
        environment = self._store.record(Kind.ENVIRONMENT, source.scope)
        wanted = self._wanted(
            {"permissions": source.permissions, **fields},
            kind,
            environment.openstack_id,
            # Who may not know of the instance is not to know what it holds.
            environment.uuid,
        )
        return self._accept_image(
            caller,
            wanted,
            {
                "instance": source.openstack_id,
                "environment": environment.uuid,
                "partition": environment.scope,
            },
        )

    # -- installed

    def _install(self, caller: Caller, fields: Fields, scope: Scope) -> Accepted:
        """Have a system installed to a disk, in an instance made for that alone."""
        partition, environment = self._home(caller, scope)
        if environment is None:
            raise Invalid(
                "an installer runs in an environment, on its network: say in which"
                " (?environment=)",
                field="environment",
                code="no_environment",
            )
        self._check_own(caller, environment)
        for field in ("download_url", "preseed_url"):
            if not fields.get(field):
                raise Invalid(
                    "an installation takes download_url, the installer, and"
                    f" preseed_url, its answers: {field} is missing",
                    field=field,
                )
        # Looked at before anything is made of them.
        key = answers.public_key(fields.get("key") or "")
        zone = answers.time_zone(fields.get("timezone") or "")
        kind = ImageType.DISK
        wanted = self._wanted(
            fields, kind, environment.openstack_id, partition.uuid if partition else ""
        )
        wanted.data["preseed_url"] = fields["preseed_url"]
        wanted.data["key"] = fields.get("key") or ""
        source: dict[str, Any] = {
            "installer": self.source(caller, fields["download_url"]),
            "answers": self._from(
                caller, fields["preseed_url"], "preseed_url", answers.MAX_SIZE
            ),
            "key": key,
            "timezone": zone,
            "environment": environment.uuid,
            "partition": environment.scope,
            "size": {
                "cpus": self._tools.settings.installer_cpus,
                "memory_mb": self._tools.settings.installer_memory_mb,
                "disk_gb": self._tools.settings.installer_disk_gb,
            },
            "driver": kind.driver.value,
        }
        if fields.get("checksum"):
            source["checksum"] = str(Checksum.parse(fields["checksum"]))
        return self._accept_image(caller, wanted, source)

    # -- taken up

    def _take_up(
        self, caller: Caller, wanted: _Wanted, environment: Record | None
    ) -> Image:
        home, name = wanted.home, wanted.name
        try:
            found = image_home(self._tools, home).images.find(name)
            # The service's accounts see more than those on whose behalf they look.
            if not (
                self._tools.single
                or found.visibility == "public"
                or found.owner in (caller.project_id, home)
            ):
                raise NotFound(f"there is no image {name}")
            # One that may not be used is not to be had under another name.
            own = environment.uuid if environment else ""
            scopes = wanted.scope, own
            if found.id in self._find.hidden_images(caller, *scopes, action="x"):
                raise NotFound(f"there is no image {name}")
            # Nor is the environment's own to be opened to others by another record.
            if own and self._store.list_records(
                Kind.IMAGE, scope=own, openstack_ids=[found.id]
            ):
                raise NameTaken(f"there is already an image called {name}")
        except NotFound as error:
            raise Invalid(
                f"there is no image {name} yet: upload it, or give the download_url to"
                " get it from",
                field="download_url",
            ) from error
        made_for = found.properties.get("img_hv_type", "qemu").lower()
        driver = wanted.type.driver
        if made_for not in (driver.value, driver.hypervisor_type):
            raise Invalid(f"image {name} is for {made_for}", field="type")
        record = self._keep(
            self._new(
                Kind.IMAGE,
                name,
                caller,
                scope=wanted.scope,
                project_id=home or caller.project_id,
                data={**wanted.data, "adopted": True},
                permissions=wanted.permissions,
                openstack_id=found.id,
            )
        )
        self._audit(caller, "create", record)
        return value_of(record, found)

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


def _is_installed(fields: Fields) -> bool:
    return fields["type"] is ImageType.ISO and bool(fields.get("preseed_url"))


def _check_sources(fields: Fields) -> None:
    """See that an image comes from one place, and what is given belongs to it.

    :raises Invalid: it doesn't.
    :raises Unsupported: it would have to be built.
    """
    for field in _BUILT:
        if fields.get(field):
            raise Unsupported(f"{field}: images are not built here yet", field=field)
    given = [field for field in _SOURCES if fields.get(field)]
    if len(given) > 1:
        raise Invalid(
            f"an image comes from one place: {' and '.join(given)} were given",
            field=given[-1],
        )
    if fields.get("checksum"):
        Checksum.parse(fields["checksum"])
        if given in ([], ["instance"]):
            raise Invalid(
                "a checksum is compared with what is uploaded or fetched",
                field="checksum",
            )
    for field in _INSTALLED:
        if fields.get(field) and fields.get("type") is not ImageType.ISO:
            raise Invalid(
                f"{field} is for installing a system: that takes type iso", field=field
            )
    if fields.get("key") and not fields.get("preseed_url"):
        raise Invalid("key is for an installation, with preseed_url", field="key")


def properties(fields: Fields) -> dict[str, str]:
    """What Glance has a name for."""
    keys = ("os", "version", "architecture")
    return told_properties(**{key: fields.get(key) or "" for key in keys})


def value_of(record: Record, stored: StoredImage | None) -> Image:
    """An image of our records."""
    data = record.data
    status = "queued" if data.get("state") == "creating" else "deleted"
    told = (*KEPT, "preseed_url", "key")
    return Image(
        uuid=record.openstack_id or record.uuid,
        name=record.name,
        type=ImageType(data["type"]),
        **{key: data.get(key) or "" for key in told},
        permissions=record.permissions,
        status=stored.status if stored else status,
        size=stored.size if stored else None,
        owner_id=record.owner_id,
        project_id=record.project_id,
        created=record.created,
        modified=record.modified,
    )
