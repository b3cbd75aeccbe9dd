# SPDX-License-Identifier: Apache-2.0
"""Signatures made with EC2 credentials, checked by Keystone.

No secret passes through here: Keystone has it, computes the HMAC, and tells whose it
is. Neither a date nor a repetition is looked at.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from openstack import exceptions as sdk

from nova_multi.cloud import times
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import RETRY_CREDENTIALS, translated
from nova_multi.cloud.values import TokenFacts
from nova_multi.domain import errors

#: Seconds for which our own token is not checked again after a refusal.
_TRUST = 30.0
#: Keystone takes what begins so for the form of Amazon's version 4.
_OTHER_FORM = b"AWS4"


class Signatures:
    """Asks Keystone about signatures.

    :param connection: of an account with the role service or admin.
    :param clock: seconds that only grow.
    """

    def __init__(
        self, connection: Connection, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._lock = threading.Lock()
        self._checked: float | None = None

    def check(
        self, access: str, signature: str, signed: str | bytes
    ) -> TokenFacts | None:
        """Whose signature this is.

        :param access: the EC2 access key.
        :param signature: base64 of the HMAC-SHA1.
        :param signed: the text that was signed.
        :returns: None if the signature is wrong, its key is unknown, or its user or
            project is disabled.
        :raises Unavailable: Keystone can't be asked, or does not let us ask.
        """
        text = signed.encode() if isinstance(signed, str) else signed
        if text.startswith(_OTHER_FORM):
            return None
        body = {
            "credentials": {
                "access": access,
                "signature": signature,
                "token": base64.urlsafe_b64encode(text).decode("ascii"),
            }
        }
        with translated("check a signature"):
            response = self._ask(body)
            if response.status_code == 401 and self._renewed():
                response = self._ask(body)
            # 400 is for what can't be a key or a signature at all.
            if response.status_code in (400, 401, 404):
                return None
            if response.status_code == 403:
                raise errors.Unavailable(
                    "check a signature: the service's account needs the role service",
                    retry_after=RETRY_CREDENTIALS,
                    code="cloud_credentials",
                )
            sdk.raise_from_response(response)
            return _facts(access, response.json()["token"])

    def _ask(self, body: Mapping[str, Any]) -> requests.Response:
        # Not keystoneauth's way with a 401, which is to log in anew and ask again: each
        # forgery would cost three requests and a token.
        return self._connection.identity.post(
            "/s3tokens",
            json=body,
            authenticated=False,
            headers={"X-Auth-Token": str(self._connection.sdk.session.get_token())},
        )

    def _renewed(self) -> bool:
        """Whether it was our own token that was refused, and we have a new one.

        Looked at no more than once in a while, or forgeries would cost us as much.
        """
        with self._lock:
            now = self._clock()
            if self._checked is not None and now - self._checked < _TRUST:
                return False
            self._checked = now
        session = self._connection.sdk.session
        token = str(session.get_token())
        response = self._connection.identity.head(
            "/auth/tokens",
            authenticated=False,
            headers={"X-Auth-Token": token, "X-Subject-Token": token},
        )
        if response.status_code not in (401, 404):
            return False
        session.invalidate()
        return True


def _facts(access: str, token: Mapping[str, Any]) -> TokenFacts:
    user, project = token["user"], token["project"]
    expires = times.read(token["expires_at"])
    if expires is None:
        raise sdk.InvalidResponse("a token without an end")
    return TokenFacts(
        access=access,
        user_id=user["id"],
        user_name=user["name"],
        user_domain_id=user["domain"]["id"],
        user_domain_name=user["domain"]["name"],
        project_id=project["id"],
        project_name=project["name"],
        project_domain_id=project["domain"]["id"],
        project_domain_name=project["domain"]["name"],
        roles=tuple(role["name"] for role in token.get("roles", ())),
        expires=expires,
        methods=tuple(token.get("methods", ())),
        audit_ids=tuple(token.get("audit_ids", ())),
    )
