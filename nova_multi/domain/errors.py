# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a request, in words that every interface shares.

::

    DomainError
    ├── Invalid         400  a value that can't be taken
    ├── Forbidden       403  the caller may not
    ├── NotFound        404  there is none, or the caller may not know of it
    ├── Conflict        409  the present state forbids it
    │   ├── Ambiguous   409  several fit the name
    │   ├── NameTaken   409  another one has that name
    │   └── NoHost      409  no host meets a requirement
    ├── Unsupported     501  asked for something that can't be done here
    └── Unavailable     503  something that is needed does not answer; try again
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from nova_multi.exception import NovaMultiError


class DomainError(NovaMultiError):
    """Base of all errors that a user of the service may see.

    :ivar http_status: how the REST interface answers.
    :ivar code: stable word for programs.
    :ivar field: name of the field that is wrong, or None.
    :ivar message: a sentence for people.
    :ivar details: one mapping for each single problem, where there are several.
    """

    http_status: ClassVar[int] = 500
    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        code: str | None = None,
        details: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.code = code or self.default_code
        self.details = tuple(details)

    def as_detail(self) -> dict[str, Any]:
        """This error as one entry of another error's details."""
        return {"code": self.code, "field": self.field, "message": self.message}


class Invalid(DomainError):
    """A value that can't be taken."""

    http_status = 400
    default_code = "invalid"

    @classmethod
    def together(cls, errors: Sequence[DomainError]) -> Invalid:
        """One error for all that was found wrong; there must be at least one."""
        if len(errors) == 1 and isinstance(errors[0], Invalid):
            return errors[0]
        first = errors[0]
        return cls(
            "; ".join(error.message for error in errors),
            field=first.field,
            code=first.code if len(errors) == 1 else None,
            details=[entry for e in errors for entry in e.details or (e.as_detail(),)],
        )


class Forbidden(DomainError):
    """The caller may not do this."""

    http_status = 403
    default_code = "forbidden"


class NotFound(DomainError):
    """There is none, or none that the caller may know of."""

    http_status = 404
    default_code = "not_found"


class Conflict(DomainError):
    """The present state forbids it."""

    http_status = 409
    default_code = "conflict"


class Ambiguous(Conflict):
    """Several fit the name; the message tells how to decide."""

    default_code = "ambiguous"


class NameTaken(Conflict):
    """Another one has that name."""

    default_code = "name_taken"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = "name",
        code: str | None = None,
        details: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message, field=field, code=code, details=details)


class NoHost(Conflict):
    """No host meets a requirement.

    :ivar requirement: the one that left none: ``partition``, ``driver``, ``type``,
        ``node``, ``refused``, ``enabled``, ``cpus``, ``memory``, ``disk``; ``hosts``
        where there are no hosts at all.
    """

    default_code = "no_host"

    def __init__(self, requirement: str, message: str) -> None:
        super().__init__(message, field=requirement)
        self.requirement = requirement


class Unsupported(DomainError):
    """Asked for something that can't be done here; nothing was changed."""

    http_status = 501
    default_code = "unsupported"


class Unavailable(DomainError):
    """Something that is needed does not answer.

    :ivar retry_after: seconds after which trying again makes sense.
    """

    http_status = 503
    default_code = "unavailable"

    def __init__(
        self,
        message: str,
        *,
        retry_after: int = 5,
        field: str | None = None,
        code: str | None = None,
        details: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message, field=field, code=code, details=details)
        self.retry_after = retry_after
