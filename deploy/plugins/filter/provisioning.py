# SPDX-License-Identifier: Apache-2.0
"""Filters of the role provisioning."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable


def fernet_key(password: str) -> str:
    """A key of Fernet's form, made of a password that is as random as a key."""
    digest = hashlib.sha256(b"fernet" + password.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"fernet_key": fernet_key}
