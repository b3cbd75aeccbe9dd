# SPDX-License-Identifier: Apache-2.0
"""Who sends a request: Keystone's middleware, or VirtShell's signature."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import ipaddress
from typing import TYPE_CHECKING

from keystonemiddleware import auth_token
from oslo_middleware import request_id
from werkzeug.exceptions import RequestEntityTooLarge

from nova_multi.api import signature
from nova_multi.api.errors import Unauthorized
from nova_multi.domain.errors import Forbidden
from nova_multi.provision.service import Caller, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from oslo_config import cfg

_CHUNK = 64 * 1024


#: Set only behind Keystone's middleware; no header of a client can be called so.
_CHECKED = "nova_multi.checked_by_keystone"


class Keystone:
    """WSGI middleware: Keystone's own, around all that needs a token.

    Its way of deciding later is not used: it takes a Keystone that does not answer for
    a token that is not valid. Here the one is 503 and the other 401.
    """

    def __init__(
        self,
        application: WSGIApplication,
        conf: cfg.ConfigOpts,
        public: frozenset[str],
    ) -> None:
        self._application = application
        self._public = public
        self._checked: WSGIApplication = auth_token.AuthProtocol(
            self._mark, {"oslo_config_config": conf}
        )

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if environ["PATH_INFO"] in self._public or is_signed(environ):
            return self._application(environ, start_response)
        return self._checked(environ, start_response)

    def _mark(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        environ[_CHECKED] = True
        return self._application(environ, start_response)


#: Whether a request came from the machine itself, see :class:`Peer`.
_FROM_HERE = "nova_multi.from_here"
_OF_PROXIES = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
)


class Peer:
    """WSGI middleware: notes who is at the other end of the connection.

    Outside of the one that reads the headers of proxies: whoever sends such a header
    could call itself anything. What a proxy on this machine passes on comes from
    elsewhere.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        passed_on = any(name in environ for name in _OF_PROXIES)
        environ[_FROM_HERE] = not passed_on and _is_loopback(environ)
        return self._application(environ, start_response)


def is_signed(environ: WSGIEnvironment) -> bool:
    """Whether a request carries a signature and no token."""
    signed = environ.get("HTTP_X_VIRTSHELL_AUTHORIZATION")
    return bool(signed) and "HTTP_X_AUTH_TOKEN" not in environ


@dataclasses.dataclass(frozen=True, slots=True)
class Callers:
    """Finds out who sent a request.

    :ivar signatures: whether VirtShell's signatures are taken at all.
    :ivar window: how far the date of a signed request may be from now.
    :ivar spool: makes a file for the body of one.
    """

    service: Service
    signatures: bool
    window: datetime.timedelta
    spool: Callable[[], IO[bytes]]

    def of(self, environ: WSGIEnvironment, limit: int | None) -> Caller:
        """Who sent the request.

        :param limit: bytes that its body may have; None for any number.
        :raises RequestEntityTooLarge: it is signed, and its body has more.
        :raises Unauthorized: nobody who is known.
        :raises Forbidden: known, but not in a project.
        """
        if is_signed(environ):
            return self._signed(environ, limit)
        if not environ.get(_CHECKED):
            raise Unauthorized(
                "X-Auth-Token must be a valid token of the Identity service"
            )
        project_id = environ.get("HTTP_X_PROJECT_ID")
        if not project_id:
            raise Forbidden("a token for a project is needed", code="no_project")
        roles = environ.get("HTTP_X_ROLES", "").split(",")
        return _caller(
            environ,
            environ.get("HTTP_X_USER_ID", ""),
            project_id,
            frozenset(role.strip().lower() for role in roles if role.strip()),
            environ.get("HTTP_X_USER_NAME", ""),
        )

    def _signed(self, environ: WSGIEnvironment, limit: int | None) -> Caller:
        if not self.signatures:
            raise Unauthorized("signed requests are not taken here; use a token")
        if environ["wsgi.url_scheme"] != "https" and not environ.get(_FROM_HERE):
            raise Unauthorized("signed requests are taken over TLS only")
        found = signature.read(
            environ,
            datetime.datetime.now(datetime.UTC),
            self.window,
        )
        identity = self.service.identify(found.request)
        if identity is None:
            raise Unauthorized("the signature is not right")
        # Last: of nobody who isn't known any body is read and kept.
        signature.check_body(environ, _body_md5(environ, limit, self.spool))
        # Only a right one is kept, so that nobody else can fill the store.
        if not self.service.first_use(found.digest, found.until):
            raise Unauthorized(
                "this signature was used already; sign again with the present Date",
                code="replayed",
            )
        return _caller(environ, identity.user_id, identity.project_id, identity.roles)


def _caller(
    environ: WSGIEnvironment,
    user_id: str,
    project_id: str,
    roles: frozenset[str],
    name: str = "",
) -> Caller:
    return Caller(
        user_id=user_id,
        project_id=project_id,
        roles=frozenset(role.lower() for role in roles),
        request_id=environ.get(request_id.ENV_REQUEST_ID, ""),
        remote_address=environ.get("REMOTE_ADDR", ""),
        user_name=name,
    )


def _is_loopback(environ: WSGIEnvironment) -> bool:
    try:
        return ipaddress.ip_address(environ.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _body_md5(
    environ: WSGIEnvironment, limit: int | None, spool: Callable[[], IO[bytes]]
) -> bytes | None:
    """MD5 of the body, which is kept for whoever reads it next.

    :raises RequestEntityTooLarge: it has more bytes than the limit.
    """
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not length:
        return None
    if limit is not None and length > limit:
        raise RequestEntityTooLarge()
    digest = hashlib.md5(usedforsecurity=False)
    # Closed with the request: the environment is the last that holds it.
    kept = spool()
    while length and (chunk := environ["wsgi.input"].read(min(length, _CHUNK))):
        digest.update(chunk)
        kept.write(chunk)
        length -= len(chunk)
    kept.seek(0)
    environ["wsgi.input"] = kept
    return digest.digest()
