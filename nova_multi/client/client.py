# SPDX-License-Identifier: Apache-2.0
"""One class for each noun; everything comes and goes as dictionaries."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, TypeAlias

from keystoneauth1 import adapter as ksa_adapter
from keystoneauth1 import exceptions as ksa_exceptions

from nova_multi.client import errors
from nova_multi.client.form import Form

SERVICE_TYPE = "provisioning"

JSON: TypeAlias = dict[str, Any]
#: Called with a task each time that it has changed.
Watcher: TypeAlias = Callable[[JSON], None]

#: The first look comes soon, later ones at most this many seconds apart.
_FIRST_LOOK = 0.2
_LONGEST_PAUSE = 2.0


class Client:
    """The provisioning service.

    :param adapter: of a session, with ``service_type="provisioning"`` or an
        ``endpoint_override``.
    """

    def __init__(self, adapter: ksa_adapter.Adapter) -> None:
        self._adapter = adapter
        self.users = Collection(self, "users")
        self.groups = Collection(self, "groups")
        self.partitions = Partitions(self, "partitions")
        self.hosts = Collection(self, "hosts")
        self.environments = Environments(self, "environments")
        self.images = Images(self, "images")
        self.files = Files(self, "files")
        self.provisioners = Collection(self, "provisioners")
        self.instances = Instances(self, "instances")
        self.tasks = Tasks(self, "tasks")

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> JSON:
        """Send one request and give its answer.

        :param query: what is None is left out.
        :raises RequestError: the service refused it, or did not answer.
        """
        return self._send(method, path, body, query, **more)[0]

    def pages(
        self, path: str, key: str, query: Mapping[str, Any]
    ) -> Iterator[list[JSON]]:
        """The pages of a list, each asked for when it is needed."""
        query = dict(query)
        while True:
            answer, marker = self._send("GET", path, None, query)
            yield answer[key]
            if marker is None:
                return
            query["marker"] = marker

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, Any] | None,
        form: Form | None = None,
        **more: Any,
    ) -> tuple[JSON, str | None]:
        headers = {"Accept": "application/json"}
        if body is not None:
            more["json"] = dict(body)
        if form is not None:
            headers["Content-Type"] = form.content_type
            more["data"] = form
        given = {
            name: value for name, value in (query or {}).items() if value is not None
        }
        try:
            response = self._adapter.request(
                path,
                method,
                params=given,
                raise_exc=False,
                headers=headers,
                **more,
            )
        except (
            ksa_exceptions.ConnectFailure,
            ksa_exceptions.DiscoveryFailure,
            ksa_exceptions.RetriableConnectionFailure,
        ) as error:
            raise errors.Unavailable(
                f"the provisioning service does not answer: {error}", code="no_answer"
            ) from error
        except ksa_exceptions.EndpointNotFound as error:
            raise errors.Unavailable(
                "the catalog has no provisioning service for this project and region",
                code="no_endpoint",
            ) from error
        except ksa_exceptions.Unauthorized as error:
            raise errors.Unauthorized(str(error), status=401) from error
        if response.status_code >= 400:
            raise _refused(response)
        try:
            answer = response.json() if response.content else {}
        except ValueError as error:
            raise errors.RequestError(
                f"{response.url} does not answer as a provisioning service does",
                code="bad_answer",
                status=response.status_code,
            ) from error
        return answer, _next_marker(response.links)


def _next_marker(links: Mapping[str, Any]) -> str | None:
    address = links.get("next", {}).get("url")
    if not address:
        return None
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(str(address)).query)
    markers = query.get("marker")
    return markers[0] if markers else None


def _refused(response: Any) -> errors.RequestError:
    kind = errors.BY_STATUS.get(response.status_code, errors.RequestError)
    try:
        told = response.json()["error"]
        message, code = str(told["message"]), str(told["code"])
        details = tuple(told.get("details", ()))
    except (ValueError, KeyError, TypeError):
        # A proxy on the way, or another service.
        message = f"{response.status_code} {response.reason}"
        code, details = "", ()
    error = kind(
        message,
        code=code,
        details=details,
        status=response.status_code,
        request_id=response.headers.get("x-openstack-request-id"),
    )
    if isinstance(error, errors.Unavailable):
        seconds = response.headers.get("Retry-After", "")
        if seconds.isdecimal():
            error.retry_after = float(seconds)
    return error


class Collection:
    """A noun; names may be UUIDs everywhere.

    ``partition`` and ``environment`` in a query tell where a name is looked up.
    """

    def __init__(self, client: Client, plural: str) -> None:
        self._client = client
        self._plural = plural

    def list(self, limit: int | None = None, **filters: Any) -> list[JSON]:
        """All that the user may see and that the filters let through.

        :param limit: give up after that many.
        """
        found: list[JSON] = []
        query = {**filters, "limit": limit}
        for page in self._client.pages(f"/{self._plural}", self._plural, query):
            found += page
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found

    def show(self, name: str, **query: Any) -> JSON:
        """One of them."""
        return self._client.request("GET", self._one(name), query=query)

    def create(self, fields: Mapping[str, Any], **query: Any) -> JSON:
        """Make one; the answer has ``task`` if that goes on."""
        return self._client.request("POST", f"/{self._plural}", fields, query)

    def set(self, name: str, fields: Mapping[str, Any], **query: Any) -> JSON:
        """Change the fields that are given."""
        return self._client.request("PUT", self._one(name), fields, query)

    def delete(self, name: str, **query: Any) -> JSON:
        """Delete it; the answer has ``task`` if that goes on."""
        return self._client.request("DELETE", self._one(name), query=query)

    def _one(self, name: str, *more: str) -> str:
        parts = (self._plural, name, *more)
        return "".join(f"/{urllib.parse.quote(part, safe='')}" for part in parts)


class Partitions(Collection):
    """Partitions and the hosts in them."""

    def hosts(self, name: str) -> Any:
        """The hosts of a partition."""
        return self._client.request("GET", self._one(name, "hosts"))["hosts"]

    def add_host(self, name: str, host: str) -> JSON:
        """Put a host into a partition."""
        return self._client.request("PUT", self._one(name, "host", host))

    def remove_host(self, name: str, host: str) -> JSON:
        """Take a host out of a partition."""
        return self._client.request("DELETE", self._one(name, "host", host))


class Environments(Collection):
    """Environments."""

    def hosts(self, name: str, **query: Any) -> Any:
        """The hosts that an environment may use."""
        path = self._one(name, "hosts")
        return self._client.request("GET", path, query=query)["hosts"]

    def partition(self, name: str, **query: Any) -> JSON:
        """The partition of an environment."""
        return self._client.request("GET", self._one(name, "partition"), query=query)

    def plan(
        self,
        definition: Mapping[str, Any],
        values: Mapping[str, Any] | None = None,
        **query: Any,
    ) -> JSON:
        """What applying a definition would do.

        :param values: of its inputs.
        """
        body = {**definition, **({"values": dict(values)} if values else {})}
        return self._client.request("POST", "/environments/plan", body, query)

    def define(
        self,
        name: str,
        definition: Mapping[str, Any],
        values: Mapping[str, Any] | None = None,
        **query: Any,
    ) -> JSON:
        """Store what is to stand in an environment; nothing is done."""
        body = {**definition, **({"values": dict(values)} if values else {})}
        path = self._one(name, "definition")
        return self._client.request("PUT", path, body, query)

    def apply(
        self, name: str, fields: Mapping[str, Any] | None = None, **query: Any
    ) -> JSON:
        """Make an environment as its definition says.

        :param fields: ``definition`` and ``values``, to be stored before; ``wait`` and
            ``width``.
        """
        path = self._one(name, "apply")
        return self._client.request("POST", path, fields or {}, query)

    def destroy(
        self, name: str, fields: Mapping[str, Any] | None = None, **query: Any
    ) -> JSON:
        """Delete what definitions have made in an environment.

        :param fields: ``wait`` and ``width``.
        """
        path = self._one(name, "destroy")
        return self._client.request("POST", path, fields or {}, query)

    def outputs(self, name: str, **query: Any) -> JSON:
        """What the outputs of an environment's definition are now."""
        return self._client.request("GET", self._one(name, "outputs"), query=query)

    def usage(
        self, name: str, begin: str | None = None, end: str | None = None, **query: Any
    ) -> JSON:
        """What an environment has used, and what its working hours have saved.

        :param begin: of the period, in RFC 3339; its own begin if left out.
        :param end: of the period; the present if left out.
        """
        query |= {"from": begin, "to": end}
        return self._client.request("GET", self._one(name, "usage"), query=query)


class Images(Collection):
    """Images."""

    def upload(
        self, content: BinaryIO, fields: Mapping[str, str], **query: Any
    ) -> JSON:
        """Make one of a file's content; the answer has ``task``."""
        form = Form(fields, content, str(fields.get("name") or "image"))
        return self._client.request("POST", "/images", query=query, form=form)


class Files(Collection):
    """Files with their content."""

    def upload(
        self, name: str, content: BinaryIO, fields: Mapping[str, str], **query: Any
    ) -> JSON:
        """Store a file."""
        form = Form({**fields, "name": name}, content, name)
        return self._client.request("POST", "/files", query=query, form=form)

    def replace(
        self,
        name: str,
        content: BinaryIO | None,
        fields: Mapping[str, str],
        **query: Any,
    ) -> JSON:
        """Change fields of a file, and its content if there is one."""
        form = Form(fields, content, name)
        return self._client.request("PUT", self._one(name), query=query, form=form)

    def content(self, name: str, **query: Any) -> JSON:
        """A file with its content in base64."""
        path = f"/file/{urllib.parse.quote(name, safe='')}"
        return self._client.request("GET", path, query=query)


class Instances(Collection):
    """Instances and what is done with them."""

    def start(self, name: str, **query: Any) -> JSON:
        """Start it."""
        return self._act("start", name, {}, query)

    def stop(self, name: str, **query: Any) -> JSON:
        """Shut it down."""
        return self._act("stop", name, {}, query)

    def restart(self, name: str, **query: Any) -> JSON:
        """Shut it down and start it."""
        return self._act("restart", name, {}, query)

    def clone(self, name: str, new_name: str | None = None, **query: Any) -> JSON:
        """Make another one of it."""
        fields = {} if new_name is None else {"name": new_name}
        return self._act("clone", name, fields, query)

    def _act(
        self, verb: str, name: str, fields: Mapping[str, Any], query: Mapping[str, Any]
    ) -> JSON:
        path = f"/instances/{verb}_instance/{urllib.parse.quote(name, safe='')}"
        return self._client.request("POST", path, fields, query)


class Tasks(Collection):
    """Tasks."""

    def wait(
        self,
        uuid: str,
        timeout: float | None = None,
        watcher: Watcher | None = None,
    ) -> JSON:
        """Wait until a task has ended.

        A service that is away for a while is waited for, too.

        :param timeout: seconds; None waits for ever.
        :param watcher: called after each look.
        :raises TaskFailed: it ended in error.
        :raises TaskTimeout: it goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_LOOK
        task: JSON = {"uuid": uuid, "status": "unknown", "ended": False}
        while True:
            wait = pause
            try:
                task = self.show(uuid)
            except errors.Unavailable as error:
                if end is None and error.status is None:
                    raise  # nobody there, and nobody would ever give up
                wait = max(pause, error.retry_after)
            if watcher:
                watcher(task)
            if task["ended"]:
                break
            if end is not None and time.monotonic() + wait > end:
                raise errors.TaskTimeout(
                    f"task {uuid} is still {task['status']} after {timeout:g} s;"
                    " it goes on",
                    task,
                )
            time.sleep(wait)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        if task["status"] == "error":
            raise errors.TaskFailed(_cause(task), task)
        return task


def _cause(task: JSON) -> str:
    """What a failed task says of itself."""
    for change in reversed(task.get("status_history", ())):
        if change["status"] == "error" and change["message"]:
            return str(change["message"])
    return f"task {task['uuid']} ended in error"
