# SPDX-License-Identifier: Apache-2.0
"""Values of inputs that nobody is to see: those of an environment, in one record.

No noun lists records of this kind, and no answer, log, audit record or plan has what is
in them. They are sealed (:mod:`nova_multi.provision.sealing`); those of releases that
did not seal are read as they are, and sealed when they change.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from nova_multi.domain.definition import (
    Definition,
    Generator,
    Input,
    Reference,
    Root,
    Scalar,
)
from nova_multi.domain.errors import Conflict
from nova_multi.provision import guest
from nova_multi.provision.references import HIDDEN
from nova_multi.provision.sealing import Seal
from nova_multi.provision.store import Record, Store
from nova_multi.provision.tools import Tools

#: Kind of the records; their scope is the environment.
KIND = "secrets"
#: Name of each environment's record.
NAME = "inputs"
#: Key of a task's payload: variables that inputs are a part of, in pieces.
VARIABLES = "secret_variables"
_SEALED = "sealed"
#: Characters that a secret has at least to be looked for in logs.
_SHORTEST = 4
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


def read(store: Store, seal: Seal, environment: str) -> Secrets:
    """What is kept for an environment.

    :param environment: UUID of its record.
    :raises Conflict: no key opens it.
    """
    record = find(store, environment)
    return Secrets(opened(record.data, seal)) if record else Secrets()


def opened(data: Mapping[str, Any], seal: Seal) -> Mapping[str, Any]:
    """What is in the data of such a record.

    :raises Conflict: no key opens it.
    """
    sealed = data.get(_SEALED)
    # An input may be called so: what was kept of it was no text.
    if not isinstance(sealed, str):
        return data
    found: Mapping[str, Any] = json.loads(seal.open(sealed))
    return found


def data(kept: Secrets, seal: Seal, before: Record | None = None) -> dict[str, Any]:
    """Data of such a record.

    :param before: the record that there is already; what stays as it is isn't sealed
        anew, so that nothing has to be written.
    :raises Conflict: there is something to seal, and no key.
    """
    if not kept.kept:
        return {}
    if before and _SEALED in before.data and opened(before.data, seal) == kept.kept:
        return dict(before.data)
    return {_SEALED: seal.close(json.dumps(kept.kept))}


def variables(
    tools: Tools, payload: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """A script's variables that inputs are a part of, which are looked up only now.

    :param payload: of the task that makes the instance.
    :returns: those that anybody may see, and those with secrets in them.
    :raises Conflict: one has no value, or no key opens them.
    """
    templates = payload.get(VARIABLES) or {}
    seen: dict[str, str] = {}
    secret: dict[str, str] = {}
    if not templates:
        return seen, secret
    kept = read(tools.store, tools.seal, payload["environment"])
    for name, parts in templates.items():
        references = [part for part in parts if not isinstance(part, str)]
        text = "".join(
            part
            if isinstance(part, str)
            else kept.value(Reference(Root.INPUTS, part["input"], part["attribute"]))
            for part in parts
        )
        is_seen = all(part.get("seen") for part in references)
        (seen if is_seen else secret)[name] = text
    return seen, secret


def veil(tools: Tools, payload: Mapping[str, Any]) -> Callable[[str], str]:
    """What hides an instance's secrets in what its script has written.

    Very short values, and very short lines of longer ones, are not looked for: they
    stand in too many words.

    :param payload: of the task that makes the instance.
    """
    templates = payload.get(VARIABLES) or {}
    if not templates:
        return lambda text: text
    kept = read(tools.store, tools.seal, payload["environment"])
    values = [
        kept.value(Reference(Root.INPUTS, part["input"], part["attribute"]))
        for parts in templates.values()
        for part in parts
        if not isinstance(part, str) and not part.get("seen")
    ]
    words = {line for text in values for line in (text, *text.splitlines())}
    hidden = sorted((w for w in words if len(w) >= _SHORTEST), key=len, reverse=True)

    def veiled(text: str) -> str:
        for word in hidden:
            text = text.replace(word, HIDDEN)
        return text

    return veiled


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
