# SPDX-License-Identifier: Apache-2.0
"""Images that the daemon holds: in, listed, out, and made of guests."""

from __future__ import annotations

from collections.abc import Sequence

from docker import errors as docker_errors
from oslo_log import log as logging

from nova_multi import exception
from nova_multi.inspection.unpacking import Limits
from nova_multi.virt.docker import image as docker_image
from nova_multi.virt.docker import mapping, snapshot
from nova_multi.virt.docker.client import ENGINE, Client, translated
from nova_multi.virt.engine import ImageFacts, ImageKey

LOG = logging.getLogger(__name__)


class Images:
    """The imported images of one daemon; the methods are Engine's.

    :param limits: what an image may be at most.
    """

    def __init__(self, client: Client, limits: Limits) -> None:
        self._client = client
        self._limits = limits

    def facts(self, key: ImageKey) -> ImageFacts:
        """Facts of an image, as they were found at its import."""
        name = mapping.image_name(key)
        with translated(
            f"look for image {name}", missing=exception.EngineImageNotFound
        ):
            found = self._client.api().inspect_image(name)
        facts = docker_image.facts_of(found["Config"].get("Labels") or {})
        if facts is None:
            raise exception.EngineImageNotFound(
                f"image {name} was not imported by this driver", engine=ENGINE
            )
        return facts

    def load(self, key: ImageKey, path: str) -> ImageFacts:
        """Inspect an archive, rebuild it, and give it to the daemon."""
        with (
            docker_image.opened(path, self._limits) as archive,
            translated(f"load image {key}", missing=exception.EngineImageNotFound),
        ):
            self._client.load(docker_image.rebuilt(archive, key))
        return self.facts(key)

    def keys(self) -> Sequence[ImageKey]:
        """Keys of all that were imported."""
        with translated("list images"):
            found = self._client.api().images(
                filters={"reference": f"{mapping.IMAGE_REPOSITORY}*"}
            )
        names = [name for each in found for name in each["RepoTags"] or ()]
        return [key for name in names if (key := mapping.image_key(name))]

    def remove(self, key: ImageKey) -> None:
        """Drop an image; absent is fine."""
        name = mapping.image_name(key)
        with translated(f"remove image {name}"):
            try:
                self._client.api().remove_image(name)
            except docker_errors.NotFound:
                LOG.debug("Image %s is gone already", name)

    def export(self, uuid: str, container: str, base: str, path: str) -> None:
        """Write the file system of a container as an image.

        :param container: its id.
        :param base: id of the image that it was made from, whose settings it gets.
        """
        name = mapping.snapshot_name(uuid)
        repository, _, tag = name.partition(":")
        with translated(f"export guest {uuid}"):
            api = self._client.api(transfer=True)
            settings = snapshot.image_settings(api.inspect_image(base)["Config"])
            # Pauses the guest while its files are read, unless it is paused anyway.
            api.commit(container, repository=repository, tag=tag, pause=True)
            try:
                with open(path, "wb") as target:
                    snapshot.rewrite(api.get_image(name), settings, target)
            finally:
                self.remove_snapshot(uuid)

    def remove_snapshot(self, uuid: str) -> None:
        """Drop the image that exists while a guest is exported; absent is fine."""
        with translated(f"remove the snapshot of guest {uuid}"):
            try:
                self._client.api().remove_image(mapping.snapshot_name(uuid), force=True)
            except docker_errors.NotFound:
                LOG.debug("Guest %s has no unfinished snapshot", uuid)
