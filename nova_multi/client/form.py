# SPDX-License-Identifier: Apache-2.0
"""Forms with a file in them (multipart/form-data), sent as the file is read.

``requests`` would read all of the file before it sends anything.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from typing import BinaryIO

_CHUNK = 1024 * 1024


class Form:
    """A body for requests: it has a length, and can be read again from its begin.

    :param fields: texts of the form.
    :param content: of the part ``file``, from where it stands to its end; can be
        sought. None for a form without a file.
    :param name: of the file.
    :ivar content_type: for the header of that name.
    """

    def __init__(
        self, fields: Mapping[str, str], content: BinaryIO | None, name: str
    ) -> None:
        self._boundary = secrets.token_hex(16)
        self._content = content
        texts = [_part(field) + value.encode() for field, value in fields.items()]
        if content is not None:
            self._begin = content.tell()
            self._size = content.seek(0, os.SEEK_END) - self._begin
            kind = b"\r\nContent-Type: application/octet-stream"
            texts.append(_part("file", name, kind))
        line = f"--{self._boundary}".encode()
        self._head = b"\r\n".join(part for text in texts for part in (line, text))
        self._tail = b"\r\n" + line + b"--\r\n"
        self.content_type = f"multipart/form-data; boundary={self._boundary}"

    def __len__(self) -> int:
        size = self._size if self._content is not None else 0
        return len(self._head) + size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        if self._content is not None:
            self._content.seek(self._begin)
            yield from iter(self._read, b"")
        yield self._tail

    def _read(self) -> bytes:
        assert self._content is not None
        return self._content.read(_CHUNK)


def _part(name: str, filename: str | None = None, more: bytes = b"") -> bytes:
    """Head of a part, up to where its value begins."""
    told = f'Content-Disposition: form-data; name="{_quoted(name)}"'
    if filename is not None:
        told += f'; filename="{_quoted(filename)}"'
    return told.encode() + more + b"\r\n\r\n"


def _quoted(text: str) -> str:
    """As browsers write it (https://html.spec.whatwg.org/#multipart-form-data)."""
    for character in '"\r\n':
        text = text.replace(character, f"%{ord(character):02X}")
    return text
