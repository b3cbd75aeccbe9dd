# SPDX-License-Identifier: Apache-2.0
"""Properties of guests."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from nova_multi.api.schemas.base import UNSET, Body, InScope, Names, Reference
from nova_multi.api.schemas.picks import Numbered, Tags, pick_pattern, pick_tag
from nova_multi.domain.errors import DomainError, Invalid
from nova_multi.provision.service import Pick


class PropertyList(Body):
    """Names of properties, and the instances that are asked."""

    properties: Names = UNSET
    hosts: Numbered = UNSET
    instances: Numbered = Field(UNSET, description="Another word for ``hosts``.")
    tags: Tags = UNSET
    tag: Tags = Field(UNSET, description="Another word for ``tags``.")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.picks():
            raise PydanticCustomError("no_instances", "hosts or tags must be given")
        return self

    def picks(self) -> tuple[Pick, ...]:
        """Which instances."""
        lists = (self.hosts, self.instances, self.tags, self.tag)
        return tuple(pick for picks in lists for pick in picks or ())


class PropertyQuery(InScope):
    """The same in an address: lists with commas."""

    properties: Reference = UNSET
    hosts: Reference = UNSET
    tags: Reference = UNSET

    def picks(self) -> tuple[Pick, ...]:
        """Which instances.

        :raises Invalid: none at all, or a name that can be none.
        """
        given = self.given()
        try:
            found = (
                *map(pick_pattern, _split(given.get("hosts"))),
                *map(pick_tag, _split(given.get("tags"))),
            )
        except DomainError as error:
            raise Invalid(error.message, field="hosts") from error
        if not found:
            raise Invalid("hosts or tags must be given", field="hosts")
        return found

    def names(self) -> tuple[str, ...]:
        """Which properties; none means all."""
        return tuple(_split(self.given().get("properties")))


def _split(text: Any) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
