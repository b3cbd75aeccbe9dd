# SPDX-License-Identifier: Apache-2.0
"""Environments, and what is to stand in them."""

from __future__ import annotations

from collections.abc import Sequence

from nova_multi.api.handlers.base import Call, Noun, Route
from nova_multi.api.schemas import environment
from nova_multi.api.schemas.base import Data, InScope
from nova_multi.api.schemas.host import HostAnswer
from nova_multi.api.schemas.partition import PartitionAnswer
from nova_multi.domain.environment import Environment
from nova_multi.domain.host import Host
from nova_multi.domain.partition import Partition
from nova_multi.domain.plan import Plan
from nova_multi.domain.usage import Usage
from nova_multi.provision.service import Accepted, Fields


def hosts(call: Call) -> Sequence[Host]:
    """``GET /environments/{name}/hosts``."""
    return call.service.environments.hosts(call.caller, call.name, call.scope)


def partition(call: Call) -> Partition:
    """``GET /environments/{name}/partition``."""
    return call.service.environments.partition(call.caller, call.name, call.scope)


def plan(call: Call) -> Plan:
    """``POST /environments/plan``."""
    fields = call.body.fields()
    return call.service.environments.plan(call.caller, fields, call.scope)


def define(call: Call) -> Environment:
    """``PUT /environments/{name}/definition``."""
    return call.service.environments.define(
        call.caller, call.name, call.body.fields(), call.scope
    )


def apply(call: Call) -> Accepted:
    """``POST /environments/{name}/apply``."""
    return call.service.environments.apply(
        call.caller, call.name, call.body.fields(), call.scope
    )


def destroy(call: Call) -> Accepted:
    """``POST /environments/{name}/destroy``."""
    return call.service.environments.destroy(
        call.caller, call.name, call.body.fields(), call.scope
    )


def outputs(call: Call) -> Fields:
    """``GET /environments/{name}/outputs``."""
    return call.service.environments.outputs(call.caller, call.name, call.scope)


def usage(call: Call) -> Usage:
    """``GET /environments/{name}/usage``."""
    query = call.query
    assert isinstance(query, environment.UsageQuery)
    return call.service.environments.usage(
        call.caller, call.name, call.scope, query.begin, query.end
    )


ROUTES = [
    *Noun(
        noun="environment",
        plural="environments",
        collection=lambda service: service.environments,
        create=environment.EnvironmentCreate,
        change=environment.EnvironmentChange,
        answer=environment.EnvironmentAnswer,
        filters=environment.EnvironmentQuery,
        field_policies={
            "limits": "multi:environment:limits",
            "users": "multi:environment:users",
        },
    ).routes(),
    Route(
        "GET",
        "/environments/{name}/hosts",
        hosts,
        "List the hosts that an environment may use",
        "multi:environment:hosts",
        query=InScope,
        answer=HostAnswer,
        plural="hosts",
    ),
    Route(
        "GET",
        "/environments/{name}/partition",
        partition,
        "Show the partition of an environment",
        "multi:environment:partition",
        query=InScope,
        answer=PartitionAnswer,
    ),
    Route(
        "POST",
        "/environments/plan",
        plan,
        "Tell what applying a definition would do",
        "multi:environment:plan",
        body=environment.Definition,
        query=InScope,
        answer=environment.PlanAnswer,
    ),
    Route(
        "PUT",
        "/environments/{name}/definition",
        define,
        "Store what is to stand in an environment",
        "multi:environment:define",
        body=environment.Definition,
        query=InScope,
        answer=environment.EnvironmentAnswer,
    ),
    Route(
        "POST",
        "/environments/{name}/apply",
        apply,
        "Make an environment as its definition says",
        "multi:environment:apply",
        body=environment.Apply,
        query=InScope,
        verb="apply",
        accepts=True,
    ),
    Route(
        "POST",
        "/environments/{name}/destroy",
        destroy,
        "Delete what stands in an environment",
        "multi:environment:destroy",
        body=environment.Destroy,
        query=InScope,
        verb="destroy",
        accepts=True,
    ),
    Route(
        "GET",
        "/environments/{name}/outputs",
        outputs,
        "Show the outputs of a definition",
        "multi:environment:outputs",
        query=InScope,
        answer=Data,
    ),
    Route(
        "GET",
        "/environments/{name}/usage",
        usage,
        "Show what an environment has used",
        "multi:environment:usage",
        query=environment.UsageQuery,
        answer=environment.UsageAnswer,
    ),
]
