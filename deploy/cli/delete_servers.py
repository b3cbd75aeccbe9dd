# SPDX-License-Identifier: Apache-2.0
"""Deletes all servers of the cloud through Nova, so that the engines are empty.

Runs with the Python of OpenStack's venv, for openstacksdk.
"""

from __future__ import annotations

import sys
import time

import keystoneauth1.exceptions
import openstack
import openstack.exceptions

_CLOUD = "nova-multi-admin"
# Seconds for an API to answer at all, and for all servers to go.
_API_TIMEOUT = 20
_TIMEOUT = 120


def main() -> int:
    cloud = openstack.connect(cloud=_CLOUD, api_timeout=_API_TIMEOUT)
    try:
        return _delete_all(cloud)
    except (
        keystoneauth1.exceptions.ClientException,
        openstack.exceptions.SDKException,
    ) as error:
        print(error)
        return 1


def _delete_all(cloud: openstack.connection.Connection) -> int:
    servers = list(cloud.compute.servers(all_projects=True))
    for server in servers:
        cloud.compute.delete_server(server)
    deadline = time.monotonic() + _TIMEOUT
    left = servers
    while left and time.monotonic() < deadline:
        time.sleep(1)
        left = list(cloud.compute.servers(all_projects=True))
    print(f"{len(servers) - len(left)} servers deleted")
    for server in left:
        print(f"still there: {server.name} ({server.id})")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
