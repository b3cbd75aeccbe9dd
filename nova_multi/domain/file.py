# SPDX-License-Identifier: Apache-2.0
"""Files that provisioners and users keep with the service."""

from __future__ import annotations

import dataclasses
import datetime
import re

from nova_multi.domain.errors import Invalid
from nova_multi.domain.permissions import Permissions

_FOLDER = re.compile(r"[A-Za-z0-9._-]{1,64}(?:/[A-Za-z0-9._-]{1,64}){0,7}", re.ASCII)


def check_folder(text: str, field: str = "folder_name") -> str:
    """The folder itself, without slashes at its ends; empty is the top.

    :raises Invalid: it is none, or would lead out of the top.
    """
    folder = text.strip("/") if isinstance(text, str) else None
    if folder == "":
        return ""
    if not folder or not _FOLDER.fullmatch(folder):
        raise Invalid(
            f"folder {text!r:.80}: up to 8 names of letters, digits, '.', '_' and '-' "
            "with '/' between them",
            field=field,
        )
    if {".", ".."} & set(folder.split("/")):
        raise Invalid(f"folder {text!r:.80} must not have '.' or '..'", field=field)
    return folder


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """A file.

    :ivar size: bytes.
    :ivar checksum: SHA-256 of the content in hexadecimal, by which it is kept.
    :ivar owner_id: user id of who sent it.
    """

    uuid: str
    name: str
    folder_name: str = ""
    permissions: Permissions = Permissions()
    size: int = 0
    checksum: str = ""
    owner_id: str = ""
    project_id: str = ""
    created: datetime.datetime | None = None
    modified: datetime.datetime | None = None
