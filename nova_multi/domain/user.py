# SPDX-License-Identifier: Apache-2.0
"""Users and groups, as Keystone keeps them."""

from __future__ import annotations

import dataclasses
import datetime
import enum


class UserType(enum.StrEnum):
    """``system`` users are services, ``regular`` ones people."""

    SYSTEM = "system"
    REGULAR = "regular"


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """A user.

    :ivar username: what people call them.
    :ivar login: what they log in with; the username unless told otherwise.
    :ivar created_by: user id of who made them; empty where that isn't known.
    """

    uuid: str
    username: str
    type: UserType = UserType.REGULAR
    login: str = ""
    groups: tuple[str, ...] = ()
    created: datetime.datetime | None = None
    created_by: str = ""
    modified: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """A group and the names of its users."""

    uuid: str
    name: str
    users: tuple[str, ...] = ()
