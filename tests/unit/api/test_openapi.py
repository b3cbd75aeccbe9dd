# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document is valid, complete, and what it says holds."""

from __future__ import annotations

import io
import json
import re
import warnings
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks as known_checks

from nova_multi.api import openapi
from nova_multi.api.routes import all_routes
from tests.unit.api.conftest import Api

DOCUMENT = openapi.document(all_routes())
SCHEMA = schemathesis.openapi.from_dict(json.loads(json.dumps(DOCUMENT)))
#: Held back: that what the schema allows is always taken. Names must not look like
#: ids, sizes have a limit in MB: the domain knows more than a schema can say.
CHECKS = known_checks.CHECKS.get_by_names(
    [
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)


def no_server_error(ctx: Any, response: Any, case: Any) -> None:
    """501 is an answer like any other: it isn't there yet, and the service says so."""
    assert response.status_code < 500 or response.status_code == 501, response.text


def test_the_document_lists_every_route() -> None:
    listed = {
        (method.upper(), path)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }
    assert listed == {(r.method, r.path) for r in all_routes() if not r.hidden}
    ids = [
        operation["operationId"]
        for operations in DOCUMENT["paths"].values()
        for operation in operations.values()
    ]
    assert len(ids) == len(set(ids))


def test_the_document_is_served_without_a_token(api: Api) -> None:
    answer = api("GET", "/v1/openapi.json", token=None)
    assert answer.json == json.loads(json.dumps(DOCUMENT))
    assert answer.json["openapi"].startswith("3.1")


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("80", True),
        ("20000:80", True),
        ("65535:9999/udp", True),
        ("1:65536", False),
        ("0:80", False),
        ("70000", False),
        ("80/sctp", False),
    ],
)
def test_the_document_knows_which_ports_there_are(text: str, fits: bool) -> None:
    fields = DOCUMENT["components"]["schemas"]["InstanceCreate"]["properties"]
    pattern = fields["publish"]["items"]["pattern"]
    assert bool(re.search(pattern, text)) is fits


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in DOCUMENT["components"]["schemas"]


def test_requests_name_their_fields() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    instance = schemas["InstanceCreate"]
    assert instance["additionalProperties"] is False
    assert instance["required"] == ["name"]
    assert "default" not in instance["properties"]["memory"]
    assert "uuid" in schemas["InstanceAnswer"]["properties"]


@pytest.fixture
def filled(api: Api) -> Api:
    """Objects whose names the generator likes to try."""
    api.service.add_host("0")
    for path, body in (
        ("/users", {"username": "0"}),
        ("/groups", {"name": "0"}),
        ("/partitions", {"name": "0"}),
        ("/environments", {"name": "0", "partition": "0"}),
        ("/images", {"name": "0", "type": "disk"}),
        ("/provisioners", {"name": "0"}),
        ("/instances", {"name": "0"}),
    ):
        assert api("POST", path, body).status_code in (201, 202)
    api("POST", "/files", data={"file": (io.BytesIO(b"x"), "0")})
    return api


@SCHEMA.parametrize()
@settings(
    # Of each of 80 operations; the functional stage tries more.
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_service(case: Any, filled: Api) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case.call_and_validate(
            app=filled.client.application,
            headers={"X-Auth-Token": "admin-token"},
            checks=[no_server_error, *CHECKS],
        )
