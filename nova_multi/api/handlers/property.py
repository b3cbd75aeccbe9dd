# SPDX-License-Identifier: Apache-2.0
"""Properties of guests."""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.api.handlers.base import Call, Route
from nova_multi.api.schemas.base import Data
from nova_multi.api.schemas.property import PropertyList, PropertyQuery
from nova_multi.domain.errors import Invalid
from nova_multi.provision.service import Fields


def list_(call: Call) -> Sequence[Fields]:
    """``GET /properties``; what is asked for stands in the body or in the address."""
    properties = call.service.properties
    if call.body.model_fields_set:
        if {"properties", "hosts", "tags"} & call.query.given().keys():
            raise Invalid("ask in the body or in the address, not in both")
        body = call.body_as(PropertyList)
        names = body.properties or ()
        return properties.read(call.caller, names, body.picks(), call.scope)
    assert isinstance(call.query, PropertyQuery)
    return properties.read(
        call.caller, call.query.names(), call.query.picks(), call.scope
    )


ROUTES = [
    Route(
        "GET",
        "/properties",
        list_,
        "Read properties of instances",
        "multi:property:list",
        body=PropertyList,
        query=PropertyQuery,
        answer=Data,
        plural="properties",
    ),
]
