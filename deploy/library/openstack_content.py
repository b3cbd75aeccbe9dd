# SPDX-License-Identifier: Apache-2.0
"""What the cloud offers from the start: networks, flavors, aggregates, a key pair."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import backend, paths, processes

DOCUMENTATION = r"""
module: openstack_content
short_description: Networks, flavors, aggregates and a key pair in OpenStack
description:
  - Each is looked up through OpenStack's APIs, and made only where it is missing.
    What is there with another content is mended where the API allows it.
  - Sections that are not given are left alone.
  - Runs with a Python that has openstacksdk, and reads clouds.yaml.
options:
  admin: {description: The administrator's cloud in clouds.yaml, required: true}
  member: {description: The ordinary member's cloud, whose project gets a network.}
  external: {description: name, physical_network, cidr, gateway, pool, type: dict}
  private: {description: name, cidr, router and dns_servers, type: dict}
  open_ports: {description: TCP ports of the member's default group, type: list}
  key_pair: {description: name and path of the private key, type: dict}
  flavors: {description: name, ram (MiB), vcpus, disk (GiB), type: list}
  computes:
    description: >-
      hosts whose computes must be up and mapped; seconds to wait; the command
      (argv, user) that maps new hosts.
    type: dict
  aggregates: {description: name, hosts and metadata, type: list}
"""

try:
    import openstack
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from keystoneauth1 import exceptions as auth_exceptions
    from openstack import exceptions as sdk_exceptions
except ImportError:  # reported by main(): a module must be importable to be documented
    openstack = None

# Seconds for the command that maps new hosts: it starts a Python with all of Nova.
DISCOVER_TIMEOUT = 120
POLL_SECONDS = 0.5
#: A compute's name for itself, in its configuration.
HOST = re.compile(r"^host *= *(\S+)$", re.MULTILINE)

Changes = Iterator[str]


class ContentError(Exception):
    """The cloud can't be given what is wanted; the message says what and why."""


def _differing(present: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """Those attributes of a resource that are not as wanted."""
    return {
        key: value for key, value in wanted.items() if getattr(present, key) != value
    }


# -- networks ------------------------------------------------------------------


def external_network(admin: Any, wanted: dict[str, Any]) -> Changes:
    """The provider network that floating addresses come from."""
    network = admin.network.find_network(wanted["name"])
    if network is None:
        network = admin.network.create_network(
            name=wanted["name"],
            is_router_external=True,
            provider_network_type="flat",
            provider_physical_network=wanted["physical_network"],
        )
        yield f"network {wanted['name']}"
    if not list(admin.network.subnets(network_id=network.id, cidr=wanted["cidr"])):
        start, end = wanted["pool"]
        admin.network.create_subnet(
            name=wanted["name"],
            network_id=network.id,
            ip_version=4,
            cidr=wanted["cidr"],
            gateway_ip=wanted["gateway"],
            allocation_pools=[{"start": start, "end": end}],
            is_dhcp_enabled=False,
        )
        yield f"subnet {wanted['cidr']}"


def private_network(
    member: Any, project_id: str, wanted: dict[str, Any], external: str | None
) -> Changes:
    """The project's own network, and its router to the outside."""
    name = wanted["name"]
    network = member.network.find_network(name, project_id=project_id)
    if network is None:
        network = member.network.create_network(name=name)
        yield f"network {name}"
    subnets = list(member.network.subnets(network_id=network.id, cidr=wanted["cidr"]))
    if subnets:
        subnet = subnets[0]
        dns = {"dns_nameservers": list(wanted["dns_servers"])}
        if _differing(subnet, dns):
            member.network.update_subnet(subnet, **dns)
            yield f"name servers of {name}"
    else:
        subnet = member.network.create_subnet(
            name=name,
            network_id=network.id,
            ip_version=4,
            cidr=wanted["cidr"],
            dns_nameservers=wanted["dns_servers"],
        )
        yield f"subnet {wanted['cidr']}"
    router = member.network.find_router(wanted["router"], project_id=project_id)
    if router is None:
        router = member.network.create_router(name=wanted["router"])
        yield f"router {wanted['router']}"
    if external and not router.external_gateway_info:
        outside = member.network.find_network(external, ignore_missing=False)
        member.network.update_router(
            router, external_gateway_info={"network_id": outside.id}
        )
        yield f"gateway of {wanted['router']}"
    ports = member.network.ports(network_id=network.id, device_id=router.id)
    if not list(ports):
        member.network.add_interface_to_router(router, subnet_id=subnet.id)
        yield f"interface of {wanted['router']} on {name}"


def security_rules(member: Any, project_id: str, open_ports: list[int]) -> Changes:
    """Let in echo requests, and TCP to some ports, at the default group."""
    group = next(member.network.security_groups(name="default", project_id=project_id))
    present = {
        (rule["protocol"], rule["port_range_min"], rule["port_range_max"])
        for rule in group.security_group_rules
        if rule["direction"] == "ingress"
        and rule["ethertype"] == "IPv4"
        and not rule["remote_group_id"]
    }
    wanted: list[tuple[str, int | None]] = [("icmp", None)]
    wanted += [("tcp", int(port)) for port in open_ports]
    for protocol, port in wanted:
        if (protocol, port, port) not in present:
            member.network.create_security_group_rule(
                security_group_id=group.id,
                direction="ingress",
                ether_type="IPv4",
                protocol=protocol,
                port_range_min=port,
                port_range_max=port,
            )
            yield f"security rule {protocol} {port or ''}".rstrip()


# -- compute -------------------------------------------------------------------


def key_pair(member: Any, wanted: dict[str, Any]) -> Changes:
    """The member's key pair, made from a private key that is kept on this machine."""
    path = Path(wanted["path"])
    if not path.exists():
        _write_private_key(path)
        yield f"private key {path}"
    key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    present = member.compute.find_keypair(wanted["name"])
    if (
        present is not None
        and present.public_key.split()[:2] != public.decode().split()
    ):
        member.compute.delete_keypair(present)
        present = None
    if present is None:
        member.compute.create_keypair(
            name=wanted["name"], type="ssh", public_key=public.decode()
        )
        yield f"key pair {wanted['name']}"


def _write_private_key(path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
        file.write(key)
    new.replace(path)


def flavors(admin: Any, wanted: list[dict[str, Any]]) -> Changes:
    present = {flavor.name: flavor for flavor in admin.compute.flavors()}
    for flavor in wanted:
        size = {key: int(flavor[key]) for key in ("ram", "vcpus", "disk")}
        known = present.get(flavor["name"])
        if known is not None and not _differing(known, size):
            continue
        if known is not None:
            # A flavor's size can't be changed; servers keep a copy of what they have.
            admin.compute.delete_flavor(known)
        admin.compute.create_flavor(name=flavor["name"], **size)
        yield f"flavor {flavor['name']}"


def computes(admin: Any, wanted: dict[str, Any]) -> Changes:
    """Have these hosts' computes up and known to the scheduler.

    :raises ContentError: one is not up in time.
    """
    hosts = set(wanted["hosts"])
    deadline = time.monotonic() + wanted["timeout"]
    while missing := hosts - _up(admin):
        if time.monotonic() > deadline:
            raise ContentError(
                f"no nova-compute is up on {', '.join(sorted(missing))} "
                f"after {wanted['timeout']} s"
            )
        time.sleep(POLL_SECONDS)
    while missing := hosts - _mapped(admin):
        if time.monotonic() > deadline:
            raise ContentError(f"no hypervisor listed for {', '.join(sorted(missing))}")
        command = wanted["discover"]
        words = [
            "setpriv",
            f"--reuid={command['user']}",
            f"--regid={command['user']}",
            "--init-groups",
            *command["argv"],
        ]
        done = subprocess.run(
            words,
            env={**os.environ, "OS_NOVA_DISABLE_EVENTLET_PATCHING": "1"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DISCOVER_TIMEOUT,
            check=False,
        )
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
            raise ContentError(f"hosts can't be mapped to their cell:\n{tail}")
        if not missing - _mapped(admin):
            yield from (f"compute {host}" for host in sorted(missing))
            return
        time.sleep(POLL_SECONDS)


def _up(admin: Any) -> set[str]:
    """Hosts whose computes work.

    Nova calls a compute up for a minute after its last report, also one that has died
    since; of those on this machine the process must be there, and be the one that
    reported.
    """
    began = {host: processes.began(pid) for host, pid in _here().items()}
    return {
        service.host
        for service in admin.compute.services(binary="nova-compute")
        if service.state == "up"
        and (service.host not in began or 0 < began[service.host] <= _reported(service))
    }


def _here() -> dict[str, int]:
    """Hosts of this machine's computes, with the process of each; 0 is none."""
    found = {}
    manager = backend.detect()
    for path in paths.ETC.glob("compute-*/nova.conf"):
        if match := HOST.search(path.read_text()):
            found[match[1]] = manager.pid(path.parent.name)
    return found


def _reported(service: Any) -> float:
    """When a service last told Nova that it works, in seconds since the epoch."""
    # In UTC, and without a fraction: the last moment that it can have been.
    told = datetime.datetime.fromisoformat(service.updated_at)
    return told.replace(tzinfo=datetime.UTC).timestamp() + 1


def _mapped(admin: Any) -> set[str]:
    # Of an unmapped host the list of hypervisors says nothing.
    listed = admin.compute.hypervisors(details=True)
    return {hypervisor.service_details["host"] for hypervisor in listed}


def aggregates(admin: Any, wanted: list[dict[str, Any]]) -> Changes:
    present = {aggregate.name: aggregate for aggregate in admin.compute.aggregates()}
    for entry in wanted:
        name = entry["name"]
        aggregate = present.get(name)
        if aggregate is None:
            aggregate = admin.compute.create_aggregate(name=name)
            yield f"aggregate {name}"
        metadata = {
            key: value
            for key, value in (entry.get("metadata") or {}).items()
            if (aggregate.metadata or {}).get(key) != value
        }
        if metadata:
            admin.compute.set_aggregate_metadata(aggregate, metadata)
            yield f"metadata of aggregate {name}"
        for host in entry.get("hosts") or ():
            if host not in (aggregate.hosts or ()):
                admin.compute.add_host_to_aggregate(aggregate, host)
                yield f"{host} in aggregate {name}"


# -- all of it -----------------------------------------------------------------


def content(params: dict[str, Any]) -> Changes:
    """Yield what was changed, section by section."""
    admin = openstack.connect(cloud=params["admin"])
    member = openstack.connect(cloud=params["member"]) if params["member"] else None
    project_id = member.current_project_id if member else ""
    external = params["external"]
    sections: list[tuple[Any, Callable[[], Changes]]] = [
        (external, lambda: external_network(admin, external)),
        (
            params["private"],
            lambda: private_network(
                member, project_id, params["private"], external and external["name"]
            ),
        ),
        (
            params["open_ports"],
            lambda: security_rules(member, project_id, params["open_ports"]),
        ),
        (params["key_pair"], lambda: key_pair(member, params["key_pair"])),
        (params["flavors"], lambda: flavors(admin, params["flavors"])),
        (params["computes"], lambda: computes(admin, params["computes"])),
        (params["aggregates"], lambda: aggregates(admin, params["aggregates"])),
    ]
    for wanted, section in sections:
        if wanted:
            yield from section()


def main() -> None:
    spec: dict[str, Any] = {
        "admin": {"type": "str", "required": True},
        "member": {"type": "str"},
        "external": {"type": "dict"},
        "private": {"type": "dict"},
        "open_ports": {"type": "list", "elements": "int"},
        "key_pair": {"type": "dict", "no_log": False},
        "flavors": {"type": "list", "elements": "dict"},
        "computes": {"type": "dict"},
        "aggregates": {"type": "list", "elements": "dict"},
    }
    module = AnsibleModule(argument_spec=spec)
    if openstack is None:
        module.fail_json(msg="openstack_content needs openstacksdk in its Python")
    changes: list[str] = []
    try:
        for change in content(module.params):
            changes.append(change)
    except (
        sdk_exceptions.SDKException,
        auth_exceptions.ClientException,
        backend.ServiceError,
        ContentError,
        subprocess.TimeoutExpired,
    ) as error:
        module.fail_json(msg=f"OpenStack: {error}", changes=changes)
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
