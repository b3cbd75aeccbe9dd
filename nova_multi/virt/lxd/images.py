# SPDX-License-Identifier: Apache-2.0
"""Images of ours that LXD holds, and how guests become images again."""

from __future__ import annotations

import contextlib
import uuid as uuid_module
from collections.abc import Iterator, Sequence
from typing import Any

from nova_multi import exception
from nova_multi.inspection import roottree
from nova_multi.virt.engine import ImageFacts, ImageKey
from nova_multi.virt.lxd import image, mapping
from nova_multi.virt.lxd.client import (
    ENGINE,
    NOT_FOUND,
    LXDClient,
    absent_is_fine,
    logged,
)

Record = dict[str, Any]


class Images:
    """Images in one project of LXD.

    :param client: for requests that take seconds.
    :param transfer: for those that move whole images.
    :param limits: of images that are imported.
    """

    def __init__(
        self, client: LXDClient, transfer: LXDClient, limits: roottree.Limits
    ) -> None:
        self._client = client
        self._transfer = transfer
        self._limits = limits
        self._seen: dict[ImageKey, Record] = {}

    def seen(self, key: ImageKey) -> Record:
        """LXD's record of an image as it was when it was last looked at.

        An image never changes; that it is gone LXD says when it is used.

        :raises EngineImageNotFound: LXD does not hold it.
        """
        return self._seen.get(key) or self.record(key)

    def record(self, key: ImageKey) -> Record:
        """LXD's record of an image.

        :raises EngineImageNotFound: LXD does not hold it.
        """
        self._seen.pop(key, None)
        try:
            target = self._client.get("images", "aliases", mapping.alias(key))["target"]
            record = dict(self._client.get("images", target))
        except exception.EngineError as error:
            if error.status != NOT_FOUND:
                raise
            raise exception.EngineImageNotFound(
                f"LXD does not hold image {key}", engine=ENGINE, status=NOT_FOUND
            ) from error
        if image.key_of(record) != key:
            raise exception.EngineImageNotFound(
                f"LXD's image {mapping.alias(key)} is another one", engine=ENGINE
            )
        self._seen[key] = record
        return record

    def add(self, key: ImageKey, path: str) -> ImageFacts:
        """Give LXD the image in the file ``path``, if it does not hold it yet.

        :raises ImageRejected: see :mod:`nova_multi.inspection.roottree`.
        """
        with contextlib.suppress(exception.EngineImageNotFound):
            return image.facts_of(self.record(key))
        with image.prepared(path, key, self._limits) as (metadata, rootfs, facts):
            fingerprint = self._transfer.upload_image(metadata, rootfs)
        try:
            alias = {"name": mapping.alias(key), "target": fingerprint}
            self._client.change("post", "images", "aliases", json=alias)
        except exception.EngineError as error:
            with logged("remove an image that could not be named"):
                self._transfer.change("delete", "images", fingerprint)
            if isinstance(error, exception.EngineConflict):
                # Somebody was faster with the same image: theirs is as good.
                return image.facts_of(self.record(key))
            raise
        return facts

    def keys(self) -> Sequence[ImageKey]:
        """Keys of all images of ours."""
        keys = (image.key_of(record) for record in self._all())
        return list(dict.fromkeys(key for key in keys if key))

    def _all(self) -> list[Record]:
        return list(self._client.get("images", params={"recursion": "1"}))

    def remove(self, key: ImageKey) -> None:
        """Drop an image; absent is fine."""
        self._seen.pop(key, None)
        for record in self._all():
            if image.key_of(record) == key:
                with absent_is_fine():
                    self._transfer.change("delete", "images", record["fingerprint"])

    def export(
        self, name: str, path: str, around: contextlib.AbstractContextManager[None]
    ) -> None:
        """Write the root file system of a guest to ``path`` as a unified tarball.

        :param name: of the instance.
        :param around: entered while the file system must not change.
        """
        snapshot = f"nova-multi-{uuid_module.uuid4()}"
        snapshots = ("instances", name, "snapshots")
        try:
            with around:
                self._transfer.change("post", *snapshots, json={"name": snapshot})
            with self._published(f"{name}/{snapshot}") as fingerprint:
                self._transfer.download_image(fingerprint, path)
        finally:
            with logged("remove the snapshot of an export"), absent_is_fine():
                self._transfer.change("delete", *snapshots, snapshot)

    @contextlib.contextmanager
    def _published(self, snapshot: str) -> Iterator[str]:
        """An image of a snapshot, for a while."""
        request = {
            "source": {"type": "snapshot", "name": snapshot},
            "compression_algorithm": image.EXPORT_COMPRESSION,
        }
        made = self._transfer.change("post", "images", json=request)
        fingerprint = made["fingerprint"]
        try:
            yield fingerprint
        finally:
            with logged("remove the image of an export"), absent_is_fine():
                self._transfer.change("delete", "images", fingerprint)
