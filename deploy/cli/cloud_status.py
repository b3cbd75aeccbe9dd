# SPDX-License-Identifier: Apache-2.0
"""What the cloud says about itself, as JSON: for deploy/status.

Runs with the Python of OpenStack's venv, for openstacksdk. Arguments: the names of
the hosts whose computes are expected. Prints a list of [subject, fault or null, what
was found].
"""

from __future__ import annotations

import concurrent.futures
import json
import sys
from collections.abc import Callable, Iterator

import keystoneauth1.exceptions
import openstack
import openstack.exceptions

_CLOUD = "nova-multi-admin"
_API_TIMEOUT = 10

Row = tuple[str, str | None, str]


def main(hosts: list[str]) -> int:
    cloud = openstack.connect(cloud=_CLOUD, api_timeout=_API_TIMEOUT)
    try:
        cloud.authorize()
    except _ERRORS as error:
        print(json.dumps([("identity", f"no token: {error}", "")]))
        return 0
    checks: dict[str, Callable[[], Iterator[Row]]] = {
        "nova": lambda: _computes(cloud, hosts),
        "nova services": lambda: _controls(cloud),
        "neutron": lambda: _agents(cloud),
        "glance": lambda: _images(cloud),
        "placement": lambda: _providers(cloud),
        "provisioning": lambda: _provisioning(cloud),
    }
    with concurrent.futures.ThreadPoolExecutor(len(checks)) as pool:
        tasks = {
            subject: pool.submit(lambda check=check: list(check()))
            for subject, check in checks.items()
        }
        rows: list[Row] = []
        for subject, task in tasks.items():
            try:
                rows += task.result()
            except _ERRORS as error:
                rows.append((subject, str(error), ""))
    print(json.dumps(rows))
    return 0


_ERRORS = (
    keystoneauth1.exceptions.ClientException,
    openstack.exceptions.SDKException,
)


def _computes(
    cloud: openstack.connection.Connection, hosts: list[str]
) -> Iterator[Row]:
    services = {
        service.host: service
        for service in cloud.compute.services(binary="nova-compute")
    }
    hypervisors = {
        (hypervisor.service_details or {}).get("host"): hypervisor
        for hypervisor in cloud.compute.hypervisors(details=True)
    }
    for host in hosts:
        subject = f"compute {host}"
        service, hypervisor = services.get(host), hypervisors.get(host)
        if service is None:
            yield subject, "Nova does not know it", ""
        elif service.state != "up":
            yield subject, f"is {service.state} since {service.updated_at}", ""
        elif (service.disabled_reason or "").startswith("AUTO:"):
            # Disabled by itself: its engine is away. What an operator disabled is fine.
            yield subject, f"is disabled: {service.disabled_reason}", ""
        elif hypervisor is None:
            yield subject, "is up, but lists no hypervisor", ""
        else:
            kind = hypervisor.hypervisor_type
            yield subject, None, f"up, {service.status}; hypervisor {kind}"


def _controls(cloud: openstack.connection.Connection) -> Iterator[Row]:
    states: dict[str, list[str]] = {"nova-conductor": [], "nova-scheduler": []}
    for service in cloud.compute.services():
        if service.binary in states:
            states[service.binary].append(service.state)
    for binary, found in states.items():
        fault = None if "up" in found else "Nova sees none that is up"
        yield binary, fault, f"{found.count('up')} up"


def _agents(cloud: openstack.connection.Connection) -> Iterator[Row]:
    agents = list(cloud.network.agents())
    if not agents:
        yield "network agents", "Neutron sees no chassis", ""
    for agent in agents:
        fault = None if agent.is_alive else "Neutron sees no sign of life"
        yield f"{agent.agent_type} {agent.host}", fault, "alive"


def _images(cloud: openstack.connection.Connection) -> Iterator[Row]:
    count = sum(1 for _ in cloud.image.images(limit=100))
    yield "images", None, f"{count} in Glance"


def _providers(cloud: openstack.connection.Connection) -> Iterator[Row]:
    count = sum(1 for _ in cloud.placement.resource_providers())
    yield "resource providers", None, f"{count} in Placement"


def _provisioning(cloud: openstack.connection.Connection) -> Iterator[Row]:
    """What the provisioning service found of all that it needs."""
    where = {"service_type": "provisioning", "interface": "internal"}
    if cloud.session.get_endpoint(**where) is None:
        return  # not deployed here
    answer = cloud.session.get(
        "/healthcheck",
        endpoint_filter=where,
        authenticated=False,
        raise_exc=False,
        timeout=_API_TIMEOUT,
    )
    try:
        backends = answer.json()["backends"]
    except (ValueError, KeyError):
        yield "provisioning", f"its health check answers {answer.status_code}", ""
        return
    faults = [
        f"{backend['name']}: {backend['message']}"
        for backend in backends
        if not backend["healthy"]
    ]
    names = ", ".join(backend["name"] for backend in backends)
    yield "provisioning", "; ".join(faults) or None, f"reaches {names}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
