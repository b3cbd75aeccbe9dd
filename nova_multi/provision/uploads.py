# SPDX-License-Identifier: Apache-2.0
"""Content that users send, as far as their project has room for it."""

from __future__ import annotations

from typing import BinaryIO

from nova_multi.domain.errors import Conflict, Invalid
from nova_multi.domain.names import Kind
from nova_multi.provision.tools import Tools


def put(
    tools: Tools, project_id: str, content: BinaryIO, replaced: int = 0
) -> tuple[str, int]:
    """Keep content, as far as a project has room for it.

    Counted are files, and images that are on their way to Glance.

    :param replaced: bytes that it takes the place of.
    :returns: SHA-256 in hexadecimal, and size in bytes.
    :raises Conflict: there is no room.
    :raises Invalid: it is larger than any file may be.
    """
    settings = tools.settings
    room = max(0, settings.max_project_files - _used(tools, project_id) + replaced)
    try:
        return tools.files.put(content, min(settings.max_file_size, room))
    except Invalid as error:
        if room >= settings.max_file_size:
            raise
        raise Conflict(
            f"the files of the project would have more than the"
            f" {settings.max_project_files} bytes that are allowed",
            field="file",
            code="files_full",
        ) from error


def _used(tools: Tools, project_id: str) -> int:
    files = tools.store.list_records(Kind.FILE, project_ids=[project_id])
    images = tools.store.list_records(Kind.IMAGE, project_ids=[project_id])
    sizes = [each.data.get("size", 0) for each in files]
    sizes += [each.data["upload"]["size"] for each in images if each.data.get("upload")]
    return sum(map(int, sizes))
