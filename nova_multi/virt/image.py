# SPDX-License-Identifier: Apache-2.0
"""From Glance into an engine: routing, authorisation, one download, a checked checksum.

The engine itself is the cache: an image is imported under the key of its UUID and
checksum and stays until no server of this host uses it and its time is over. Nothing is
kept twice; the downloaded file is gone as soon as the engine has it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from oslo_log import log as logging

from nova_multi import exception
from nova_multi.virt.engine import Engine, ImageFacts, ImageKey

LOG = logging.getLogger(__name__)

#: How much of an image is read at once when it is sent to Glance.
CHUNK = 1024 * 1024


def check_routing(
    image: dict[str, Any], hypervisor_type: str, formats: Collection[tuple[str, str]]
) -> None:
    """Refuse an image that is meant for another hypervisor.

    The scheduler keeps such images away; this is the second lock, and the one that
    tells the user why.

    :param image: as nova.image.glance.API.get returns it.
    :param formats: pairs of container and disk format that the driver takes.
    :raises ImageRejected: names the property or format that does not fit.
    """
    wanted = image["properties"].get("img_hv_type")
    if wanted != hypervisor_type:
        marked = f"is marked for {wanted}" if wanted else "has no such mark"
        raise exception.ImageRejected(
            f"image {image['id']} ({image['name']}) can't run on {hypervisor_type}:"
            f" that takes the property img_hv_type={hypervisor_type}, and the image"
            f" {marked}"
        )
    found = (image["container_format"], image["disk_format"])
    if found not in formats:
        takes = " or ".join("/".join(pair) for pair in sorted(formats))
        raise exception.ImageRejected(
            f"image {image['id']} ({image['name']}) has container/disk format"
            f" {found[0]}/{found[1]}; {hypervisor_type} takes {takes}"
        )


def key_of(image: dict[str, Any]) -> ImageKey:
    """The key under which engines keep this image.

    :raises ImageRejected: Glance holds no data for it yet.
    """
    digest = image.get("os_hash_value") or image.get("checksum")
    if not digest:
        raise exception.ImageRejected(
            f"image {image['id']} ({image['name']}) has no data in Glance"
            f" (status {image.get('status')})"
        )
    return ImageKey(image["id"], digest)


class _HashingFile:
    """A file to write to that knows the digest of what went through."""

    def __init__(self, target: BinaryIO, algorithm: str) -> None:
        self._target = target
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._target.write(data)

    def flush(self) -> None:
        self._target.flush()

    def fileno(self) -> int:
        return self._target.fileno()

    def close(self) -> None:
        self._target.close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class ImageStore:
    """Images of one compute service, in its engine.

    :param engine: where they are kept.
    :param glance: a nova.image.glance.API.
    :param staging: folder for downloads and exports; left-overs in it are deleted.
    :param hypervisor_type: value of ``img_hv_type`` that is taken.
    :param formats: pairs of container and disk format that are taken.
    """

    def __init__(
        self,
        engine: Engine,
        glance: Any,
        staging: str,
        hypervisor_type: str,
        formats: Collection[tuple[str, str]],
    ) -> None:
        self._engine = engine
        self._glance = glance
        self._staging = staging
        self._hypervisor_type = hypervisor_type
        self._formats = formats
        self._locks: dict[ImageKey, threading.Lock] = {}
        self._locks_guard = threading.Lock()
        self._last_used: dict[ImageKey, float] = {}

    def clean_staging(self) -> None:
        """Delete what a killed service left half-written; for its start only."""
        os.makedirs(self._staging, mode=0o700, exist_ok=True)
        for name in os.listdir(self._staging):
            LOG.info("Removing unfinished image file %s", name)
            os.unlink(os.path.join(self._staging, name))

    @contextmanager
    def staging_file(self) -> Iterator[str]:
        """Path of an empty file, deleted in the end whatever happens."""
        os.makedirs(self._staging, mode=0o700, exist_ok=True)
        descriptor, path = tempfile.mkstemp(dir=self._staging)
        os.close(descriptor)
        try:
            yield path
        finally:
            os.unlink(path)

    def ensure(self, context: Any, image_id: str) -> tuple[ImageKey, ImageFacts]:
        """Have the image in the engine; however many ask at once, one downloads.

        Glance is asked with the user's own authorisation each time, so that a cached
        image is no way around its visibility.

        :raises ImageRejected: not for this hypervisor, damaged, or dangerous.
        """
        image = self._glance.get(context, image_id)
        check_routing(image, self._hypervisor_type, self._formats)
        key = key_of(image)
        with self._lock(key):
            self._last_used[key] = time.monotonic()
            try:
                return key, self._engine.image(key)
            except exception.EngineImageNotFound:
                return key, self._import(context, image, key)

    def cache(self, context: Any, image_id: str) -> bool:
        """Have the image in the engine ahead of time.

        :returns: whether it had to be downloaded.
        :raises ImageRejected: as ``ensure``.
        """
        before = set(self._engine.images())
        key, _ = self.ensure(context, image_id)
        return key not in before

    def _lock(self, key: ImageKey) -> threading.Lock:
        with self._locks_guard:
            return self._locks.setdefault(key, threading.Lock())

    def _import(self, context: Any, image: dict[str, Any], key: ImageKey) -> ImageFacts:
        started = time.monotonic()
        algorithm = image.get("os_hash_algo") or "md5"
        with self.staging_file() as path:
            with open(path, "wb") as target:
                data = _HashingFile(target, algorithm)
                self._glance.download(context, key.image_id, data=data)
            if data.hexdigest() != key.checksum:
                raise exception.ImageRejected(
                    f"image {key.image_id} ({image['name']}): the data from Glance has"
                    f" {algorithm} {data.hexdigest()[:16]}…, Glance recorded"
                    f" {key.checksum[:16]}…"
                )
            downloaded = time.monotonic()
            facts = self._engine.import_image(key, path)
        LOG.info(
            "Image %s: downloaded in %.1f s, imported in %.1f s",
            key,
            downloaded - started,
            time.monotonic() - downloaded,
        )
        return facts

    def export(
        self,
        context: Any,
        uuid: str,
        image_id: str,
        before_upload: Callable[[], None],
    ) -> None:
        """Write a guest's file system into the Glance image that Nova made for it.

        :param before_upload: called once the guest is no longer needed.
        """
        with self.staging_file() as path:
            fields = dict(self._engine.export(uuid, path))
            before_upload()
            image = self._glance.get(context, image_id)
            update: dict[str, Any] = {
                "name": image["name"],
                "is_public": False,
                "status": "active",
                "container_format": fields.pop("container_format"),
                "disk_format": fields.pop("disk_format"),
                "properties": {
                    "image_location": "snapshot",
                    "image_state": "available",
                    "img_hv_type": self._hypervisor_type,
                    **fields,
                },
            }
            with open(path, "rb") as data:
                self._glance.update(context, image_id, update, data)

    def evict(self, used: Collection[str], older_than: float) -> None:
        """Drop images that no server uses and that nobody asked for lately.

        :param used: image UUIDs of the host's servers.
        :param older_than: seconds since an image was last asked for. An image that this
            process has not seen yet counts from now.
        """
        now = time.monotonic()
        for key in self._engine.images():
            last = self._last_used.setdefault(key, now)
            if key.image_id in used or now - last < older_than:
                continue
            with self._lock(key):
                # Asked again after the lock: a boot may just have taken it.
                if time.monotonic() - self._last_used[key] < older_than:
                    continue
                try:
                    self._engine.remove_image(key)
                except exception.EngineConflict:
                    LOG.debug("Image %s is still used by a guest", key)
                    continue
                del self._last_used[key]
                LOG.info("Image %s was not used for %d s: removed", key, now - last)
