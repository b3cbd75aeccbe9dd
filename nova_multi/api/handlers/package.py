# SPDX-License-Identifier: Apache-2.0
"""Packages in guests."""

from __future__ import annotations

from nova_multi.api.handlers.base import Call, Handler, Route
from nova_multi.api.schemas.base import InScope
from nova_multi.api.schemas.package import PackageList, PackagesNeeded
from nova_multi.provision.service import Accepted


def install(call: Call) -> Accepted:
    """``POST /packages/install_packages``."""
    body = call.body_as(PackageList)
    return call.service.packages.install(
        call.caller, body.packages, body.picks(), call.scope
    )


def upgrade(call: Call) -> Accepted:
    """``PUT /packages/upgrade_packages``."""
    body = call.body_as(PackageList)
    return call.service.packages.upgrade(
        call.caller, body.packages or (), body.picks(), call.scope
    )


def remove(call: Call) -> Accepted:
    """``POST /packages/remove_packages``."""
    body = call.body_as(PackageList)
    return call.service.packages.remove(
        call.caller, body.packages, body.picks(), call.scope
    )


def _route(method: str, path: str, verb: str, handler: Handler) -> Route:
    return Route(
        method,
        path,
        handler,
        f"{verb.capitalize()} packages in instances",
        f"multi:package:{verb}",
        body=PackageList if verb == "upgrade" else PackagesNeeded,
        query=InScope,
        verb=verb,
        accepts=True,
    )


ROUTES = [
    _route("POST", "/packages/install_packages", "install", install),
    _route("PUT", "/packages/upgrade_packages", "upgrade", upgrade),
    _route("POST", "/packages/remove_packages", "remove", remove),
    _route("POST", "/packages", "install", install),
    _route("PUT", "/packages", "upgrade", upgrade),
    _route("DELETE", "/packages", "remove", remove),
]
