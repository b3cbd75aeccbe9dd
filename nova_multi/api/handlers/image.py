# SPDX-License-Identifier: Apache-2.0
"""Images."""

import dataclasses

from nova_multi.api.handlers.base import Call, Noun, Route
from nova_multi.api.schemas import image
from nova_multi.domain.image import Image
from nova_multi.provision.service import Accepted

_USUAL = Noun(
    noun="image",
    plural="images",
    collection=lambda service: service.images,
    create=image.ImageCreate,
    change=image.ImageChange,
    answer=image.ImageAnswer,
    filters=image.ImageQuery,
).routes()


def create(call: Call) -> Image | Accepted:
    """``POST /images``, as JSON, or as a form with the image's content in it."""
    images = call.service.images
    return images.create(call.caller, call.body.fields(), call.scope, call.upload)


def _with_content(usual: Route) -> Route:
    if usual.method != "POST":
        return usual
    return dataclasses.replace(usual, handler=create, form_too=True)


def _put(create: Route) -> Route:
    """``PUT /image`` creates, too: so VirtShell's clients do."""
    return dataclasses.replace(create, method="PUT", hidden=True)


_OURS = [_with_content(route) for route in _USUAL]
ROUTES = [*_OURS, *(_put(route) for route in _OURS if route.method == "POST")]
