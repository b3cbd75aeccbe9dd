# SPDX-License-Identifier: Apache-2.0
"""The Docker Engine API with its errors translated, and nothing else.

The only place that catches what the ``docker`` package raises. One client serves all
threads of the compute; it connects on first use, so that a daemon which is away when
the service starts is an error of that call and not of the service.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import docker
import requests
import urllib3
from docker import errors as docker_errors

from nova_multi import exception

ENGINE = "docker"

#: Oldest Engine API that has all that is used here (Docker 20.10).
MINIMUM_API_VERSION = "1.41"

#: Connections kept open: as many as a busy compute has threads that call the daemon.
POOL_SIZE = 32

_CONFLICT = 409
_NOT_FOUND = 404


class Client:
    """Makes and keeps the connection to one daemon.

    :param url: ``unix://`` URL of the daemon's socket. Who may use it is root of the
        machine: it is never on TCP.
    :param timeout: seconds that the daemon may take to answer.
    :param transfer_timeout: the same for calls that move whole images.
    :raises ConfigurationError: another kind of URL.
    """

    def __init__(self, url: str, timeout: int, transfer_timeout: int) -> None:
        if not url.startswith("unix://"):
            raise exception.ConfigurationError(
                f"Docker's URL is {url!r}; only unix:///path/of/its.sock is allowed"
            )
        self._url = url
        self._timeouts = {False: timeout, True: transfer_timeout}
        self._apis: dict[bool, docker.APIClient] = {}
        self._lock = threading.Lock()

    def api(self, *, transfer: bool = False) -> docker.APIClient:
        """The low-level client, connected; to be called inside :func:`translated`.

        :param transfer: with the timeout for whole images.
        """
        with self._lock:
            if transfer not in self._apis:
                api = docker.APIClient(
                    base_url=self._url,
                    version="auto",
                    timeout=self._timeouts[transfer],
                    max_pool_size=POOL_SIZE,
                )
                # A proxy from the environment is for the world, not for a socket.
                api.trust_env = False
                if docker.utils.version_lt(api.api_version, MINIMUM_API_VERSION):
                    raise exception.ConfigurationError(
                        f"Docker at {self._url} speaks API {api.api_version}; at"
                        f" least {MINIMUM_API_VERSION} (Docker 20.10) is needed"
                    )
                self._apis[transfer] = api
            return self._apis[transfer]

    def load(self, archive: Iterator[bytes]) -> None:
        """Have the daemon load a Docker archive of ours; inside :func:`translated`.

        :raises EngineError: the daemon refused it, as only its answer's text tells.
        """
        # With ``quiet`` there is no progress, only what was loaded, or the error.
        for line in self.api(transfer=True).load_image(archive, quiet=True):
            if "error" in line:
                raise exception.EngineError(
                    f"Docker could not load the image: {line['error']}", engine=ENGINE
                )


@contextlib.contextmanager
def translated(
    what: str,
    *,
    missing: type[exception.EngineError] = exception.GuestNotFound,
    conflict: type[exception.EngineError] = exception.EngineConflict,
) -> Iterator[None]:
    """Turn an error of the ``docker`` package into one of ours.

    :param what: what is asked of Docker, for the message: ``start guest X``.
    :param missing: for the daemon's 404.
    :param conflict: for the daemon's 409.
    """
    kind: type[exception.EngineError]
    status: int | None = None
    try:
        yield
        return
    except docker_errors.APIError as error:
        status = error.status_code
        said = error.explanation or str(error)
        cause: Exception = error
        by_status = {_NOT_FOUND: missing, _CONFLICT: conflict}
        kind = by_status.get(status or 0, exception.EngineError)
    except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
        kind, said, cause = exception.EngineTimeout, "no answer in time", error
    except (
        docker_errors.DockerException,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        ConnectionError,
    ) as error:
        # DockerException proper: the version could not be asked for.
        timed_out = _caused_by(error, (requests.Timeout,))
        kind = exception.EngineTimeout if timed_out else exception.EngineUnavailable
        said, cause = str(error), error
    raise kind(f"{what}: {said}", engine=ENGINE, status=status) from cause


def _caused_by(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, kinds):
            return True
        found = found.__cause__ or found.__context__
    return False
