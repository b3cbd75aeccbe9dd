# SPDX-License-Identifier: Apache-2.0
"""Images that were built, brought to Glance: once, whole, with all properties."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from nova_multi.cloud.image import Images
from nova_multi.cloud.values import StoredImage
from nova_multi.domain import errors

#: Files that travel at the same time.
_WIDTH = 4
_CHUNK = 1024 * 1024

Visibility = Literal["private", "shared", "community", "public"]


@dataclasses.dataclass(frozen=True, slots=True)
class BuiltImage:
    """A file, and what Glance is to know of it.

    :ivar sha512: of the content.
    :ivar references: properties whose value is the id of the image of that name.
    """

    name: str
    path: Path
    sha512: str
    disk_format: str
    container_format: str
    min_disk_gb: int
    min_memory_mb: int
    properties: dict[str, str]
    references: dict[str, str]

    @classmethod
    def of(cls, told: dict[str, Any], folder: Path) -> BuiltImage:
        """From an entry of a build's manifest."""
        return cls(
            name=told["name"],
            path=folder / told["file"],
            sha512=told["sha512"],
            disk_format=told["disk_format"],
            container_format=told["container_format"],
            min_disk_gb=told["min_disk"],
            min_memory_mb=told["min_ram"],
            properties=dict(told["properties"]),
            references=dict(told["references"]),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Brought:
    """What became of an image.

    :ivar outcome: ``uploaded``; ``changed``, where only properties or the visibility
        were not as wanted; ``present``.
    """

    name: str
    id: str
    outcome: Literal["uploaded", "changed", "present"]


def bring(
    images: Images,
    wanted: Sequence[BuiltImage],
    *,
    project_id: str | None,
    visibility: Visibility = "private",
    told: Callable[[Brought], None] = lambda _: None,
) -> tuple[Brought, ...]:
    """Bring all that Glance does not have; first what others refer to.

    An image of the project's with the same name and content is left as it is, but for
    properties. One of that name with another content is hidden, not deleted: servers
    may have been made of it, and the new one takes its name.

    :param project_id: whose images they are.
    :param told: is told of each.
    :raises Invalid: Glance refuses a value, or the content was damaged on its way.
    :raises Forbidden: the account may not make one so visible.
    :raises NotFound: an image refers to one that is not among them.
    """
    names = [each.name for each in wanted]
    for each in wanted:
        for key, name in each.references.items():
            if name not in names:
                raise errors.NotFound(f"{each.name} needs {name} as its {key}")
    found: dict[str, Brought] = {}

    def one(each: BuiltImage) -> Brought:
        references = {key: found[name].id for key, name in each.references.items()}
        brought = _bring_one(images, each, references, project_id, visibility)
        told(brought)
        return brought

    for lot in (
        [each for each in wanted if not each.references],
        [each for each in wanted if each.references],
    ):
        with ThreadPoolExecutor(_WIDTH) as pool:
            found |= {brought.name: brought for brought in pool.map(one, lot)}
    return tuple(found[name] for name in dict.fromkeys(names))


def _bring_one(
    images: Images,
    wanted: BuiltImage,
    references: dict[str, str],
    project_id: str | None,
    visibility: Visibility,
) -> Brought:
    properties = {**wanted.properties, **references}
    same = None
    older: list[StoredImage] = []
    for present in images.images(name=wanted.name):
        if project_id is not None and present.owner != project_id:
            continue
        whole = present.status == "active" and present.hash == wanted.sha512
        if whole and same is None:
            same = present
        else:
            older.append(present)
    if same is None:
        made = _upload(images, wanted, properties, visibility)
        brought = Brought(wanted.name, made.id, "uploaded")
    else:
        changes: dict[str, Any] = {
            "disk_format": wanted.disk_format,
            "container_format": wanted.container_format,
            "min_disk": wanted.min_disk_gb,
            "min_ram": wanted.min_memory_mb,
            "visibility": visibility,
            **properties,
        }
        after = images.update(same.id, changes)
        outcome: Literal["present", "changed"]
        outcome = "present" if after == same else "changed"
        brought = Brought(wanted.name, same.id, outcome)
    for each in older:
        _retire(images, each)
    return brought


def _upload(
    images: Images,
    wanted: BuiltImage,
    properties: dict[str, str],
    visibility: Visibility,
) -> StoredImage:
    """Make and fill one; nothing is left of one that did not arrive whole."""
    made = images.describe(
        wanted.name,
        disk_format=wanted.disk_format,
        container_format=wanted.container_format,
        visibility=visibility,
        min_disk_gb=wanted.min_disk_gb,
        min_memory_mb=wanted.min_memory_mb,
        properties=properties,
    )
    try:
        filled = images.upload(made.id, _pieces(wanted.path))
        if filled.hash != wanted.sha512:
            raise errors.Invalid(
                f"image {wanted.name} was damaged on its way: Glance has"
                f" {filled.hash_algorithm} {filled.hash}, the file is {wanted.sha512}"
            )
    except BaseException:
        images.delete(made.id)
        raise
    return filled


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            yield piece


def _retire(images: Images, image: StoredImage) -> None:
    if image.status == "active":
        images.update(image.id, {"os_hidden": True})
    elif image.status == "queued":
        # Of an upload that did not come to its end; one that is being filled may be
        # somebody's who is at it right now.
        images.delete(image.id)
