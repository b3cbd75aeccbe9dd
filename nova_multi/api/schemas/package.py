# SPDX-License-Identifier: Apache-2.0
"""Packages in guests."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from nova_multi.api.schemas.base import UNSET, Body, Names
from nova_multi.api.schemas.picks import Numbered, Tags
from nova_multi.provision.service import Pick


class PackageList(Body):
    """Packages, and the instances that they are for."""

    packages: Names = UNSET
    hosts: Numbered = UNSET
    instances: Numbered = Field(UNSET, description="Another word for ``hosts``.")
    tags: Tags = UNSET

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.picks():
            raise PydanticCustomError("no_instances", "hosts or tags must be given")
        return self

    def picks(self) -> tuple[Pick, ...]:
        """Which instances."""
        return (*(self.hosts or ()), *(self.instances or ()), *(self.tags or ()))


class PackagesNeeded(PackageList):
    """At least one package, and the instances that they are for."""

    packages: Names

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.packages:
            raise PydanticCustomError("no_packages", "packages must not be empty")
        return self
