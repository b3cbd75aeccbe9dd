# SPDX-License-Identifier: Apache-2.0
"""The service's own state; no token is needed."""

from __future__ import annotations

from nova_multi.api.handlers.base import Call, Reply, Route
from nova_multi.api.schemas.health import HealthAnswer


def health(call: Call) -> Reply:
    """``GET /healthcheck``; 503 if anything that is needed is missing."""
    answer = HealthAnswer.of(call.service.health())
    return Reply(answer, 200 if answer.healthy else 503)


ROUTES = [
    Route(
        "GET",
        "/healthcheck",
        health,
        "Tell how the service is",
        None,
        answer=HealthAnswer,
    ),
]
