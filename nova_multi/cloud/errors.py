# SPDX-License-Identifier: Apache-2.0
"""What openstacksdk and keystoneauth raise, as errors of the domain.

Told apart by type, HTTP status and the answer's structure, never by its words.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from keystoneauth1 import exceptions as ksa
from openstack import exceptions as sdk

from nova_multi import exception
from nova_multi.domain import errors

#: Seconds to wait where the cloud names none.
RETRY_BUSY = 5
RETRY_AWAY = 10
#: Somebody has to mend our own account first.
RETRY_CREDENTIALS = 60
_RETRY_MAX = 3600

_AWAY = (
    ksa.ConnectionError,
    ksa.RetriableConnectionFailure,
    ksa.DiscoveryFailure,
    sdk.ServiceDiscoveryException,
    sdk.ResourceTimeout,
    sdk.InvalidResponse,
    requests.RequestException,
    TimeoutError,
    ConnectionError,
)
_NO_SERVICE = (ksa.CatalogException, sdk.EndpointNotFound, sdk.ServiceDisabledException)
_CONFIGURATION = (
    sdk.ConfigException,
    ksa.AuthPluginException,
    ksa.MissingRequiredOptions,
    ksa.NoMatchingPlugin,
)


@contextlib.contextmanager
def translated(
    what: str,
    *,
    field: str | None = None,
    missing: type[errors.DomainError] = errors.NotFound,
    conflict: type[errors.DomainError] = errors.Conflict,
) -> Iterator[None]:
    """Turn an error of the libraries into one of the domain's, or of the set-up's.

    Lists of openstacksdk are lazy: they are to be read inside.

    :param what: what is asked of OpenStack, for the message: ``start server X``.
    :param field: of the request, for what is the value's fault.
    :param missing: for the cloud's 404.
    :param conflict: for the cloud's 409.
    """
    try:
        yield
    except (sdk.HttpException, ksa.HttpError) as error:
        raise _of_status(what, error, field, missing, conflict) from error
    except sdk.DuplicateResource as error:
        raise errors.Ambiguous(f"{what}: {error}", field=field) from error
    except _NO_SERVICE as error:
        raise errors.Unsupported(
            f"{what}: this cloud has no such service", code="no_service"
        ) from error
    except (sdk.NotSupported, sdk.MethodNotSupported) as error:
        raise errors.Unsupported(f"{what}: {error}") from error
    except sdk.InvalidResourceQuery as error:
        raise errors.Invalid(f"{what}: {error}", field=field) from error
    except _CONFIGURATION as error:
        raise exception.ConfigurationError(f"{what}: {error}") from error
    except _AWAY as error:
        raise errors.Unavailable(
            f"{what}: OpenStack does not answer ({type(error).__name__})",
            retry_after=RETRY_AWAY,
        ) from error
    except (sdk.SDKException, ksa.ClientException) as error:
        raise errors.Unavailable(f"{what}: {error}", retry_after=RETRY_BUSY) from error


def _of_status(
    what: str,
    error: sdk.HttpException | ksa.HttpError,
    field: str | None,
    missing: type[errors.DomainError],
    conflict: type[errors.DomainError],
) -> errors.DomainError:
    response: requests.Response | None = error.response
    status = _status(error)
    headers: Mapping[str, str] = response.headers if response is not None else {}
    message = f"{what}: {said(error)}"
    if status == 401:
        # Whoever called us has been checked before: it is our own account.
        return errors.Unavailable(
            f"{what}: OpenStack refused the service's own account",
            retry_after=RETRY_CREDENTIALS,
            code="cloud_credentials",
        )
    if status in (408, 429) or (status == 413 and "Retry-After" in headers):
        return errors.Unavailable(message, retry_after=retry_after(headers))
    if status in (405, 406, 501):
        return errors.Unsupported(message, field=field)
    if status >= 500 or not status:
        return errors.Unavailable(message, retry_after=retry_after(headers))
    if status == 403:
        return errors.Forbidden(message, field=field)
    if status == 404:
        return missing(message, field=field)
    if status in (409, 412):
        if neutron_type(error) == "OverQuota":
            return errors.Conflict(message, field=field, code="quota_exceeded")
        return conflict(message, field=field)
    return errors.Invalid(message, field=field)


def _status(error: sdk.HttpException | ksa.HttpError) -> int:
    if isinstance(error, sdk.HttpException):
        return error.status_code or 0
    return error.http_status or 0


def said(error: sdk.HttpException | ksa.HttpError) -> str:
    """The cloud's own words, for people."""
    words = _listed(error) or error.details or error.message or ""
    if isinstance(words, bytes):
        words = words.decode(errors="replace")
    status = _status(error)
    return f"{' '.join(str(words).split())[:500] or 'no reason given'} (HTTP {status})"


def _listed(error: BaseException) -> str:
    """Placement's words, which openstacksdk does not find."""
    try:
        found = _body(error)["errors"]
        return "; ".join(str(each["detail"]) for each in found)
    except (TypeError, KeyError):
        return ""


def neutron_type(error: BaseException | None) -> str:
    """Neutron's own name of what went wrong; empty if there is none."""
    try:
        return str(_body(error)["NeutronError"]["type"])
    except (TypeError, KeyError):
        return ""


def _body(error: BaseException | None) -> Any:
    response = getattr(error, "response", None)
    if response is None:
        return None
    try:
        return response.json()
    except ValueError:
        return None


def retry_after(headers: Mapping[str, str], default: int = RETRY_BUSY) -> int:
    """Seconds of a Retry-After header, which may also hold a date; at most an hour."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return default
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return default
        if at.tzinfo is None:
            at = at.replace(tzinfo=datetime.UTC)
        seconds = (at - datetime.datetime.now(datetime.UTC)).total_seconds()
    if seconds != seconds:
        return default
    return int(min(max(seconds, 1), _RETRY_MAX))
