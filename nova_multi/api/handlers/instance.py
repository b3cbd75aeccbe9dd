# SPDX-License-Identifier: Apache-2.0
"""Instances, and what is done with them."""

from __future__ import annotations

from nova_multi.api.handlers.base import Call, Handler, Noun, Route
from nova_multi.api.schemas import instance
from nova_multi.api.schemas.base import Body, InScope, Nothing
from nova_multi.provision.service import Accepted


def start(call: Call) -> Accepted:
    """``/instances/start_instance/{name}``."""
    return call.service.instances.start(call.caller, call.name, call.scope)


def stop(call: Call) -> Accepted:
    """``/instances/stop_instance/{name}``."""
    return call.service.instances.stop(call.caller, call.name, call.scope)


def restart(call: Call) -> Accepted:
    """``/instances/restart_instance/{name}``."""
    return call.service.instances.restart(call.caller, call.name, call.scope)


def clone(call: Call) -> Accepted:
    """``/instances/clone_instance/{name}``."""
    return call.service.instances.clone(
        call.caller, call.name, call.body.fields(), call.scope
    )


def execute(call: Call) -> Accepted:
    """``POST /instances/execute_command``."""
    body = call.body_as(instance.Execute)
    return call.service.instances.execute(
        call.caller, body.command, body.picks(), call.scope
    )


def copy(call: Call) -> Accepted:
    """``POST /instances/copy_files``."""
    body = call.body_as(instance.Copy)
    return call.service.instances.copy(
        call.caller, body.source(), body.destination, body.picks(), call.scope
    )


def _action(
    method: str, verb: str, handler: Handler, body: type[Body] = Nothing
) -> Route:
    return Route(
        method,
        f"/instances/{verb}_instance/{{name}}",
        handler,
        f"{verb.capitalize()} an instance",
        f"multi:instance:{verb}",
        body=body,
        query=InScope,
        verb=verb,
        accepts=True,
    )


ROUTES = [
    *Noun(
        noun="instance",
        plural="instances",
        collection=lambda service: service.instances,
        create=instance.InstanceCreate,
        change=instance.InstanceChange,
        answer=instance.InstanceAnswer,
        filters=instance.InstanceQuery,
        field_policies={"node": "multi:instance:node"},
    ).routes(),
    *(
        route
        for method in ("POST", "PUT")
        for route in (
            _action(method, "start", start),
            _action(method, "stop", stop),
            _action(method, "restart", restart),
            _action(method, "clone", clone, instance.InstanceClone),
        )
    ),
    Route(
        "POST",
        "/instances/execute_command",
        execute,
        "Run a command in instances",
        "multi:instance:execute",
        body=instance.Execute,
        query=InScope,
        verb="execute",
        accepts=True,
    ),
    Route(
        "POST",
        "/instances/copy_files",
        copy,
        "Copy files into instances",
        "multi:instance:copy",
        body=instance.Copy,
        query=InScope,
        verb="copy",
        accepts=True,
    ),
]
