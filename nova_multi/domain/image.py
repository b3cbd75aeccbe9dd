# SPDX-License-Identifier: Apache-2.0
"""Images, and their names of the form ``os_variant_version_architecture``."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import re
from collections.abc import Callable, Mapping

from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid
from nova_multi.domain.permissions import Permissions


class ImageType(enum.StrEnum):
    """What kind of data an image is, or is made from."""

    ISO = "iso"
    DOCKER_CONTAINER = "docker-container"
    LXC_CONTAINER = "lxc-container"
    LXD = "lxd"
    DISK = "disk"

    @classmethod
    def parse(cls, text: str, field: str = "type") -> ImageType:
        """Read a type.

        :raises Invalid: there is no such type.
        """
        try:
            return cls(text)
        except ValueError as error:
            raise Invalid(
                f"image type {text!r:.40} is unknown; there are {', '.join(cls)}",
                field=field,
            ) from error

    @property
    def driver(self) -> Driver:
        """What runs instances of it."""
        if self is ImageType.DOCKER_CONTAINER:
            return Driver.DOCKER
        if self in (ImageType.LXC_CONTAINER, ImageType.LXD):
            return Driver.LXD
        return Driver.LIBVIRT

    @classmethod
    def of_driver(cls, driver: Driver) -> ImageType:
        """What an image of an instance is that a driver runs."""
        if driver is Driver.DOCKER:
            return cls.DOCKER_CONTAINER
        return cls.LXD if driver is Driver.LXD else cls.DISK


#: Glance's property: programs that were looked for in an image and are not in it.
WITHOUT = "nova_multi_without"
#: What provisioners need of an image, and is looked for.
LOOKED_FOR = ("git",)
_FOLDERS = ("usr/local/bin", "usr/bin", "bin", "usr/local/sbin", "usr/sbin", "sbin")


def found_missing(has: Callable[[str], bool]) -> dict[str, str]:
    """Properties that tell what is not in an image, once all of it was looked at.

    :param has: whether there is a file of that path, without a leading slash; links are
        followed.
    """
    missing = [
        name
        for name in LOOKED_FOR
        if not any(has(f"{folder}/{name}") for folder in _FOLDERS)
    ]
    return {WITHOUT: ",".join(missing)} if missing else {}


def known_missing(properties: Mapping[str, str]) -> frozenset[str]:
    """Programs that are known not to be in an image.

    A snapshot has its image's properties, and whatever was installed since: of that
    nothing is known.
    """
    if properties.get("image_type") == "snapshot" or properties.get("base_image_ref"):
        return frozenset()
    words = properties.get(WITHOUT, "").split(",")
    return frozenset(filter(None, map(str.strip, words)))


#: Other words for Glance's names of architectures.
_ARCHITECTURES = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "i386": "i686",
    "i686": "i686",
    "ppc64le": "ppc64le",
    "ppc64el": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}


def canonical_architecture(text: str, field: str = "architecture") -> str:
    """Glance's word for an architecture.

    :raises Invalid: it is unknown.
    """
    found = _ARCHITECTURES.get(text.lower()) if isinstance(text, str) else None
    if found is None:
        raise Invalid(
            f"architecture {text!r:.40} is unknown; there are "
            f"{', '.join(_ARCHITECTURES)}",
            field=field,
        )
    return found


#: Properties that Glance, the service or fields of their own decide.
_RESERVED = frozenset(
    (
        *("id", "name", "status", "visibility", "owner", "size", "virtual_size"),
        *("disk_format", "container_format", "min_disk", "min_ram", "checksum"),
        *("protected", "created_at", "updated_at", "tags", "self", "file", "schema"),
        *("stores", "locations", "direct_url", "os_hidden", "hypervisor_type"),
        *("img_hv_type", "os_distro", "os_version", "architecture"),
    )
)
_RESERVED_STARTS = ("os_hash_", "os_glance_", "nova_multi", "trait:CUSTOM_HYPERVISOR")
_PROPERTY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:.-]{0,254}", re.ASCII)


def check_property(name: str) -> str:
    """See that an image may be given a property of that name.

    :raises Invalid: it is none, or not the user's to set.
    """
    if not _PROPERTY.fullmatch(name):
        raise Invalid(
            f"{name!r:.80} is no name of a property: letters, digits, '_', ':', '.' and"
            " '-', the first a letter or digit"
        )
    if name in _RESERVED or name.startswith(_RESERVED_STARTS):
        raise Invalid(f"the property {name} is not for a definition to set")
    return name


def told_properties(
    os: str = "", version: str = "", architecture: str = ""
) -> dict[str, str]:
    """What Glance calls what is told of an image's system.

    :raises Invalid: the architecture is unknown.
    """
    found = {"os_distro": os, "os_version": version}
    if architecture:
        found["architecture"] = canonical_architecture(architecture)
    return {key: value for key, value in found.items() if value}


@dataclasses.dataclass(frozen=True, slots=True)
class ImageName:
    """The parts of a name such as ``ubuntu_server_14.04.2_amd64``."""

    os: str
    variant: str
    version: str
    architecture: str

    @classmethod
    def parse(cls, name: str) -> ImageName | None:
        """The parts of a name, or None: images may be called otherwise."""
        for word in _ARCHITECTURES:
            stem = name.removesuffix(f"_{word}")
            parts = stem.split("_")
            if stem != name and len(parts) == 3 and all(parts):
                os, variant, version = parts
                return cls(os, variant, version, word)
        return None

    def __str__(self) -> str:
        return "_".join(dataclasses.astuple(self))


def image_name(
    os: str | None, variant: str | None, version: str | None, architecture: str | None
) -> str:
    """The name of an image that was given none.

    :raises Invalid: a part is missing.
    """
    parts = {
        "os": os,
        "variant": variant,
        "version": version,
        "architecture": architecture,
    }
    missing = [field for field, value in parts.items() if not value]
    if missing:
        raise Invalid(
            f"an image without a name needs {', '.join(missing)} to be called "
            "os_variant_version_architecture",
            field=missing[0],
        )
    return "_".join(str(part) for part in parts.values())


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """An image.

    :ivar uuid: its id in Glance; of one that is not made yet, the record's.
    :ivar recipe: how it is built (a Dockerfile), where it is built here.
    :ivar key: content of the public key that is put into an installed image.
    :ivar preseed_url: answers for an unattended installation.
    :ivar container_resource: where a container's image is pulled from.
    :ivar status: Glance's own word.
    :ivar size: bytes; None while it isn't known.
    """

    uuid: str
    name: str
    type: ImageType
    recipe: str = ""
    os: str = ""
    variant: str = ""
    version: str = ""
    architecture: str = ""
    timezone: str = ""
    key: str = ""
    preseed_url: str = ""
    download_url: str = ""
    container_resource: str = ""
    permissions: Permissions = Permissions()
    status: str = ""
    size: int | None = None
    owner_id: str = ""
    project_id: str = ""
    created: datetime.datetime | None = None
    modified: datetime.datetime | None = None
