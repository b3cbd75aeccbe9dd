# SPDX-License-Identifier: Apache-2.0
"""What was found inside of an image."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class ImageFacts:
    """What was found inside an image when it was imported.

    :ivar shell: ``/bin/sh`` is there.
    :ivar cloud_init: cloud-init is installed and enabled.
    :ivar command: the image's own command (entry point and arguments); empty if it
        names none.
    :ivar size_bytes: unpacked size.
    """

    shell: bool
    cloud_init: bool
    command: tuple[str, ...] = ()
    size_bytes: int = 0
