# SPDX-License-Identifier: Apache-2.0
"""Seals what nobody who reads the database, or a copy of it, is to read.

Fernet (AES-128-CBC with HMAC-SHA256) by keys from the configuration. The first key
seals; all of them open, so that keys can be changed while the service runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from nova_multi.domain.errors import Conflict
from nova_multi.exception import ConfigurationError

_OPTION = "[secrets] fernet_keys"


def new_key() -> str:
    """A random key, as the configuration takes it."""
    return Fernet.generate_key().decode()


class Seal:
    """Seals and opens texts.

    :param keys: as :func:`new_key` makes them, the newest first; without any, nothing
        can be sealed.
    :raises ConfigurationError: one of them is no key; it is not told.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        try:
            ciphers = [Fernet(key) for key in keys]
        except ValueError as error:
            raise ConfigurationError(
                f"{_OPTION}: a key is 32 bytes in url-safe base64;"
                " nova-multi-manage secrets key makes one"
            ) from error
        self._cipher = MultiFernet(ciphers) if ciphers else None

    def check(self) -> None:
        """See that there is a key.

        :raises Conflict: there is none.
        """
        self._of_keys()

    def close(self, text: str) -> str:
        """A text, sealed; never the same twice.

        :raises Conflict: there is no key.
        """
        return self._of_keys().encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """The text that was sealed.

        :raises Conflict: none of the keys opens it.
        """
        try:
            return self._of_keys().decrypt(sealed).decode()
        except InvalidToken as error:
            raise Conflict(
                f"a secret can't be opened: the key that sealed it is not in {_OPTION}",
                code="no_key",
            ) from error

    def renewed(self, sealed: str) -> str:
        """The same text sealed by the first key.

        :raises Conflict: none of the keys opens it.
        """
        return self.close(self.open(sealed))

    def _of_keys(self) -> MultiFernet:
        if self._cipher is None:
            raise Conflict(
                f"secrets can't be kept: the operator has given no key in {_OPTION}",
                code="no_key",
            )
        return self._cipher
