# SPDX-License-Identifier: Apache-2.0
"""JSON and nothing else: 406 where it isn't accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

JSON = "application/json"


def accepts_json(accept: str | None) -> bool:
    """Whether an Accept header leaves room for JSON; an empty one does.

    >>> accepts_json("text/html, application/*;q=0.1")
    True
    """
    if accept is None or not accept.strip():
        return True
    # The most exact range counts; parameters such as a charset don't matter to us.
    ranges = {
        kind.partition(";")[0].strip().lower(): quality
        for kind, quality in reversed(list(parse_accept_header(accept, MIMEAccept)))
    }
    for kind in (JSON, "application/*", "*/*"):
        if kind in ranges:
            return ranges[kind] > 0
    return False


class OnlyJSON:
    """WSGI middleware that answers 406 with an empty body, as VirtShell did."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if accepts_json(environ.get("HTTP_ACCEPT")):
            return self.application(environ, start_response)
        start_response(
            "406 Not Acceptable", [("Content-Length", "0"), ("Vary", "Accept")]
        )
        return [b""]
