# SPDX-License-Identifier: Apache-2.0
"""The command line; called by tools/audit.

It looks at this node and at the whole cloud's ports and allocations. Servers that are
being made or deleted meanwhile may be listed: ask again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import openstack
from keystoneauth1 import exceptions as auth_exceptions
from openstack import exceptions as sdk_exceptions

from audit import findings, node
from audit.findings import Found, Owners

PLACEMENT_MICROVERSION = "1.36"
#: Seconds between two looks.
PAUSE = 3


def main() -> int:
    """Print orphans, one in a line.

    :returns: 0 if there are none, 1 if there are, 2 if not everything could be seen.
    """
    parser = argparse.ArgumentParser(
        prog="audit", description="List what belongs to no server; exit 1 if any."
    )
    parser.add_argument(
        "--cloud",
        default="nova-multi-admin",
        help="an administrator's entry of clouds.yaml (default: %(default)s)",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0,
        metavar="SECONDS",
        help="look again for so long while there are some: deletions take a while",
    )
    parser.add_argument(
        "--known",
        type=argparse.FileType(),
        metavar="FILE",
        help="what an earlier look has printed, and this one leaves out",
    )
    arguments = parser.parse_args()
    known = set(arguments.known.read().splitlines()) if arguments.known else set()
    try:
        cloud = openstack.connect(cloud=arguments.cloud)
        orphans = last_look(
            lambda: [each for each in _orphans(cloud) if each not in known],
            arguments.wait,
        )
    except (
        node.AuditError,
        OSError,
        sdk_exceptions.SDKException,
        auth_exceptions.ClientException,
    ) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    for orphan in orphans:
        print(orphan)
    return 1 if orphans else 0


def last_look(look: Callable[[], list[str]], seconds: float) -> list[str]:
    """What there is, after looking until there is nothing or the time is over."""
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return found


def _orphans(cloud: Any) -> Iterator[str]:
    # The things first: a server that is made afterwards has none of them.
    things = [*node.guests(), *node.folders(), *_allocations(cloud)]
    interfaces, switch_ports = node.interfaces(), node.switch_ports()
    ports = list(cloud.network.ports())
    owners = Owners(
        frozenset(server.id for server in cloud.compute.servers(all_projects=True)),
        {port.id: port.device_id or "" for port in ports},
        frozenset(network.id for network in cloud.network.networks()),
    )
    for thing in findings.without_server(things, owners):
        yield f"{thing.kind} {thing.name}: no server {thing.owner}"
    for name in findings.interfaces_without_port(interfaces, owners):
        yield f"interface {name}: no such port"
    for name in findings.interfaces_without_port(switch_ports, owners):
        yield f"port {name} of the switch: no such port in Neutron"
    device_owners = {port.id: port.device_owner or "" for port in ports}
    for name in findings.ports_without_server(device_owners, owners):
        yield f"Neutron port {name}: no server {owners.ports[name]}"
    for path in node.stale_staging():
        yield f"staging file {path}: nothing writes it any more"


def _allocations(cloud: Any) -> Iterator[Found]:
    """Consumers of Placement; with a cloud of ours all of them are servers."""
    placement = cloud.placement
    for provider in placement.resource_providers():
        response = placement.get(
            f"/resource_providers/{provider.id}/allocations",
            microversion=PLACEMENT_MICROVERSION,
        )
        sdk_exceptions.raise_from_response(response)
        for consumer in response.json()["allocations"]:
            yield Found("allocation", f"on {provider.name}", consumer)


if __name__ == "__main__":
    sys.exit(main())
