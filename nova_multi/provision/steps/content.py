# SPDX-License-Identifier: Apache-2.0
"""Content that a task was told to get: fetched, one of our files, or uploaded."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.inspection.unpacking import Limits
from nova_multi.provision import checking, fetch
from nova_multi.provision.steps.base import Wait, Work
from nova_multi.provision.tools import Tools

#: Seconds after which a task that got no turn asks again.
_TURN = 5.0
#: Bytes that are read of a file at once.
_CHUNK = 1024 * 1024
#: Bytes after which it is told anew how many there are.
_TOLD = 64 * 1024**2


def limits(tools: Tools) -> Limits:
    """What an image for containers may be at most."""
    return Limits(tools.settings.max_unpacked, tools.settings.max_members)


@contextlib.contextmanager
def turn(tools: Tools) -> Iterator[None]:
    """One of the few downloads of this worker: hosts that are slow don't take it all.

    :raises Wait: all turns are taken.
    """
    made = threading.BoundedSemaphore(tools.settings.downloads)
    turns: threading.BoundedSemaphore = tools.memory.setdefault("downloads", made)
    if not turns.acquire(blocking=False):
        raise Wait(_TURN)
    try:
        yield
    finally:
        turns.release()


def get(
    work: Work, source: Mapping[str, Any], path: str, limit: int | None = None
) -> None:
    """Write content into a file, and compare its checksum where one is given.

    :param source: ``upload``, ``file`` or ``url``; ``checksum``.
    :param limit: bytes, where it is not an image's.
    :raises Invalid: it is not what it should be, or can't be had from there.
    :raises Unavailable: it can't be had now.
    """
    checksum = source.get("checksum")
    told = 0

    def came(size: int) -> None:
        nonlocal told
        if size - told >= _TOLD:
            told = size
            work.message(TaskStatus.CREATING, f"{size >> 20} MiB came")

    with _opened(work, source, limit) as pieces:
        checking.fill(
            path,
            pieces,
            limit or work.tools.settings.max_image_size,
            checking.Checksum.parse(checksum) if checksum else None,
            came,
        )


def _opened(
    work: Work, source: Mapping[str, Any], limit: int | None
) -> contextlib.AbstractContextManager[Iterator[bytes]]:
    settings = work.tools.settings
    if "upload" in source:
        return _kept(work.tools, source["upload"]["checksum"])
    if "file" in source:
        # One of our own, which the caller was let to see.
        record = work.tools.store.record(Kind.FILE, source["file"])
        return _kept(work.tools, record.data.get("checksum", ""))
    return fetch.opened(
        source["url"],
        settings.private_hosts,
        limit or settings.max_image_size,
        settings.download_timeout,
    )


@contextlib.contextmanager
def _kept(tools: Tools, checksum: str) -> Iterator[Iterator[bytes]]:
    with tools.files.open(checksum) as file:
        yield iter(lambda: file.read(_CHUNK), b"")
