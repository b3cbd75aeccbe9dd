# SPDX-License-Identifier: Apache-2.0
"""What can go wrong when the provisioning service is used.

::

    ClientError
    ├── RequestError        the service refused a request
    │   ├── Invalid         400  details name the fields
    │   ├── Unauthorized    401  no token, or none that is valid
    │   ├── Forbidden       403
    │   ├── NotFound        404
    │   ├── Conflict        409  a name is taken or ambiguous, or the state forbids it
    │   ├── Unsupported     501
    │   └── Unavailable     503  also where the service does not answer at all
    ├── TaskFailed          a task ended in error
    └── TaskTimeout         a task had not ended after the time allowed; it goes on
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nova_multi.exception import NovaMultiError


class ClientError(NovaMultiError):
    """Base of all errors of the client."""


class RequestError(ClientError):
    """The service refused a request.

    :ivar code: stable word of the service, such as ``name_taken``.
    :ivar details: one mapping for each single problem, with ``field`` and ``message``.
    :ivar status: HTTP status; None where there was no answer.
    :ivar request_id: to be found in the service's log.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        details: Sequence[Mapping[str, Any]] = (),
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = tuple(details)
        self.status = status
        self.request_id = request_id


class Invalid(RequestError):
    """Something in the request can't be taken."""


class Unauthorized(RequestError):
    """There is no token, or none that is valid."""


class Forbidden(RequestError):
    """The user may not do this."""


class NotFound(RequestError):
    """There is none, or none that the user may know of."""


class Conflict(RequestError):
    """The present state forbids it."""


class Unsupported(RequestError):
    """The service can't do this (yet)."""


class Unavailable(RequestError):
    """The service, or something that it needs, does not answer.

    :ivar retry_after: seconds after which trying again makes sense.
    """

    retry_after: float = 5


class TaskFailed(ClientError):
    """A task ended in error.

    :ivar task: as the service last told it.
    """

    def __init__(self, message: str, task: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.task = task


class TaskTimeout(ClientError):
    """A task had not ended after the time allowed; it goes on.

    :ivar task: as the service last told it.
    """

    def __init__(self, message: str, task: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.task = task


BY_STATUS: Mapping[int, type[RequestError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    501: Unsupported,
    503: Unavailable,
}
