# SPDX-License-Identifier: Apache-2.0
"""Users."""

from __future__ import annotations

from nova_multi.osc import base
from nova_multi.osc.options import Field

_FIELDS = (
    Field("type", "What kind of user", choices=("regular", "system")),
    Field("login", "What the user logs in with"),
    Field("group", "Group to be in; repeat it for more", "groups", repeated=True),
)


class _Noun(base.Noun):
    noun = "user"
    plural = "users"
    key = "username"
    columns = ("uuid", "username", "type", "login", "groups")
    filters = ("username", "type", "login", "groups")
    create_fields = _FIELDS
    set_fields = (Field("username", "New name of the user"), *_FIELDS)


class CreateUser(_Noun, base.Create):
    """Create a user."""


class ListUser(_Noun, base.List):
    """List users."""


class ShowUser(_Noun, base.Show):
    """Show a user."""


class SetUser(_Noun, base.Set):
    """Change a user."""


class DeleteUser(_Noun, base.Delete):
    """Delete users."""
