# SPDX-License-Identifier: Apache-2.0
"""All spellings of a path lead to one canonical path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Ours, the documented one, comes first; the empty one last.
PREFIXES = ("/v1", "/api/virtshell/v1", "/virtshell/api/v1", "/api/virtsh/v1", "")
#: First parts of a path that mean another one.
SPELLINGS = {
    "enviroments": "environments",
    "environment": "environments",
    "enviroment": "environments",
    "partition": "partitions",
    "image": "images",
    "file": "files",
}
#: Whole paths, as VirtShell's documentation calls them.
CALLS = {
    "/install_packages": "/packages/install_packages",
    "/upgrade_packages": "/packages/upgrade_packages",
    "/remove_packages": "/packages/remove_packages",
}
#: Where the path that the client sent is kept.
SENT_PATH = "nova_multi.sent_path"

_PREFIX = re.compile(
    "^(?:" + "|".join(re.escape(prefix) for prefix in PREFIXES if prefix) + r")(?=/|$)"
)


def canonical(method: str, path: str) -> str:
    """The path of the route table that a request means.

    >>> canonical("GET", "/api/virtshell/v1/enviroments/")
    '/environments'
    >>> canonical("GET", "/file/seed.txt")
    '/file/seed.txt'
    """
    path = _PREFIX.sub("", path, count=1)
    if path.endswith("/"):
        path = path[:-1]
    if not path:
        return "/"
    if path in CALLS:
        return CALLS[path]
    first, slash, rest = path[1:].partition("/")
    if first == "file" and rest and method in ("GET", "HEAD"):
        return path  # the content, where /files gives the description
    return f"/{SPELLINGS.get(first, first)}{slash}{rest}"


def prefix(sent_path: str) -> str:
    """The prefix that a client used, or ours if it used none.

    >>> prefix("/api/virtshell/v1/tasks/")
    '/api/virtshell/v1'
    """
    found = _PREFIX.match(sent_path)
    return found[0] if found else PREFIXES[0]


def asked_plural(sent_path: str, plural: str) -> str:
    """A list's key, spelled as in the path that was asked for.

    >>> asked_plural("/api/virtshell/v1/enviroments", "environments")
    'enviroments'
    """
    if plural == "environments" and "/enviroments" in sent_path:
        return "enviroments"
    return plural


class CanonicalPaths:
    """WSGI middleware that gives the application canonical paths only."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        sent = environ.get("PATH_INFO", "")
        environ[SENT_PATH] = sent
        environ["PATH_INFO"] = canonical(environ["REQUEST_METHOD"], sent)
        return self.application(environ, start_response)
