# SPDX-License-Identifier: Apache-2.0
"""Files."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from nova_multi.api.schemas.base import (
    UNSET,
    Answer,
    Body,
    InScope,
    ListQuery,
    PermissionsText,
    Read,
    Reference,
    Stamp,
    Time,
    name_of,
    stamp,
)
from nova_multi.domain.file import File, check_folder
from nova_multi.domain.names import Kind

_Name = Annotated[Any, name_of(Kind.FILE, 255)]
_Folder = Annotated[
    Any,
    Read(
        check_folder,
        {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{0,64}(/[A-Za-z0-9_-]{1,64}){0,7}$",
        },
    ),
]

#: Parts of a form that hold the content.
UPLOADS = ("file", "file_data")


class FileForm(Body):
    """The texts of a form beside the file; without a name the file's own is taken."""

    name: _Name = UNSET
    folder_name: _Folder = UNSET
    permissions: PermissionsText = UNSET


class FileAnswer(Answer):
    """A file without its content; the checksum is SHA-256, the size in bytes."""

    uuid: str
    name: str
    folder_name: str
    permissions: str
    size: int
    checksum: str
    created: Stamp | None
    modified: Time | None

    @classmethod
    def of(cls, value: File) -> Self:
        return cls(
            uuid=value.uuid,
            name=value.name,
            folder_name=value.folder_name,
            permissions=str(value.permissions),
            size=value.size,
            checksum=value.checksum,
            created=stamp(value.created, value.owner_id),
            modified=value.modified,
        )


class FileContent(FileAnswer):
    """A file with its content."""

    content: str = Field(description="Base64.")

    @classmethod
    def head(cls, value: File) -> str:
        """JSON of all but the content, which is written piece by piece behind it."""
        return FileAnswer.of(value).model_dump_json()


class FileQuery(ListQuery, InScope):
    """Filters of a list of files."""

    name: Reference = UNSET
    folder_name: Reference = UNSET
