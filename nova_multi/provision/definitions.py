# SPDX-License-Identifier: Apache-2.0
"""Definitions of environments as they are kept, with what was found of their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, DomainError, Invalid
from nova_multi.domain.plan import Facts, ImageFacts, Ranges
from nova_multi.domain.provisioner import Provisioner
from nova_multi.provision import secret_inputs
from nova_multi.provision.store import Record, Store

#: Kind of the records that keep one; their scope is the environment.
KIND = "definition"
NAME = "definition"
#: Key of an environment's record: UUIDs of the tasks that apply or destroy, in turn.
QUEUE = "applying"

_DEFINITION, _ADDRESS, _BY = "definition", "had_address", "by"


def find(store: Store, environment: str) -> Record | None:
    """The record that keeps an environment's definition.

    :param environment: UUID of the environment's record.
    """
    found = store.list_records(KIND, scope=environment, name=NAME)
    return found[0] if found else None


def data(
    definition: Mapping[str, Any], had_address: bool, by: Mapping[str, Any]
) -> dict[str, Any]:
    """Data of such a record.

    :param definition: as :func:`nova_multi.spec.dump` gives it; no secrets.
    :param had_address: whether the environment had a publishing address before.
    :param by: who has given it: ``user_id``, ``project_id``, ``admin``.
    """
    return {_DEFINITION: dict(definition), _ADDRESS: had_address, _BY: dict(by)}


def changed(record: Record, definition: Mapping[str, Any]) -> dict[str, Any]:
    """Data of a record that keeps a definition, with another one in its place."""
    return {**record.data, _DEFINITION: dict(definition)}


def given_by(record: Record) -> Mapping[str, Any]:
    """Who has given the definition in a record; nothing if that wasn't kept."""
    found: Mapping[str, Any] = record.data.get(_BY, {})
    return found


def of(record: Record) -> Mapping[str, Any]:
    """The definition in a record, as :func:`nova_multi.spec.load_dict` takes it."""
    found: Mapping[str, Any] = record.data[_DEFINITION]
    return found


def had_address(store: Store, environment: Record) -> bool:
    """Whether an environment had a publishing address before its first definition."""
    record = find(store, environment.uuid)
    return record is None or bool(record.data.get(_ADDRESS))


def kept(store: Store, environment: str) -> list[Record]:
    """All records of an environment's definition, with that of its secrets.

    :param environment: UUID of its record.
    """
    found = (find(store, environment), secret_inputs.find(store, environment))
    return [record for record in found if record]


def forget(store: Store, environment: str) -> None:
    """Keep nothing of an environment's definition, nor of its secrets.

    :param environment: UUID of its record.
    """
    for record in kept(store, environment):
        store.delete_record(record.kind, record.uuid)


def written(facts: Facts) -> dict[str, Any]:
    """Facts as JSON takes them."""
    images = []
    for (name, driver), found in facts.images.items():
        told = _error_or(found)
        what = dataclasses.asdict(found) if isinstance(found, ImageFacts) else told
        images.append([name, driver, what])
    provisioners = {
        name: {
            key: value
            for key in _PROVISIONER
            if (value := getattr(each, key)) not in (None, "", (), {})
        }
        for name, each in facts.provisioners.items()
    }
    return {
        "images": images,
        "networks": {name: _error_or(each) for name, each in facts.networks.items()},
        "sources": {name: _error_or(each) for name, each in facts.sources.items()},
        "ranges": dataclasses.asdict(facts.ranges),
        "provisioners": provisioners,
        "secrets": dict(facts.secrets),
    }


def _error_or(found: object) -> Any:
    if not isinstance(found, DomainError):
        return found
    return {
        "error": found.message,
        "code": found.code,
        "is_conflict": isinstance(found, Conflict),
    }


def facts_of(written: Mapping[str, Any]) -> Facts:
    """Facts as they were before :func:`written`."""
    return Facts(
        images={
            (name, Driver(driver) if driver else None): _image(found)
            for name, driver, found in written["images"]
        },
        networks={
            name: found if isinstance(found, str) else _error(found, "networks")
            # Tasks from before an upgrade have none.
            for name, found in written.get("networks", {}).items()
        },
        sources={
            name: _error(found, "images") if "error" in found else dict(found)
            for name, found in written.get("sources", {}).items()
        },
        ranges=Ranges(**written.get("ranges", {})),
        provisioners={
            name: _provisioner(found) for name, found in written["provisioners"].items()
        },
        secrets=dict(written["secrets"]),
    )


_PROVISIONER = (
    "uuid",
    "name",
    "memory_mb",
    "cpus",
    "hdsize_gb",
    "image",
    "driver",
    "builder",
    "ref",
    "script",
    "executor",
    "tag",
    "depends",
    "variables",
)


def _provisioner(found: Mapping[str, Any]) -> Provisioner:
    fields = {**found, "depends": tuple(found.get("depends", ()))}
    if fields.get("driver"):
        fields["driver"] = Driver(fields["driver"])
    return Provisioner(**fields)


def _error(found: Mapping[str, Any], field: str) -> DomainError:
    kind = Conflict if found["is_conflict"] else Invalid
    return kind(found["error"], field=field, code=found["code"])


def _image(found: Mapping[str, Any]) -> ImageFacts | DomainError:
    if "error" in found:
        return _error(found, "image")
    fields = dict(found)
    if fields["driver"]:
        fields["driver"] = Driver(fields["driver"])
    # JSON has lists only; facts that were stored by an older release have none.
    fields["without"] = tuple(fields.get("without", ()))
    return ImageFacts(**fields)
