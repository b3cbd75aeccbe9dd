# SPDX-License-Identifier: Apache-2.0
"""Groups of users."""

from nova_multi.api.handlers.base import Noun
from nova_multi.api.schemas import group
from nova_multi.api.schemas.base import ScopeQuery

ROUTES = Noun(
    noun="group",
    plural="groups",
    collection=lambda service: service.groups,
    create=group.GroupCreate,
    change=group.GroupChange,
    answer=group.GroupAnswer,
    filters=group.GroupQuery,
    query=ScopeQuery,
).routes()
