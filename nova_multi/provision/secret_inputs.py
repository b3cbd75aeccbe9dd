# SPDX-License-Identifier: Apache-2.0
"""Values of inputs that nobody is to see: those of an environment, in one record.

No noun lists records of this kind, and no answer, log, audit record or plan has what is
in them. They are not encrypted: whoever reads the database reads them.
"""

from __future__ import annotations

import dataclasses
import secrets
import string
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from nova_multi.domain.definition import Definition, Generator, Input, Reference, Scalar
from nova_multi.domain.errors import Conflict
from nova_multi.provision import guest
from nova_multi.provision.store import Record, Store

#: Kind of the records; their scope is the environment.
KIND = "secrets"
#: Name of each environment's record.
NAME = "inputs"
_LETTERS = string.ascii_letters + string.digits


@dataclasses.dataclass(frozen=True, slots=True)
class Secrets:
    """What is kept: for each input its value, public half, and number of changes."""

    kept: Mapping[str, Mapping[str, Any]] = dataclasses.field(
        default_factory=dict, repr=False
    )

    @property
    def versions(self) -> dict[str, int]:
        """How often the value of each input has changed."""
        return {name: entry["version"] for name, entry in self.kept.items()}

    @property
    def room(self) -> dict[tuple[str, str], int]:
        """As :attr:`nova_multi.domain.plan.Facts.room`."""
        return {
            (name, attribute): guest.room_of(_text(value))
            for name, entry in self.kept.items()
            for attribute, value in entry.items()
            if attribute != "version"
        }

    def value(self, reference: Reference) -> str:
        """What a reference to an input is worth.

        :raises Conflict: nothing is kept of it.
        """
        entry = self.kept.get(reference.name, {})
        if reference.attribute not in entry:
            raise Conflict(f"{reference} has no value", field="values")
        return _text(entry[reference.attribute])

    def with_values(
        self, definition: Definition, values: Mapping[str, Scalar]
    ) -> Secrets:
        """What is to be kept once a definition is applied with these values.

        What is generated is made once; another value counts as a change.
        """
        found: dict[str, Mapping[str, Any]] = {}
        for name, each in definition.inputs.items():
            if not is_kept(each):
                continue
            before = self.kept.get(name)
            if name in values and (before is None or before["value"] != values[name]):
                version = before["version"] + 1 if before else 1
                found[name] = {"value": values[name], "version": version}
            elif before is not None:
                found[name] = before
            elif each.generate is not None:
                found[name] = {**_generated(each), "version": 1}
        return Secrets(found)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def is_kept(one: Input) -> bool:
    """Whether an input's value is kept here, and stands in no definition."""
    return one.secret or one.generate is not None


def read(store: Store, environment: str) -> Secrets:
    """What is kept for an environment.

    :param environment: UUID of its record.
    """
    record = find(store, environment)
    return Secrets(record.data) if record else Secrets()


def find(store: Store, environment: str) -> Record | None:
    """The record that keeps an environment's secrets.

    :param environment: UUID of the environment's record.
    """
    found = store.list_records(KIND, scope=environment, name=NAME)
    return found[0] if found else None


def _generated(one: Input) -> dict[str, str]:
    if one.generate is Generator.PASSWORD:
        return {"value": "".join(secrets.choice(_LETTERS) for _ in range(one.length))}
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return {"value": private.decode(), "public": public.decode()}
