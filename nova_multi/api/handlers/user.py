# SPDX-License-Identifier: Apache-2.0
"""Users."""

from nova_multi.api.handlers.base import Noun
from nova_multi.api.schemas import user
from nova_multi.api.schemas.base import ScopeQuery

ROUTES = Noun(
    noun="user",
    plural="users",
    collection=lambda service: service.users,
    create=user.UserCreate,
    change=user.UserChange,
    answer=user.UserAnswer,
    filters=user.UserQuery,
    query=ScopeQuery,
).routes()
