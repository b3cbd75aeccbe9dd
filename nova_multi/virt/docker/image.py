# SPDX-License-Identifier: Apache-2.0
"""Docker archives (``docker save``) for the daemon: inspected, then rebuilt."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping

from nova_multi.inspection import dockerarchive
from nova_multi.inspection.dockerarchive import Archive
from nova_multi.inspection.facts import ImageFacts
from nova_multi.inspection.tarball import native_system
from nova_multi.inspection.unpacking import Limits
from nova_multi.virt.docker import mapping
from nova_multi.virt.engine import LABEL_IMAGE, ImageKey

#: Facts found at import, kept as a label of the imported image.
LABEL_FACTS = "nova-multi.facts"


@contextlib.contextmanager
def opened(path: str, limits: Limits) -> Iterator[Archive]:
    """Open and inspect an archive that this host could run.

    :raises ImageRejected: damaged, dangerous, too large, or something else.
    """
    with dockerarchive.opened(path, limits, native_system()) as archive:
        yield archive


def rebuilt(archive: Archive, key: ImageKey) -> Iterator[bytes]:
    """The archive as the daemon gets it: one image, named after ``key``."""
    facts = json.dumps(dataclasses.asdict(archive.facts))
    labels = {LABEL_IMAGE: key.image_id, LABEL_FACTS: facts}
    return archive.rebuilt([mapping.image_name(key)], labels)


def facts_of(labels: Mapping[str, str]) -> ImageFacts | None:
    """Facts that were kept at import; None if they can't be read."""
    try:
        found = json.loads(labels[LABEL_FACTS])
        return ImageFacts(
            shell=bool(found["shell"]),
            cloud_init=bool(found["cloud_init"]),
            command=tuple(str(word) for word in found["command"]),
            size_bytes=int(found["size_bytes"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
