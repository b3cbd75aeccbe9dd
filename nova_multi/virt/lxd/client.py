# SPDX-License-Identifier: Apache-2.0
"""Requests to the LXD daemon: the one place that knows pylxd and its errors.

Every request has a time limit, and every operation is waited for no longer than that.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO
from urllib import parse

import pylxd
import requests
from oslo_log import log as logging
from pylxd import exceptions as pylxd_exceptions

from nova_multi import exception

LOG = logging.getLogger(__name__)

ENGINE = "lxd"
#: Seconds that the socket may stay silent longer than LXD itself was told to wait.
GRACE = 5
CHUNK = 1024 * 1024
#: Last status code of an operation that succeeded; 4xx are failed or cancelled ones.
_SUCCESS = 200
#: Statuses that callers tell apart.
NOT_FOUND = 404
PRECONDITION_FAILED = 412


def _message(error: pylxd_exceptions.LXDAPIException) -> str:
    """LXD's own words, or the status where it had none."""
    return str(error) or f"HTTP status {error.response.status_code}"


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn errors of pylxd and below it into ours.

    :param what: the request in words, for the message.
    """
    try:
        yield
    except pylxd_exceptions.Conflict as error:
        raise exception.EngineConflict(
            f"LXD could not {what}: {_message(error)}", engine=ENGINE, status=409
        ) from error
    except pylxd_exceptions.LXDAPIException as error:
        raise exception.EngineError(
            f"LXD could not {what}: {_message(error)}",
            engine=ENGINE,
            status=error.response.status_code,
        ) from error
    except requests.exceptions.Timeout as error:
        raise exception.EngineTimeout(
            f"LXD did not {what} in time: {error}", engine=ENGINE
        ) from error
    except (
        pylxd_exceptions.ClientConnectionFailed,
        requests.exceptions.RequestException,
    ) as error:
        raise exception.EngineUnavailable(
            f"LXD does not answer (asked to {what}): {error}; is the daemon running,"
            " and may this service's user open its socket?",
            engine=ENGINE,
        ) from error


@contextlib.contextmanager
def absent_is_fine() -> Iterator[None]:
    """For deleting: what is gone already is no error."""
    try:
        yield
    except exception.EngineError as error:
        if error.status != NOT_FOUND:
            raise


@contextlib.contextmanager
def logged(what: str) -> Iterator[None]:
    """For cleaning up: an error must not hide the one that made it necessary."""
    try:
        yield
    except exception.NovaMultiError:
        LOG.exception("Could not %s", what)


class LXDClient:
    """Connection to one project of an LXD daemon; used by many threads at once.

    :param socket_path: the daemon's Unix socket.
    :param project: LXD project; every request is confined to it.
    :param timeout: seconds for a request or an operation.
    """

    def __init__(self, socket_path: str, project: str, timeout: int) -> None:
        self.socket_path = socket_path
        self._project = project
        self._timeout = timeout
        self._lock = threading.Lock()
        self._pylxd: pylxd.Client | None = None

    def _client(self) -> Any:
        # pylxd asks the daemon while it is constructed: only when first needed, since a
        # compute service must start while LXD is away.
        with self._lock:
            if self._pylxd is None:
                self._pylxd = pylxd.Client(
                    endpoint="http+unix://" + parse.quote(self.socket_path, safe=""),
                    timeout=self._timeout,
                    project=self._project,
                )
            return self._pylxd

    def _node(self, path: tuple[str, ...]) -> Any:
        node = self._client().api
        for part in path:
            node = node[part]
        return node

    def get(self, *path: str, params: Mapping[str, str] | None = None) -> Any:
        """Read an object.

        :raises EngineError: with the status, such as 404.
        """
        return self.get_tagged(*path, params=params)[0]

    def get_tagged(
        self, *path: str, params: Mapping[str, str] | None = None
    ) -> tuple[Any, str]:
        """Read an object and the tag that ``change`` takes as ``etag``."""
        with translated(f"read {'/'.join(path) or 'its state'}"):
            response = self._node(path).get(params=dict(params or {}))
            return response.json()["metadata"], response.headers.get("ETag", "")

    def change(
        self,
        method: str,
        *path: str,
        json: Mapping[str, Any] | None = None,
        etag: str = "",
        wait: int = 0,
    ) -> Any:
        """Make, alter or delete an object and wait until that is done.

        :param method: ``post``, ``put`` or ``delete``.
        :param etag: fail with EngineError (status 412) if the object has changed.
        :param wait: seconds that the operation may take on top of the usual ones.
        :returns: LXD's metadata about the result.
        :raises EngineTimeout: the operation did not end; LXD was asked to cancel it.
        """
        what = f"{method} {'/'.join(path)}"
        arguments: dict[str, Any] = {"json": json} if json is not None else {}
        if etag:
            arguments["headers"] = {"If-Match": etag}
        with translated(what):
            reply = getattr(self._node(path), method)(**arguments).json()
        if reply["type"] != "async":
            return reply["metadata"]
        return self._finish(reply["operation"], what, self._timeout + wait)

    def _finish(self, operation: str, what: str, seconds: int) -> Any:
        node = ("operations", operation.split("?")[0].rsplit("/", 1)[-1])
        with translated(what):
            response = self._node((*node, "wait")).get(
                params={"timeout": str(seconds)}, timeout=seconds + GRACE
            )
            result = response.json()["metadata"]
        if result["status_code"] < _SUCCESS:
            with contextlib.suppress(exception.EngineError), translated("cancel"):
                self._node(node).delete()
            raise exception.EngineTimeout(
                f"LXD did not {what} within {seconds} s", engine=ENGINE
            )
        if result["status_code"] > _SUCCESS:
            raise exception.EngineError(
                f"LXD could not {what}: {result['err'] or result['status']}",
                engine=ENGINE,
                status=result["status_code"],
            )
        return result["metadata"]

    def read(self, *path: str) -> bytes:
        """Read something that is not JSON: a console, a file."""
        with translated(f"read {'/'.join(path)}"):
            return bytes(self._node(path).get(is_api=False).content)

    def write_file(self, instance: str, path: str, content: str, mode: int) -> None:
        """Write a file inside a guest, as its root, replacing a link of that name."""
        with translated(f"write {path} in {instance}"):
            files = self._node(("instances", instance, "files"))
            headers = {"X-LXD-uid": "0", "X-LXD-gid": "0", "X-LXD-mode": f"{mode:04o}"}
            files.post(params={"path": path}, data=content.encode(), headers=headers)

    def read_file(self, instance: str, path: str) -> tuple[str, bytes] | None:
        """What there is at a path inside a guest; None if nothing is.

        :returns: LXD's word for its type, and its content: of ``symlink`` the target.
        """
        with translated(f"read {path} in {instance}"):
            files = self._node(("instances", instance, "files"))
            try:
                found = files.get(params={"path": path}, is_api=False)
            except pylxd_exceptions.NotFound:
                return None
            return found.headers.get("X-LXD-type", "file"), bytes(found.content)

    def make_link(self, instance: str, path: str, target: str) -> None:
        """Make a symbolic link inside a guest."""
        with translated(f"make link {path} in {instance}"):
            self._node(("instances", instance, "files")).post(
                params={"path": path},
                data=target.encode(),
                headers={"X-LXD-type": "symlink"},
            )

    def delete_file(self, instance: str, path: str) -> None:
        """Delete a file inside a guest; absent is fine."""
        with (
            translated(f"delete {path} in {instance}"),
            contextlib.suppress(pylxd_exceptions.NotFound),
        ):
            files = self._node(("instances", instance, "files"))
            files.delete(params={"path": path})

    def make_folder(self, instance: str, path: str) -> None:
        """Make a folder inside a guest, as its root; its parent must be there."""
        with translated(f"make {path} in {instance}"):
            headers = {"X-LXD-type": "directory", "X-LXD-mode": "0755"}
            self._node(("instances", instance, "files")).post(
                params={"path": path}, headers=headers
            )

    def upload_image(self, metadata: BinaryIO, rootfs: BinaryIO) -> str:
        """Give LXD an image in two parts and return its fingerprint."""
        with translated("take in an image"):
            image = self._client().images.create(rootfs, metadata=metadata)
            return str(image.fingerprint)

    def download_image(self, fingerprint: str, path: str) -> None:
        """Write an image's file to ``path``."""
        with translated(f"give out image {fingerprint}"):
            node = self._node(("images", fingerprint, "export"))
            with (
                contextlib.closing(node.get(stream=True)) as response,
                open(path, "wb") as target,
            ):
                for chunk in response.iter_content(CHUNK):
                    target.write(chunk)
