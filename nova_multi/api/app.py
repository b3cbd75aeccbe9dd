# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: middleware around, and one view that runs every route.

A request passes, from outside: request id, CORS, the form of errors, out-of-service
file, size, spelling of the path, 406, Keystone's token. The view then asks who it is,
whether they may, whether the request is well formed, calls the handler and writes what
the service gave.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import logging
import tempfile
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import flask
from oslo_middleware import cors, http_proxy_to_wsgi, request_id
from oslo_policy import policy
from werkzeug.datastructures import Headers

from nova_multi.api import auth, errors, limits, openapi, paths, policies, timing
from nova_multi.api.handlers.base import Call, Raw, Reply, Route
from nova_multi.api.negotiation import JSON, OnlyJSON
from nova_multi.api.routes import all_routes
from nova_multi.api.schemas import base
from nova_multi.api.schemas.file import UPLOADS
from nova_multi.conf import api as conf_api
from nova_multi.domain.errors import Forbidden, Invalid, NotFound, Unavailable
from nova_multi.provision.service import Accepted, Caller, Page, Service

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from oslo_config import cfg

LOG = logging.getLogger(__name__)

_SUCCESS = "success"
_IN_PROGRESS = "in progress"
#: Paths that need no token.
_PUBLIC = frozenset({"/", "/healthcheck", "/openapi.json"})
#: Bytes of an upload that are kept in memory.
_IN_MEMORY = 1024 * 1024
_NOBODY = Caller(user_id="", project_id="")


def _in_memory() -> IO[bytes]:
    return cast(IO[bytes], tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))


def create_app(
    conf: cfg.ConfigOpts,
    service: Service,
    spool: Callable[[], IO[bytes]] = _in_memory,
) -> WSGIApplication:
    """The application of one process.

    :param conf: read already; sections ``api``, ``keystone_authtoken``,
        ``oslo_middleware``, ``oslo_policy``, ``cors`` and ``healthcheck``.
    :param spool: makes a file for an upload on its way; else large ones are in the
        system's folder for such.
    """
    conf_api.register_opts(conf)
    app = _flask(conf, service, spool)
    application: Any = app.wsgi_app
    application = auth.Keystone(application, conf, _PUBLIC)
    application = OnlyJSON(application)
    application = paths.CanonicalPaths(application)
    application = limits.BodyLimits(application, conf)
    # Also where it is a route that reads, whatever the middleware took it for.
    app.config["MAX_CONTENT_LENGTH"] = conf.oslo_middleware.max_request_body_size
    application = limits.OutOfService(application, conf)
    application = errors.JSONErrors(application)
    application = cors.CORS(application, conf)
    application = request_id.RequestId(application)
    application = timing.Timing(application, lambda: service.waited())
    application = http_proxy_to_wsgi.HTTPProxyToWSGI(application, conf)
    return auth.Peer(application)


def _flask(
    conf: cfg.ConfigOpts, service: Service, spool: Callable[[], IO[bytes]]
) -> flask.Flask:
    class Request(flask.Request):
        """Keeps uploads where there is room for them."""

        def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
            return spool()

    app = flask.Flask("nova_multi.api", static_folder=None)
    app.request_class = Request
    app.url_map.merge_slashes = False
    routes = all_routes()
    view = _View(conf, service, policies.make_enforcer(conf), spool)
    for route in routes:
        app.add_url_rule(
            route.path.replace("{", "<").replace("}", ">"),
            endpoint=route.endpoint,
            view_func=view.of(route),
            methods=[route.method],
            provide_automatic_options=False,
        )

    @functools.cache
    def described() -> bytes:
        return json.dumps(openapi.document(routes)).encode()

    app.add_url_rule(
        "/openapi.json",
        endpoint="openapi",
        view_func=lambda: _json(described()),
        provide_automatic_options=False,
    )
    app.add_url_rule(
        "/", endpoint="versions", view_func=_versions, provide_automatic_options=False
    )
    app.register_error_handler(Exception, _error)
    return app


class _View:
    """Runs any route."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        service: Service,
        enforcer: policy.Enforcer,
        spool: Callable[[], IO[bytes]],
    ) -> None:
        self._service = service
        self._enforcer = enforcer
        self._max_limit: int = conf.api.max_limit
        self._max_file_size: int = conf.api.max_file_size
        self._callers = auth.Callers(
            service,
            signatures=conf.api.virtshell_signature,
            window=datetime.timedelta(seconds=conf.api.signature_window),
            spool=spool,
        )

    def of(self, route: Route) -> Any:
        """A view function for one route."""

        def view(**names: str) -> flask.Response:
            return self._run(route, names)

        return view

    def _run(self, route: Route, names: dict[str, str]) -> flask.Response:
        request = flask.request
        form = _takes_form(route)
        if form:
            request.max_content_length = self._max_file_size
        caller = _NOBODY
        if route.policy is not None:
            caller = self._callers.of(request.environ, request.max_content_length)
            if not self._service.admits(caller):
                raise Forbidden(
                    "the service is another project's own", code="other_project"
                )
            self._enforce(caller, route.policy)
            caller = dataclasses.replace(
                caller,
                admin=self._may(caller, "admin"),
                member=self._may(caller, "member"),
            )
        for name in names.values():
            if len(name) > 255 or not name.isprintable():
                raise NotFound("there is nothing of that name")
        query = base.read_texts(route.query, request.args.items(multi=True))
        body, upload = _body(route)
        for field in sorted(route.field_policies.keys() & body.model_fields_set):
            self._enforce(caller, route.field_policies[field])
        call = Call(
            service=self._service,
            caller=caller,
            names=names,
            query=query,
            body=body,
            max_limit=self._max_limit,
            upload=upload,
        )
        # An upload takes long, and its limits are looked at when it is there.
        asked_at_once = nullcontext() if form else self._service.session()
        with asked_at_once:
            return _respond(route, route.handler(call))

    def _enforce(self, caller: Caller, rule: str) -> None:
        """See that the caller may; nothing is looked up before.

        :raises Forbidden: they may not.
        """
        if not self._may(caller, rule):
            raise Forbidden(f"policy does not allow {rule} with your roles")

    def _may(self, caller: Caller, rule: str) -> bool:
        credentials = {
            "user_id": caller.user_id,
            "user_name": caller.user_name,
            "project_id": caller.project_id,
            "roles": sorted(caller.roles),
        }
        target = {"project_id": caller.project_id, "user_id": caller.user_id}
        return bool(self._enforcer.enforce(rule, target, credentials))


def _takes_form(route: Route) -> bool:
    """Whether the body of this request is a form."""
    return route.multipart or (route.form_too and limits.is_form(_content_type()))


def _content_type() -> str:
    return str(flask.request.content_type or "")


def _body(route: Route) -> tuple[base.Body, BinaryIO | None]:
    request = flask.request
    if _takes_form(route):
        return _form(route)
    raw = request.get_data(cache=False)
    if route.method == "GET" and (route.body is base.Nothing or not raw.strip()):
        return base.Nothing(), None
    return base.read_json(route.body, raw), None


def _form(route: Route) -> tuple[base.Body, BinaryIO | None]:
    request = flask.request
    if request.mimetype not in (
        "multipart/form-data",
        "application/x-www-form-urlencoded",
    ):
        raise Invalid("the body must be a form (multipart/form-data)", code="bad_form")
    files = list(request.files.items(multi=True))
    for name, _ in files:
        if name not in UPLOADS:
            raise Invalid(
                f"there is no field {name:.80}", field=name[:80], code="unknown_field"
            )
    if len(files) > 1:
        raise Invalid("the form has more than one file", field="file")
    texts = list(request.form.items(multi=True))
    if files and not any(name == "name" for name, _ in texts):
        filename = (files[0][1].filename or "").replace("\\", "/").rpartition("/")[2]
        if filename and route.method == "POST" and route.multipart:
            texts.append(("name", filename))
    body = base.read_texts(route.body, texts)
    return body, files[0][1].stream if files else None  # type: ignore[return-value]


def _respond(route: Route, result: Any) -> flask.Response:
    """The answer for whatever a handler gave."""
    match result:
        case Raw():
            return flask.Response(result.pieces, mimetype=JSON)
        case Reply():
            return _json(result.answer.model_dump_json().encode(), result.status)
        case Accepted():
            body = {route.verb: _IN_PROGRESS, "task": result.task_uuid}
            headers = Headers({"Location": _address(f"/tasks/{result.task_uuid}")})
            return _json(json.dumps(body).encode(), 202, headers)
        case None:
            return _json(json.dumps({route.verb: _SUCCESS}).encode())
    assert route.answer is not None
    if route.plural:
        return _list(route, result)
    content = route.answer.of(result).model_dump_json().encode()
    return _json(content, route.status)


def _list(route: Route, result: Page[Any] | Sequence[Any]) -> flask.Response:
    assert route.answer is not None
    items: Iterable[Any] = result.items if isinstance(result, Page) else result
    written = b",".join(
        route.answer.of(item).model_dump_json().encode() for item in items
    )
    headers = Headers()
    if isinstance(result, Page) and result.next_marker is not None:
        arguments = flask.request.args.to_dict()
        arguments["marker"] = result.next_marker
        sent = _sent_path().rstrip("/")
        address = flask.request.script_root + sent
        headers["Link"] = f'<{_with_query(address, arguments)}>; rel="next"'
    key = paths.asked_plural(_sent_path(), route.plural)
    return _json(b'{"%s":[%s]}' % (key.encode(), written), headers=headers)


def _versions() -> flask.Response:
    """What keystoneauth's discovery asks for."""
    address = f"{flask.request.host_url.rstrip('/')}{flask.request.script_root}/v1/"
    version = {
        "id": f"v{openapi.VERSION}",
        "status": "CURRENT",
        "links": [{"rel": "self", "href": address}],
    }
    return _json(json.dumps({"versions": [version]}).encode())


def _with_query(path: str, arguments: dict[str, str]) -> str:
    path = urllib.parse.quote(path)
    return f"{path}?{urllib.parse.urlencode(arguments)}"


def _sent_path() -> str:
    sent: str = flask.request.environ.get(paths.SENT_PATH, flask.request.path)
    return sent


def _address(path: str) -> str:
    """Of another resource, below the prefix that the client used."""
    return flask.request.script_root + paths.prefix(_sent_path()) + path


def _json(
    content: bytes, status: int = 200, headers: Headers | None = None
) -> flask.Response:
    flask.request.environ[errors.OURS] = True
    return flask.Response(content, status, headers, mimetype=JSON)


def _error(error: Exception) -> flask.Response:
    status, body, headers = errors.answer(error)
    if isinstance(error, Unavailable):
        LOG.warning("%s %s: %s", flask.request.method, flask.request.path, error)
    return _json(json.dumps(body).encode(), status, Headers(headers))
