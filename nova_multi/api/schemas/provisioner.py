# SPDX-License-Identifier: Apache-2.0
"""Provisioners."""

from __future__ import annotations

from typing import Annotated, Any, Self

from nova_multi.api.schemas.base import (
    UNSET,
    URL,
    Answer,
    Body,
    Change,
    Content,
    Count,
    CPUs,
    DriverWord,
    InScope,
    Line,
    ListQuery,
    PermissionsText,
    Read,
    Reference,
    Seconds,
    SizeGB,
    Stamp,
    Text,
    Time,
    Variables,
    name_of,
    stamp,
)
from nova_multi.api.schemas.refs import ProvisionerName
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid
from nova_multi.domain.names import Kind
from nova_multi.domain.provisioner import Provisioner
from nova_multi.domain.sizes import whole_gb


def _depends(value: Any) -> tuple[str, ...]:
    names = []
    for item in value if isinstance(value, list) else [None]:
        match item:
            case {"provisioner_name": str(name), **rest} if 0 < len(name) <= 255:
                pass
            case _:
                rest = {"wrong": item}
        if rest:
            raise Invalid('depends must be a list of {"provisioner_name": ...}')
        names.append(name)
    return tuple(names)


_Name = Annotated[Any, name_of(Kind.PROVISIONER)]
_Depends = Annotated[
    Any,
    Read(
        _depends,
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "provisioner_name": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 255,
                    }
                },
                "required": ["provisioner_name"],
                "additionalProperties": False,
            },
        },
    ),
]


class _Fields(Body):
    RENAMED = {"memory": "memory_mb", "hdsize": "hdsize_gb"}

    def fields(self) -> dict[str, Any]:
        found = super().fields()
        if found.get("hdsize_gb") is not None:  # flavors count whole GB
            found["hdsize_gb"] = whole_gb(found["hdsize_gb"])
        return found


class ProvisionerCreate(_Fields):
    """A new provisioner: a builder with an executor, or a script, or an image only.

    With a script, the executor is a command that the script's file is given to.
    """

    name: _Name
    description: Text = UNSET
    launch: Count = UNSET
    memory: SizeGB = UNSET
    cpus: CPUs = UNSET
    hdsize: SizeGB = UNSET
    image: Reference = UNSET
    driver: DriverWord = UNSET
    builder: URL = UNSET
    ref: Line = UNSET
    script: Content = UNSET
    executor: Line = UNSET
    timeout: Seconds = UNSET
    tag: Line = UNSET
    depends: _Depends = UNSET
    variables: Variables = UNSET
    permissions: PermissionsText = UNSET


class ProvisionerChange(_Fields, Change):
    """What is to change of a provisioner; null takes a number or a driver away."""

    name: _Name = UNSET
    description: Text = UNSET
    launch: Count = UNSET
    memory: SizeGB | None = UNSET
    cpus: CPUs | None = UNSET
    hdsize: SizeGB | None = UNSET
    image: Reference = UNSET
    driver: DriverWord | None = UNSET
    builder: URL = UNSET
    ref: Line = UNSET
    script: Content = UNSET
    executor: Line = UNSET
    timeout: Seconds | None = UNSET
    tag: Line = UNSET
    depends: _Depends = UNSET
    variables: Variables = UNSET
    permissions: PermissionsText = UNSET


class ProvisionerAnswer(Answer):
    """A provisioner; memory and hdsize are in GB, timeout in seconds."""

    uuid: str
    name: str
    description: str
    launch: int
    memory: int | float | None
    cpus: int | None
    hdsize: int | None
    image: str
    driver: Driver | None
    builder: str
    ref: str
    script: str
    executor: str
    timeout: int | None
    tag: str
    depends: list[ProvisionerName]
    variables: dict[str, str]
    permissions: str
    created: Stamp | None
    modified: Time | None

    @classmethod
    def of(cls, value: Provisioner) -> Self:
        return cls(
            uuid=value.uuid,
            name=value.name,
            description=value.description,
            launch=value.launch,
            memory=_gb(value.memory_mb),
            cpus=value.cpus,
            hdsize=value.hdsize_gb,
            image=value.image,
            driver=value.driver,
            builder=value.builder,
            ref=value.ref,
            script=value.script,
            executor=value.executor,
            timeout=value.timeout,
            tag=value.tag,
            depends=[ProvisionerName(provisioner_name=name) for name in value.depends],
            variables=dict(value.variables),
            permissions=str(value.permissions),
            created=stamp(value.created, value.owner_id),
            modified=value.modified,
        )


def _gb(mb: int | None) -> int | float | None:
    if mb is None:
        return None
    return mb // 1024 if mb % 1024 == 0 else mb / 1024


class ProvisionerQuery(ListQuery, InScope):
    """Filters of a list of provisioners."""

    name: Reference = UNSET
    description: Reference = UNSET
    builder: Reference = UNSET
    image: Reference = UNSET
    driver: DriverWord = UNSET
    tag: Reference = UNSET
