# SPDX-License-Identifier: Apache-2.0
"""Limits of partitions and environments."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from nova_multi.api.schemas.base import UNSET, Answer, Part, SizeMB
from nova_multi.domain import partition

_Amount = Annotated[int, Field(ge=1, le=1_000_000)]


class Limits(Part):
    """What may be used at most; what is left out has no limit."""

    instances: _Amount = UNSET
    cpus: _Amount = UNSET
    memory: SizeMB = UNSET

    def value(self) -> partition.Limits:
        """The limits."""
        return partition.Limits(self.instances, self.cpus, self.memory)


class LimitsAnswer(Answer):
    """What may be used at most, memory in MB; null is no limit."""

    instances: int | None
    cpus: int | None
    memory: int | None

    @classmethod
    def of(cls, value: partition.Limits) -> Self:
        return cls(instances=value.instances, cpus=value.cpus, memory=value.memory_mb)
