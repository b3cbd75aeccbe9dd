# SPDX-License-Identifier: Apache-2.0
"""Whatever the OpenAPI document allows is answered as it says, by the whole service.

Requests that are well formed, and ones that are not, go to an application with things
in it; none may be the service's own fault.
"""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests_mock
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis import checks as known_checks

from nova_multi.api import openapi
from nova_multi.api.routes import all_routes
from tests.fixtures.deployment import Deployment
from tests.functional.api.conftest import furnish
from tests.functional.api.stage import Stage

DOCUMENT = json.loads(json.dumps(openapi.document(all_routes())))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.config.generation.update(
    modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
)
CHECKS = known_checks.CHECKS.get_by_names(
    [
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)
#: Of each route; what takes the stage's time.
EXAMPLES = 6


def no_server_error(ctx: Any, response: Any, case: Any) -> None:
    """501 and 503 are answers: it isn't there yet, or what it needs isn't."""
    assert response.status_code < 500 or response.status_code in (501, 503), (
        response.text
    )


@pytest.fixture(scope="module")
def filled(
    empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stage, Sequence[str]]]:
    """One service for all requests, with objects whose names are likely to be tried.

    Two tokens: an operator's, and one of an environment's user.
    """
    folder = tmp_path_factory.mktemp("schema")
    with requests_mock.Mocker() as mocker, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(folder / "clouds.yaml"))
        stage = Stage(furnish(Deployment(mocker)), folder, empty_database)
        stage.cloud.nova.add_machine("0")
        stage.ready()
        for path, body in (
            ("users", {"username": "0"}),
            ("users", {"username": "somebody"}),
            ("groups", {"name": "0"}),
            ("provisioners", {"name": "0", "image": "debian"}),
        ):
            stage("POST", f"/v1/{path}", body, 201)
        stage.do("POST", "/v1/partitions", {"name": "0"}, "created")
        for name, user in (("0", "0"), ("somewhere", "somebody")):
            body = {"name": name, "partition": "0", "users": [{"login": user}]}
            stage.do("POST", "/v1/environments", body, "created")
        body = {"name": "0", "environment": "0", "provisioner": "0"}
        stage.do("POST", "/v1/instances", body, "created")
        member = stage.cloud.keystone.issue(
            stage.get("/v1/users/somebody")["uuid"],
            stage.get("/v1/environments/somewhere")["uuid"],
        )
        yield stage, (stage.operator, member)
        # Whatever was accepted ends, one way or the other.
        stage.work()
        stage.close()


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_service(
    case: Any, filled: tuple[Stage, Sequence[str]]
) -> None:
    stage, tokens = filled
    # By what is asked, so that what fails does so again.
    asked = f"{case.method} {case.path} {case.path_parameters} {case.query} {case.body}"
    token = tokens[zlib.crc32(asked.encode(errors="replace")) % len(tokens)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case.call_and_validate(
            app=stage.application,
            headers={"X-Auth-Token": token},
            checks=[no_server_error, *CHECKS],
        )
