# SPDX-License-Identifier: Apache-2.0
"""Groups."""

from __future__ import annotations

from typing import Annotated, Any, Self

from nova_multi.api.schemas.base import (
    UNSET,
    Answer,
    Body,
    Change,
    ListQuery,
    Reference,
    name_of,
    named,
)
from nova_multi.api.schemas.refs import Username
from nova_multi.domain.names import Kind
from nova_multi.domain.user import Group

_Name = Annotated[Any, name_of(Kind.GROUP, 64)]
_Users = Annotated[Any, named("username", "login", "name")]


class GroupCreate(Body):
    """A new group."""

    name: _Name
    users: _Users = UNSET


class GroupChange(Change):
    """What is to change of a group; ``users`` are all that it is to have."""

    name: _Name = UNSET
    users: _Users = UNSET


class GroupAnswer(Answer):
    """A group."""

    uuid: str
    name: str
    users: list[Username]

    @classmethod
    def of(cls, value: Group) -> Self:
        return cls(
            uuid=value.uuid,
            name=value.name,
            users=[Username(username=name) for name in value.users],
        )


class GroupQuery(ListQuery):
    """Filters of a list of groups."""

    name: Reference = UNSET
    users: Reference = UNSET
