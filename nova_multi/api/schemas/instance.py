# SPDX-License-Identifier: Apache-2.0
"""Instances, and what is done with several of them."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from nova_multi.api.schemas.base import (
    UNSET,
    Answer,
    Body,
    Change,
    Content,
    Count,
    CPUs,
    DriverWord,
    HostTypeWord,
    InScope,
    ListQuery,
    Names,
    PermissionsText,
    Read,
    Reference,
    SizeGB,
    SizeMB,
    Stamp,
    Text,
    Time,
    Variables,
    name_of,
    stamp,
)
from nova_multi.api.schemas.picks import Picks
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid
from nova_multi.domain.host import HostType
from nova_multi.domain.instance import Instance
from nova_multi.domain.names import Kind
from nova_multi.domain.publish import Publish, parse_all
from nova_multi.provision.service import Pick


def _publish(value: Any) -> tuple[Publish, ...]:
    if not isinstance(value, list):
        raise Invalid('publish must be a list such as ["8080:80"]')
    return tuple(parse_all(value))


#: 1 to 65535, for the document.
_PORT = (
    "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]"
    "|6553[0-5])"
)
_Name = Annotated[Any, name_of(Kind.INSTANCE)]
_Publish = Annotated[
    Any,
    Read(
        _publish,
        {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "string",
                "pattern": f"^({_PORT}:)?{_PORT}(/(tcp|udp))?$",
                "examples": ["8080:80", "80", "53:53/udp"],
            },
        },
    ),
]
#: Nova's limits of a tag.
_Tag = Annotated[
    str,
    StringConstraints(min_length=1, max_length=60, pattern=r"^[^,/\x00-\x1f\x7f]+$"),
]
_Tags = Annotated[list[_Tag], Field(max_length=40)]
_RENAMED = {
    "memory": "memory_mb",
    "hdsize": "disk_mb",
    "hdspace": "disk_mb",
    "enviroment": "environment",
}


class InstanceCreate(Body):
    """A new instance; amounts that are left out come from its provisioner."""

    RENAMED = _RENAMED

    name: _Name
    memory: SizeMB = UNSET
    cpus: CPUs = UNSET
    hdsize: SizeGB = UNSET
    hdspace: SizeGB = UNSET
    description: Text = UNSET
    environment: Reference = UNSET
    enviroment: Reference = Field(UNSET, description="VirtShell's spelling.")
    provisioner: Reference = UNSET
    host_type: HostTypeWord = UNSET
    driver: DriverWord = UNSET
    permissions: PermissionsText = UNSET
    publish: _Publish = UNSET
    node: Reference = Field(UNSET, description="Host; an administrator may name it.")
    count: Count = UNSET
    networks: Names = UNSET
    variables: Variables = UNSET
    tags: _Tags = UNSET

    @model_validator(mode="after")
    def _each_port_once(self) -> Self:
        taken = [port for port in self.publish or () if port.outside is not None]
        if taken and (self.count or 1) > 1:
            raise PydanticCustomError(
                "publish_count",
                "publish: {ports} can't be published for {count} instances: leave the"
                " outside numbers out",
                {"ports": ", ".join(map(str, taken)), "count": self.count},
            )
        return self


class InstanceChange(Change):
    """What is to change of an instance; lists are all that it is to have."""

    RENAMED = _RENAMED
    FIXED = frozenset(
        {
            "environment",
            "enviroment",
            "provisioner",
            "host_type",
            "driver",
            "node",
            "count",
            "networks",
        }
    )

    name: _Name = UNSET
    memory: SizeMB = UNSET
    cpus: CPUs = UNSET
    hdsize: SizeGB = UNSET
    hdspace: SizeGB = UNSET
    description: Text = UNSET
    permissions: PermissionsText = UNSET
    publish: _Publish = UNSET
    variables: Variables = UNSET
    tags: _Tags = UNSET


class InstanceClone(Body):
    """How the new instance differs from the old one."""

    name: _Name = UNSET


class InstanceAnswer(Answer):
    """An instance; memory is in MB."""

    uuid: str
    name: str
    environment: str
    description: str
    memory: int
    cpus: int
    hdsize: str
    provisioner: str
    host_type: HostType | None
    driver: Driver | None
    permissions: str
    publish: list[str]
    networks: list[str]
    variables: dict[str, str]
    tags: list[str]
    status: str
    addresses: list[str]
    host: str
    published: list[str]
    outputs: dict[str, Any]
    created: Stamp | None
    modified: Time | None

    @classmethod
    def of(cls, value: Instance) -> Self:
        return cls(
            uuid=value.uuid,
            name=value.name,
            environment=value.environment,
            description=value.description,
            memory=value.memory_mb,
            cpus=value.cpus,
            hdsize=f"{value.disk_gb}GB",
            provisioner=value.provisioner,
            host_type=value.host_type,
            driver=value.driver,
            permissions=str(value.permissions),
            publish=[str(port) for port in value.publish],
            networks=list(value.networks),
            variables=dict(value.variables),
            tags=list(value.tags),
            status=value.status,
            addresses=list(value.addresses),
            host=value.host,
            published=[str(port) for port in value.published],
            outputs=dict(value.outputs),
            created=stamp(value.created, value.owner_id),
            modified=value.modified,
        )


class InstanceQuery(ListQuery, InScope):
    """Filters of a list of instances."""

    name: Reference = UNSET
    provisioner: Reference = UNSET
    driver: DriverWord = UNSET
    host_type: HostTypeWord = UNSET
    status: Reference = UNSET
    host: Reference = UNSET
    tag: Reference = UNSET


class Execute(Body):
    """A command for some instances."""

    command: Annotated[Content, StringConstraints(min_length=1)]
    instances: Picks

    def picks(self) -> tuple[Pick, ...]:
        """Which instances."""
        picks: tuple[Pick, ...] = self.instances
        return picks


class Copy(Body):
    """A file, or all files of a folder, for some instances."""

    RENAMED = {"uuid_file": "file", "file_uuid": "file"}

    file: Reference = UNSET
    uuid_file: Reference = Field(UNSET, description="VirtShell's name of ``file``.")
    folder_name: Reference = UNSET
    destination: Annotated[
        str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")
    ]
    instances: Picks

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if len(self.source()) != 1:
            raise PydanticCustomError(
                "source", "either file or folder_name must be given"
            )
        return self

    def source(self) -> dict[str, Any]:
        """``file`` or ``folder_name``."""
        fields = self.fields()
        return {
            name: fields[name] for name in ("file", "folder_name") if name in fields
        }

    def picks(self) -> tuple[Pick, ...]:
        """Which instances."""
        picks: tuple[Pick, ...] = self.instances
        return picks
