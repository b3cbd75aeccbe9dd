# SPDX-License-Identifier: Apache-2.0
"""Users."""

from __future__ import annotations

from typing import Annotated, Any, Self

from nova_multi.api.schemas.base import (
    UNSET,
    Answer,
    Body,
    Change,
    Line,
    ListQuery,
    Names,
    Reference,
    Stamp,
    Time,
    name_of,
    stamp,
    word_of,
)
from nova_multi.api.schemas.refs import Named
from nova_multi.domain.errors import Invalid
from nova_multi.domain.names import Kind
from nova_multi.domain.user import User, UserType


def _type(text: Any) -> UserType:
    try:
        return UserType(text)
    except ValueError as error:
        raise Invalid(f"user type {text!r:.40} is unknown; {_KINDS}") from error


_KINDS = f"there are {', '.join(UserType)}"
_Type = Annotated[Any, word_of(_type, UserType)]
_Name = Annotated[Any, name_of(Kind.USER, 255)]


class UserCreate(Body):
    """A new user."""

    username: _Name
    type: _Type = UNSET
    login: Line = UNSET
    groups: Names = UNSET


class UserChange(Change):
    """What is to change of a user."""

    username: _Name = UNSET
    type: _Type = UNSET
    login: Line = UNSET
    groups: Names = UNSET


class UserAnswer(Answer):
    """A user."""

    uuid: str
    username: str
    type: UserType
    login: str
    groups: list[Named]
    created: Stamp | None
    modified: Time | None

    @classmethod
    def of(cls, value: User) -> Self:
        return cls(
            uuid=value.uuid,
            username=value.username,
            type=value.type,
            login=value.login or value.username,
            groups=[Named(name=name) for name in value.groups],
            created=stamp(value.created, value.created_by),
            modified=value.modified,
        )


class UserQuery(ListQuery):
    """Filters of a list of users."""

    username: Reference = UNSET
    type: _Type = UNSET
    login: Reference = UNSET
    groups: Reference = UNSET
