# SPDX-License-Identifier: Apache-2.0
"""Images."""

import dataclasses

from nova_multi.api.handlers.base import Noun, Route
from nova_multi.api.schemas import image

_USUAL = Noun(
    noun="image",
    plural="images",
    collection=lambda service: service.images,
    create=image.ImageCreate,
    change=image.ImageChange,
    answer=image.ImageAnswer,
    filters=image.ImageQuery,
).routes()


def _put(create: Route) -> Route:
    """``PUT /image`` creates, too: so VirtShell's clients do."""
    return dataclasses.replace(create, method="PUT", hidden=True)


ROUTES = [*_USUAL, *(_put(route) for route in _USUAL if route.method == "POST")]
