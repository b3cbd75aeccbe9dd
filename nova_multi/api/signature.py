# SPDX-License-Identifier: Apache-2.0
"""VirtShell's signature, as far as it can be checked without the secret.

``X-VirtShell-Authorization: UserId:Signature``, where the signature is base64 of
the HMAC-SHA1 over six lines: verb, Host, Content-MD5, Content-Type, Date and resource,
each with a line feed at its end. UserId is an EC2 access key; Keystone holds the secret
and checks the HMAC. The date, the body and a repetition are checked here. The resource
is the path with its query, as sent: what isn't signed could be changed on the way.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import email.utils
import hashlib
import hmac
import re
import urllib.parse
from typing import TYPE_CHECKING

from nova_multi.api.errors import TimeSkewed, Unauthorized
from nova_multi.api.paths import SENT_PATH
from nova_multi.provision.service import SignedRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HEADER = "X-VirtShell-Authorization"
_FORM = re.compile(r"([A-Za-z0-9._-]{1,128}):([A-Za-z0-9+/]{27}=)", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """A signature whose HMAC is still to be checked.

    :ivar digest: the same however the header was written; for finding repetitions.
    :ivar until: when the date alone will refuse it.
    """

    request: SignedRequest
    digest: str
    until: datetime.datetime


def read(
    environ: WSGIEnvironment,
    now: datetime.datetime,
    window: datetime.timedelta,
) -> Signature:
    """Take a signed request apart and check what needs neither secret nor body.

    :param window: how far the date may be from now, either way.
    :raises TimeSkewed: it is further.
    :raises Unauthorized: the header is malformed or the date is missing.
    """
    found = _FORM.fullmatch(environ.get("HTTP_X_VIRTSHELL_AUTHORIZATION", ""))
    if not found:
        raise Unauthorized(f"{HEADER} must be UserId:Signature, with base64")
    access_key, text = found.groups()
    raw = base64.b64decode(text)
    date = _date(environ.get("HTTP_DATE", ""))
    if abs(now - date) > window:
        raise TimeSkewed(
            f"the Date of the request is more than {int(window.total_seconds())}"
            " seconds from now"
        )
    request = SignedRequest(
        access_key=access_key,
        string_to_sign=string_to_sign(environ),
        signature=base64.b64encode(raw).decode(),
    )
    digest = hashlib.sha256(access_key.encode() + b":" + raw).hexdigest()
    return Signature(request, digest, date + window)


def string_to_sign(environ: WSGIEnvironment) -> bytes:
    """What VirtShell's clients make the HMAC of."""
    script = environ.get("SCRIPT_NAME", "")
    path = script + environ.get(SENT_PATH, environ.get("PATH_INFO", ""))
    # Servers that keep the address as it was sent spare guessing how it was quoted.
    resource = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if not resource.startswith("/"):
        resource = urllib.parse.quote(path.encode("latin-1"), safe="/:@!$&'()*+,;=~")
        query = environ.get("QUERY_STRING", "")
        resource += f"?{query}" if query else ""
    parts = (
        environ["REQUEST_METHOD"],
        environ.get("HTTP_HOST", ""),
        environ.get("HTTP_CONTENT_MD5", ""),
        environ.get("CONTENT_TYPE", ""),
        environ.get("HTTP_DATE", ""),
        resource,
    )
    return "".join(f"{part}\n" for part in parts).encode("latin-1", "replace")


def _date(text: str) -> datetime.datetime:
    try:
        date = email.utils.parsedate_to_datetime(text)
        if date.tzinfo is None:  # "-0000": UTC without saying where
            date = date.replace(tzinfo=datetime.UTC)
        return date.astimezone(datetime.UTC)
    except (TypeError, ValueError, OverflowError, IndexError) as error:
        raise Unauthorized(
            "a signed request needs a Date such as 'Tue, 05 Jan 2027 10:00:00 GMT'"
        ) from error


def check_body(environ: WSGIEnvironment, body_md5: bytes | None) -> None:
    """See that the body is the one that was signed.

    :param body_md5: its MD5, None if there is no body.
    :raises Unauthorized: it is not what Content-MD5 says.
    """
    header = environ.get("HTTP_CONTENT_MD5", "")
    if not header and body_md5 is None:
        return
    try:
        told = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        told = b""
    actual = body_md5 if body_md5 is not None else hashlib.md5(b"").digest()
    if not hmac.compare_digest(told, actual):
        raise Unauthorized("the body is not what Content-MD5 says (base64 of its MD5)")
