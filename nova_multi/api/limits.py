# SPDX-License-Identifier: Apache-2.0
"""What is refused before anybody reads it: large bodies, and everything for a while."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from oslo_middleware import sizelimit
from oslo_middleware.healthcheck import disable_by_file
from werkzeug.exceptions import BadRequest, LengthRequired

from nova_multi.api import errors
from nova_multi.api.negotiation import JSON
from nova_multi.api.paths import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from oslo_config import cfg


def is_form(content_type: str) -> bool:
    """Whether a body is a form that may have a file in it."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


class BodyLimits:
    """WSGI middleware: ``[oslo_middleware] max_request_body_size``, but for uploads.

    The limit of an upload is its route's, where the form is read piece by piece.
    """

    def __init__(self, application: WSGIApplication, conf: cfg.ConfigOpts) -> None:
        self._application = application
        self._limited: WSGIApplication = sizelimit.RequestBodySizeLimiter(
            application, conf
        )

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdecimal()):
            raise BadRequest()
        if environ.get("HTTP_TRANSFER_ENCODING") and not environ.get(
            "wsgi.input_terminated"
        ):
            # The server can't tell where such a body ends.
            raise LengthRequired()
        method = environ["REQUEST_METHOD"]
        path = canonical(method, environ.get("PATH_INFO", ""))
        is_upload = method in ("POST", "PUT") and (
            path == "/files"
            or path.startswith("/files/")
            # An image's other fields come as JSON, which is short.
            or (path == "/images" and is_form(environ.get("CONTENT_TYPE", "")))
        )
        chosen = self._application if is_upload else self._limited
        return chosen(environ, start_response)


class OutOfService:
    """WSGI middleware: ``/healthcheck`` fails while an operator's file is there.

    The file is ``[healthcheck] disable_by_file_path``; a load balancer then sends its
    requests elsewhere, and what goes on here ends in peace.
    """

    def __init__(self, application: WSGIApplication, conf: cfg.ConfigOpts) -> None:
        self._application = application
        check = disable_by_file.DisableByFileHealthcheck(conf, {})
        # It complains at each request where there is no file to look for.
        self._check = check if conf.healthcheck.disable_by_file_path else None

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        path = canonical("GET", environ.get("PATH_INFO", ""))
        if self._check and path == "/healthcheck":
            found = self._check.healthcheck(int(environ.get("SERVER_PORT") or 0))
            if not found.available:
                body = errors.document("out_of_service", "taken out of service")
                environ[errors.OURS] = True
                content = json.dumps(body).encode()
                start_response(
                    "503 Service Unavailable",
                    [
                        ("Content-Type", JSON),
                        ("Content-Length", str(len(content))),
                        ("Retry-After", str(errors.RETRY_AFTER)),
                    ],
                )
                return [content]
        return self._application(environ, start_response)
