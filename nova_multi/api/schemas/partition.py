# SPDX-License-Identifier: Apache-2.0
"""Partitions."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from nova_multi.api.schemas.base import (
    UNSET,
    Answer,
    Body,
    Change,
    ListQuery,
    Reference,
    Stamp,
    Text,
    Time,
    name_of,
    stamp,
)
from nova_multi.api.schemas.limits import Limits, LimitsAnswer
from nova_multi.domain.names import Kind
from nova_multi.domain.partition import Partition

_Name = Annotated[Any, name_of(Kind.PARTITION)]


class PartitionCreate(Body):
    """A new partition."""

    name: _Name
    description: Text = UNSET
    limits: Limits = Field(
        UNSET, description="For all environments together; each needs its own then."
    )


class PartitionChange(Change):
    """What is to change of a partition."""

    name: _Name = UNSET
    description: Text = UNSET
    limits: Limits = Field(UNSET, description="In place of all that there were.")


class PartitionAnswer(Answer):
    """A partition and the names of its hosts."""

    uuid: str
    name: str
    description: str
    limits: LimitsAnswer
    hosts: list[str]
    created: Stamp | None
    modified: Time | None

    @classmethod
    def of(cls, value: Partition) -> Self:
        return cls(
            uuid=value.uuid,
            name=value.name,
            description=value.description,
            limits=LimitsAnswer.of(value.limits),
            hosts=list(value.hosts),
            created=stamp(value.created),
            modified=value.modified,
        )


class PartitionQuery(ListQuery):
    """Filters of a list of partitions."""

    name: Reference = UNSET
    description: Reference = UNSET
