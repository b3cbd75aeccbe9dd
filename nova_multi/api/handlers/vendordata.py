# SPDX-License-Identifier: Apache-2.0
"""What Nova's metadata service asks for each guest: dynamic vendordata."""

from __future__ import annotations

from nova_multi.api.handlers.base import Call, Route
from nova_multi.api.schemas.base import Data
from nova_multi.api.schemas.vendordata import VendordataRequest
from nova_multi.provision.service import Fields


def answer(call: Call) -> Fields:
    """``POST /vendordata``; nothing for guests that are not this service's."""
    body = call.body_as(VendordataRequest)
    return call.service.deliveries.hand_out(
        call.caller, body.instance_id, body.project_id
    )


ROUTES = [
    Route(
        "POST",
        "/vendordata",
        answer,
        "Answer Nova's metadata service for one guest",
        "multi:vendordata:answer",
        body=VendordataRequest,
        answer=Data,
    ),
]
