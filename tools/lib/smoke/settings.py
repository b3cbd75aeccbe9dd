# SPDX-License-Identifier: Apache-2.0
"""Tempest's configuration for one hypervisor of a cloud."""

from __future__ import annotations

import configparser
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class CloudFacts:
    """What Tempest must know of a cloud, whatever the hypervisor.

    :ivar auth_url: Keystone's v3 address.
    :ivar username: of an administrator; `password`, `project` and `domain` likewise.
    :ivar external_network: name and UUID of the network of floating addresses.
    :ivar network_extensions: aliases of Neutron's extensions.
    """

    auth_url: str
    region: str
    username: str
    password: str = dataclasses.field(repr=False)
    project: str
    domain: str
    external_network: tuple[str, str]
    network_extensions: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """The hypervisor under test.

    :ivar image, other_image: UUIDs of two images for it.
    :ivar flavor, other_flavor: UUIDs of two flavors that suit them.
    :ivar features: of ``[compute-feature-enabled]``.
    """

    hypervisor: str
    image: str
    other_image: str
    flavor: str
    other_flavor: str
    features: Mapping[str, bool]


def render(cloud: CloudFacts, target: Target, folder: Path) -> str:
    """The text of tempest.conf; it holds the administrator's password.

    :param folder: where Tempest may write locks and logs.
    """
    name, uuid = cloud.external_network
    sections: dict[str, dict[str, object]] = {
        # With debug, a guest that can't be reached leaves its console there.
        "DEFAULT": {"log_file": folder / "tempest.log", "debug": True},
        "oslo_concurrency": {"lock_path": folder / "locks"},
        "auth": {
            "admin_username": cloud.username,
            # oslo.config substitutes what follows a dollar sign.
            "admin_password": cloud.password.replace("$", "$$"),
            "admin_project_name": cloud.project,
            "admin_domain_name": cloud.domain,
            "tempest_roles": "member",
        },
        "identity": {
            "uri_v3": cloud.auth_url,
            "auth_version": "v3",
            "region": cloud.region,
            "v3_endpoint_type": "public",
        },
        "compute": {
            "image_ref": target.image,
            "image_ref_alt": target.other_image,
            "flavor_ref": target.flavor,
            "flavor_ref_alt": target.other_flavor,
            "hypervisor_type": target.hypervisor,
            "max_microversion": "latest",
            "min_compute_nodes": 1,
            # A stuck server is told in minutes, not in Tempest's usual five.
            "build_timeout": 120,
        },
        "compute-feature-enabled": dict(target.features),
        "network": {
            "public_network_id": uuid,
            "floating_network_name": name,
            "build_timeout": 60,
        },
        "network-feature-enabled": {
            "api_extensions": ",".join(cloud.network_extensions),
            "floating_ips": True,
            # Neutron's DHCP of IPv6 is not what the guests of the example ask.
            "ipv6": False,
            "port_security": "port-security" in cloud.network_extensions,
        },
        "image-feature-enabled": {"api_v2": True},
        "validation": {
            "run_validation": True,
            "connect_method": "floating",
            "image_ssh_user": "root",
            "image_alt_ssh_user": "root",
            # The guests' shell is Debian's dash, which has no pipefail.
            "ssh_shell_prologue": "set -eu; PATH=$$PATH:/usr/sbin:/sbin;",
            "ssh_timeout": 120,
            "ping_timeout": 60,
        },
        "scenario": {"dhcp_client": ""},
        "service_available": {
            "cinder": False,
            "glance": True,
            "horizon": False,
            "neutron": True,
            "nova": True,
            "swift": False,
        },
    }
    parser = configparser.RawConfigParser(default_section="")
    for section, options in sections.items():
        parser[section] = {key: _text(value) for key, value in options.items()}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
