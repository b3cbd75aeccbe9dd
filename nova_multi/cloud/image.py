# SPDX-License-Identifier: Apache-2.0
"""Images: Glance's, with what routes them to the right hypervisor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from openstack import exceptions as sdk

from nova_multi.cloud import marks, times, traits
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import translated
from nova_multi.cloud.values import StoredImage
from nova_multi.domain import errors, names
from nova_multi.domain.image import ImageType

#: Glance's own default is 25.
_PAGE = 1000
_CHUNK = 1024 * 1024
_PATCH = "application/openstack-images-v2.1-json-patch"

#: Everything that is not a property of an operator's or of ours.
_OWN = frozenset(
    {
        "id",
        "name",
        "status",
        "visibility",
        "owner",
        "size",
        "virtual_size",
        "disk_format",
        "container_format",
        "min_disk",
        "min_ram",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "os_hidden",
        "protected",
        "created_at",
        "updated_at",
        "tags",
        "self",
        "file",
        "schema",
        "stores",
        "locations",
        "direct_url",
    }
)

#: Disk and container format of each type.
_FORMATS: Mapping[ImageType, tuple[str, str]] = {
    ImageType.ISO: ("iso", "bare"),
    ImageType.DOCKER_CONTAINER: ("raw", "docker"),
    ImageType.LXC_CONTAINER: ("raw", "bare"),
    ImageType.LXD: ("raw", "bare"),
    ImageType.DISK: ("qcow2", "bare"),
}


def formats(kind: ImageType) -> tuple[str, str]:
    """Disk and container format of a type of image."""
    return _FORMATS[kind]


def routing(kind: ImageType) -> dict[str, str]:
    """Properties that send servers of an image to the hypervisor that runs it."""
    found = {"img_hv_type": kind.driver.hypervisor_type}
    if trait := traits.driver_trait(kind.driver):
        key, value = traits.required(trait)
        found[key] = value
    return found


class Images:
    """Images that the account sees.

    :param connection: in the project that owns what is made.
    :param transfer_timeout: seconds without progress while content travels.
    """

    def __init__(self, connection: Connection, transfer_timeout: float) -> None:
        self._connection = connection
        self._transfer_timeout = transfer_timeout

    def images(
        self,
        *,
        name: str | None = None,
        tags: Iterable[str] = (),
        visibility: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> tuple[StoredImage, ...]:
        """Images that meet all of these; one request for each 1,000."""
        query: list[tuple[str, str]] = [("limit", str(_PAGE))]
        if name is not None:
            # Glance reads some of its filters as operators.
            query.append(("name", f'in:"{name}"' if ":" in name else name))
        if visibility is not None:
            query.append(("visibility", visibility))
        query += [("tag", tag) for tag in tags]
        query += list((properties or {}).items())
        found: list[StoredImage] = []
        with translated("list images"):
            while True:
                body = self._json(self._connection.image.get("/images", params=query))
                found += map(_value, body["images"])
                if not body.get("next") or not body["images"]:
                    return tuple(found)
                query = [pair for pair in query if pair[0] != "marker"]
                query.append(("marker", body["images"][-1]["id"]))

    def image(self, image_id: str) -> StoredImage:
        """One image.

        :raises NotFound: there is none.
        """
        with translated(f"show image {image_id}"):
            return _value(self._json(self._connection.image.get(f"/images/{image_id}")))

    def find(self, name_or_id: str) -> StoredImage:
        """The image of that name or id; a name of our project goes before others'.

        :raises NotFound: there is none.
        :raises Ambiguous: several have that name; only the id will do.
        """
        named = self.images(name=name_or_id)
        project = self._connection.project_id
        fitting = [each for each in named if each.owner == project] or list(named)
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            ids = ", ".join(sorted(each.id for each in fitting))
            raise errors.Ambiguous(
                f"several images are called {name_or_id}: {ids}", field="image"
            )
        return self._by_id(name_or_id)

    def find_public(self, name_or_id: str) -> StoredImage:
        """The same among public images: of all others nothing is told.

        For an account that sees more than the one on whose behalf it looks.

        :raises NotFound: there is none of that name or id.
        :raises Ambiguous: several have that name; only the id will do.
        """
        named = self.images(name=name_or_id, visibility="public")
        if len(named) > 1:
            ids = ", ".join(sorted(each.id for each in named))
            raise errors.Ambiguous(
                f"several public images are called {name_or_id}: {ids}", field="image"
            )
        found = named[0] if named else self._by_id(name_or_id)
        if found.visibility != "public":
            raise _unknown(name_or_id)
        return found

    def _by_id(self, image_id: str) -> StoredImage:
        # Anything else would lead elsewhere as a part of a path.
        if not names.is_id(image_id):
            raise _unknown(image_id)
        try:
            return self.image(image_id)
        except (errors.NotFound, errors.Invalid):
            raise _unknown(image_id) from None

    def create(
        self,
        name: str,
        kind: ImageType,
        mark: marks.Mark,
        *,
        disk_format: str | None = None,
        container_format: str | None = None,
        visibility: Literal["private", "shared", "community", "public"] = "private",
        properties: Mapping[str, str] | None = None,
        min_disk_gb: int = 0,
        min_memory_mb: int = 0,
    ) -> StoredImage:
        """Make an image without content; one that the task made before is it.

        :param disk_format: where it is not the type's usual one.
        :param container_format: the same.
        :param properties: besides those that route it.
        :raises Invalid: Glance can't take a value.
        :raises Forbidden: the account may not make one so visible.
        """
        made = self.images(name=name, properties={marks.TASK_KEY: mark.task})
        if made:
            return made[0]
        disk, container = formats(kind)
        body = {
            **(properties or {}),
            **routing(kind),
            marks.TASK_KEY: mark.task,
            "name": name,
            "disk_format": disk_format or disk,
            "container_format": container_format or container,
            "visibility": visibility,
            "min_disk": min_disk_gb,
            "min_ram": min_memory_mb,
            "tags": sorted(mark.tags),
        }
        with translated(f"make image {name}"):
            return _value(self._json(self._connection.image.post("/images", json=body)))

    def describe(
        self,
        name: str,
        *,
        disk_format: str,
        container_format: str,
        visibility: Literal["private", "shared", "community", "public"] = "private",
        min_disk_gb: int = 0,
        min_memory_mb: int = 0,
        properties: Mapping[str, str] | None = None,
    ) -> StoredImage:
        """Make an image without content that belongs to no task; twice makes two.

        :raises Invalid: Glance can't take a value.
        :raises Forbidden: the account may not make one so visible.
        """
        body = {
            **(properties or {}),
            "name": name,
            "disk_format": disk_format,
            "container_format": container_format,
            "visibility": visibility,
            "min_disk": min_disk_gb,
            "min_ram": min_memory_mb,
        }
        with translated(f"make image {name}"):
            return _value(self._json(self._connection.image.post("/images", json=body)))

    def upload(self, image_id: str, content: Iterator[bytes]) -> StoredImage:
        """Fill an image; nothing is done to one that is active.

        :param content: in pieces, read once.
        :raises NotFound: there is no such image.
        :raises Conflict: somebody else fills it.
        :raises Invalid: Glance says that it is not of the image's format.
        """
        present = self.image(image_id)
        if present.status == "active":
            return present
        with translated(f"upload image {image_id}"):
            response = self._connection.image.put(
                f"/images/{image_id}/file",
                data=content,
                headers={"Content-Type": "application/octet-stream"},
                timeout=self._transfer_timeout,
                # The second time there would be nothing left to read.
                allow_reauth=False,
            )
            sdk.raise_from_response(response)
        return self.image(image_id)

    def download(self, image_id: str) -> Iterator[bytes]:
        """The content of an image, in pieces.

        :raises NotFound: there is no such image, or nothing in it.
        """
        with translated(f"download image {image_id}"):
            response = self._connection.image.get(
                f"/images/{image_id}/file",
                stream=True,
                timeout=self._transfer_timeout,
            )
            sdk.raise_from_response(response)
            if response.status_code == 204:
                raise errors.NotFound(f"image {image_id} is empty", field="image")
            with response:
                yield from response.iter_content(_CHUNK)

    def update(
        self,
        image_id: str,
        changes: Mapping[str, Any],
        remove: Iterable[str] = (),
    ) -> StoredImage:
        """Change an image's attributes and properties.

        :param changes: by Glance's names.
        :param remove: properties to take away; those that aren't there don't matter.
        :raises NotFound: there is no such image.
        :raises Forbidden: it is somebody else's.
        """
        with translated(f"change image {image_id}"):
            path = f"/images/{image_id}"
            present = self._json(self._connection.image.get(path))
            patch = [
                {
                    "op": "replace" if key in present else "add",
                    "path": _pointer(key),
                    "value": value,
                }
                for key, value in changes.items()
                if present.get(key) != value
            ]
            patch += [
                {"op": "remove", "path": _pointer(key)}
                for key in remove
                if key in present
            ]
            if not patch:
                return _value(present)
            return _value(
                self._json(
                    self._connection.image.patch(
                        path, json=patch, headers={"Content-Type": _PATCH}
                    )
                )
            )

    def share(self, image_id: str, project_id: str) -> None:
        """Let another project use an image by its id; twice is no more than once.

        :raises NotFound: there is no such image.
        :raises Forbidden: it is not shared, or somebody else's.
        """
        with translated(f"share image {image_id}"):
            response = self._connection.image.post(
                f"/images/{image_id}/members", json={"member": project_id}
            )
            if response.status_code != 409:
                sdk.raise_from_response(response)

    def delete(self, image_id: str) -> bool:
        """Delete an image.

        :returns: False if there is none any more.
        :raises Forbidden: it is protected, or somebody else's.
        :raises Conflict: it is in use.
        """
        with translated(f"delete image {image_id}"):
            response = self._connection.image.delete(f"/images/{image_id}")
            if response.status_code == 404:
                return False
            sdk.raise_from_response(response)
        return True

    @staticmethod
    def _json(response: Any) -> Any:
        sdk.raise_from_response(response)
        return response.json()


def _unknown(name_or_id: str) -> errors.NotFound:
    return errors.NotFound(f"there is no image {name_or_id!r:.80}", field="image")


def _pointer(key: str) -> str:
    """A key as JSON Pointer."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _value(raw: Mapping[str, Any]) -> StoredImage:
    return StoredImage(
        id=raw["id"],
        name=raw.get("name") or "",
        status=raw["status"],
        disk_format=raw.get("disk_format"),
        container_format=raw.get("container_format"),
        owner=raw.get("owner"),
        visibility=raw.get("visibility") or "private",
        size=raw.get("size"),
        min_disk_gb=raw.get("min_disk") or 0,
        min_memory_mb=raw.get("min_ram") or 0,
        hash_algorithm=raw.get("os_hash_algo"),
        hash=raw.get("os_hash_value"),
        created=times.read(raw.get("created_at")),
        updated=times.read(raw.get("updated_at")),
        properties={
            key: value
            for key, value in raw.items()
            if key not in _OWN and isinstance(value, str)
        },
        tags=tuple(raw.get("tags") or ()),
    )
