# SPDX-License-Identifier: Apache-2.0
"""Files: forms with content in, base64 out."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import BinaryIO

from nova_multi.api.handlers.base import Call, Raw, Route
from nova_multi.api.schemas import file
from nova_multi.api.schemas.base import InScope
from nova_multi.domain.errors import Invalid
from nova_multi.domain.file import File
from nova_multi.provision.service import Page

#: A multiple of three, so that base64 needs no filling between the pieces.
_PIECE = 3 * 64 * 1024


def list_(call: Call) -> Page[File]:
    """``GET /files``."""
    return call.service.files.list(call.caller, call.page)


def create(call: Call) -> File:
    """``POST /files``."""
    fields = call.body.fields()
    if call.upload is None:
        raise Invalid(
            "the form has no file: it goes in a part called file", field="file"
        )
    if "name" not in fields:
        raise Invalid("the file has no name", field="name")
    return call.service.files.create(call.caller, fields, call.upload, call.scope)


def show(call: Call) -> File:
    """``GET /files/{name}``."""
    return call.service.files.show(call.caller, call.name, call.scope)


def change(call: Call) -> File:
    """``PUT /files/{name}``."""
    fields = call.body.fields()
    if not fields and call.upload is None:
        raise Invalid("nothing to change was given")
    return call.service.files.change(
        call.caller, call.name, fields, call.upload, call.scope
    )


def delete(call: Call) -> None:
    """``DELETE /files/{name}``."""
    call.service.files.delete(call.caller, call.name, call.scope)


def content(call: Call) -> Raw:
    """``GET /file/{name}``."""
    found, stream = call.service.files.open(call.caller, call.name, call.scope)
    return Raw(_pieces(file.FileContent.head(found), stream))


def _pieces(head: str, stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        yield head[:-1].encode() + b',"content":"'
        while piece := stream.read(_PIECE):
            # Less than asked for may come before the end.
            while len(piece) % 3 and (more := stream.read(3 - len(piece) % 3)):
                piece += more
            yield base64.b64encode(piece)
        yield b'"}'


ROUTES = [
    Route(
        "GET",
        "/files",
        list_,
        "List files",
        "multi:file:list",
        query=file.FileQuery,
        answer=file.FileAnswer,
        plural="files",
    ),
    Route(
        "POST",
        "/files",
        create,
        "Create a file",
        "multi:file:create",
        body=file.FileForm,
        query=InScope,
        answer=file.FileAnswer,
        status=201,
        multipart=True,
    ),
    Route(
        "GET",
        "/files/{name}",
        show,
        "Show a file",
        "multi:file:show",
        query=InScope,
        answer=file.FileAnswer,
    ),
    Route(
        "PUT",
        "/files/{name}",
        change,
        "Change a file, its content too",
        "multi:file:set",
        body=file.FileForm,
        query=InScope,
        answer=file.FileAnswer,
        multipart=True,
    ),
    Route(
        "DELETE",
        "/files/{name}",
        delete,
        "Delete a file",
        "multi:file:delete",
        query=InScope,
        verb="delete",
    ),
    Route(
        "GET",
        "/file/{name}",
        content,
        "Get a file with its content",
        "multi:file:content",
        query=InScope,
        answer=file.FileContent,
    ),
]
