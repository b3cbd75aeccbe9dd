# SPDX-License-Identifier: Apache-2.0
"""Errors become ``{"error": {"code": ..., "message": ..., "details": [...]}}``."""

from __future__ import annotations

import http
import json
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import webob.exc
from werkzeug.exceptions import HTTPException

from nova_multi.api.negotiation import JSON
from nova_multi.domain.errors import DomainError, Unavailable
from nova_multi.exception import NovaMultiError

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOG = logging.getLogger(__name__)

#: Seconds to wait where what failed did not say.
RETRY_AFTER = 5
#: The same where somebody has to mend something first.
RETRY_OPERATOR = 60

Headers = list[tuple[str, str]]

#: Set in a request's environment once it has an answer in our form.
OURS = "nova_multi.answered"

#: Answers to what never reached a handler.
_WORDS = {
    400: ("bad_request", "the request can't be read"),
    401: ("unauthorized", "a token is needed, and this one is missing or not valid"),
    403: ("forbidden", "not allowed"),
    404: ("not_found", "there is no such route"),
    405: ("method_not_allowed", "this route does not take that method"),
    411: ("length_required", "the request must say how long its body is"),
    413: ("too_large", "the request is larger than the service takes"),
    414: ("too_large", "the request's address is too long"),
    415: ("bad_request", "the request's form is not taken"),
    500: ("internal", "something went wrong in the service; its log tells what"),
    503: ("unavailable", "something that the service needs does not answer"),
}


class Unauthorized(DomainError):
    """Nobody is known to have sent this request."""

    http_status = 401
    default_code = "unauthorized"


class TimeSkewed(Unauthorized):
    """The Date of a signed request is too far from now; VirtShell's own word."""

    default_code = "RequestTimeTooSkewed"


def document(
    code: str, message: str, details: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"code": code, "message": message, "details": list(details)}}


_UNUSABLE = document(
    "unusable",
    "the service is not set up as it needs to be; its operator finds the reason in its"
    " log",
)


def of_status(status: int) -> dict[str, Any]:
    """The body for a status about which nothing more is known."""
    code, message = _WORDS.get(status) or (
        "error",
        http.HTTPStatus(status).phrase.lower(),
    )
    return document(code, message)


def answer(error: Exception) -> tuple[int, dict[str, Any], Headers]:
    """Status, body and headers for whatever was raised; a defect of ours is logged."""
    match error:
        case DomainError():
            details = list(error.details)
            if not details and error.field is not None:
                details = [error.as_detail()]
            headers: Headers = []
            if isinstance(error, Unavailable):
                headers.append(("Retry-After", str(error.retry_after)))
            return (
                error.http_status,
                document(error.code, error.message, details),
                headers,
            )
        case NovaMultiError():
            # Nothing that the client could mend; what it is is the operator's matter.
            LOG.error("The service can't work: %s", error)
            return 503, _UNUSABLE, [("Retry-After", str(RETRY_OPERATOR))]
        case HTTPException(code=int(status)):
            return status, of_status(status), _allow(error)
        case webob.exc.HTTPException():
            return error.code, of_status(error.code), []
    LOG.exception("A request failed in a way that nobody thought of")
    return 500, of_status(500), []


def _allow(error: HTTPException) -> Headers:
    headers = error.get_headers()
    return [(name, value) for name, value in headers if name == "Allow"]


class JSONErrors:
    """WSGI middleware that gives every error our form, whichever layer made it.

    Middleware of others answers in plain text, HTML or a JSON of its own, or raises.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        replaced: list[bytes] = []

        def start(
            status: str,
            headers: Headers,
            exc_info: tuple[type[BaseException], BaseException, TracebackType]
            | tuple[None, None, None]
            | None = None,
        ) -> Any:
            number = int(status.split()[0])
            if number >= 400 and number != 406 and not environ.get(OURS):
                body = json.dumps(of_status(number)).encode()
                replaced.append(body)
                headers = _replace(headers, body, number)
            return start_response(status, headers, exc_info)

        try:
            result = self.application(environ, start)
        except Exception as error:
            status, body, headers = answer(error)
            content = json.dumps(body).encode()
            phrase = http.HTTPStatus(status).phrase
            start_response(
                f"{status} {phrase}", _replace(headers, content, status), None
            )
            return [content]
        if not replaced:
            return result
        close = getattr(result, "close", None)
        if close:
            close()
        return [] if environ["REQUEST_METHOD"] == "HEAD" else replaced


def _replace(headers: Headers, body: bytes, status: int) -> Headers:
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in ("content-type", "content-length")
    ]
    if status == 503 and not any(name.lower() == "retry-after" for name, _ in kept):
        kept.append(("Retry-After", str(RETRY_AFTER)))
    return [*kept, ("Content-Type", JSON), ("Content-Length", str(len(body)))]
