# SPDX-License-Identifier: Apache-2.0
"""Filters of the role messaging."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable


def rabbitmq_password_hash(password: str) -> str:
    """RabbitMQ's salted SHA-256 of a password.

    The salt comes from the password, so that the same password renders the same file;
    what it protects from is a table of hashes, and these passwords are random.
    """
    secret = password.encode()
    salt = hashlib.sha256(b"salt" + secret).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + secret).digest()).decode()


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"rabbitmq_password_hash": rabbitmq_password_hash}
