# SPDX-License-Identifier: Apache-2.0
"""Hosts."""

from nova_multi.api.handlers.base import Noun
from nova_multi.api.schemas import host
from nova_multi.api.schemas.base import ScopeQuery

ROUTES = Noun(
    noun="host",
    plural="hosts",
    collection=lambda service: service.hosts,
    create=host.HostCreate,
    change=host.HostChange,
    answer=host.HostAnswer,
    filters=host.HostQuery,
    query=ScopeQuery,
).routes()
