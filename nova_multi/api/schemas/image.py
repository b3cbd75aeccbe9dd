# SPDX-License-Identifier: Apache-2.0
"""Images."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import StringConstraints

from nova_multi.api.schemas.base import (
    UNSET,
    URL,
    Answer,
    Body,
    Change,
    Content,
    InScope,
    Line,
    ListQuery,
    PermissionsText,
    Read,
    Reference,
    Stamp,
    Time,
    name_of,
    stamp,
    word_of,
)
from nova_multi.domain.image import (
    Image,
    ImageType,
    canonical_architecture,
)
from nova_multi.domain.names import Kind


def _architecture(text: Any) -> Any:
    canonical_architecture(text)
    return text


_Name = Annotated[Any, name_of(Kind.IMAGE, 255)]
_Type = Annotated[Any, word_of(ImageType.parse, ImageType)]
_Architecture = Annotated[
    Any, Read(_architecture, {"type": "string", "examples": ["amd64", "x86_64"]})
]


_Checksum = Annotated[
    str,
    StringConstraints(
        pattern=r"^((sha256:)?[0-9a-fA-F]{64}|(sha512:)?[0-9a-fA-F]{128})$"
    ),
]


class ImageCreate(Body):
    """A new image; without a name it is ``os_variant_version_architecture``.

    Its content comes with the form, from ``download_url``, or is what ``instance``
    holds, whose type it has. With ``preseed_url`` an ISO is installed.
    """

    name: _Name = UNSET
    type: _Type = UNSET
    recipe: Content = UNSET
    os: Line = UNSET
    variant: Line = UNSET
    version: Line = UNSET
    architecture: _Architecture = UNSET
    timezone: Line = UNSET
    key: Content = UNSET
    preseed_url: URL = UNSET
    download_url: URL = UNSET
    container_resource: URL = UNSET
    instance: Reference = UNSET
    checksum: _Checksum = UNSET
    permissions: PermissionsText = UNSET


class ImageChange(Change):
    """What is to change of an image; its content stays."""

    FIXED = frozenset(
        {"type", "recipe", "key", "preseed_url", "download_url", "container_resource"}
    )

    name: _Name = UNSET
    os: Line = UNSET
    variant: Line = UNSET
    version: Line = UNSET
    architecture: _Architecture = UNSET
    timezone: Line = UNSET
    permissions: PermissionsText = UNSET


class ImageAnswer(Answer):
    """An image; ``size`` is in bytes."""

    uuid: str
    name: str
    type: ImageType
    recipe: str
    os: str
    variant: str
    version: str
    architecture: str
    timezone: str
    key: str
    preseed_url: str
    download_url: str
    container_resource: str
    permissions: str
    status: str
    size: int | None
    created: Stamp | None
    modified: Time | None

    @classmethod
    def of(cls, value: Image) -> Self:
        return cls(
            uuid=value.uuid,
            name=value.name,
            type=value.type,
            recipe=value.recipe,
            os=value.os,
            variant=value.variant,
            version=value.version,
            architecture=value.architecture,
            timezone=value.timezone,
            key=value.key,
            preseed_url=value.preseed_url,
            download_url=value.download_url,
            container_resource=value.container_resource,
            permissions=str(value.permissions),
            status=value.status,
            size=value.size,
            created=stamp(value.created, value.owner_id),
            modified=value.modified,
        )


class ImageQuery(ListQuery, InScope):
    """Filters of a list of images."""

    name: Reference = UNSET
    type: _Type = UNSET
    os: Reference = UNSET
    variant: Reference = UNSET
    version: Reference = UNSET
    architecture: Reference = UNSET
    status: Reference = UNSET
