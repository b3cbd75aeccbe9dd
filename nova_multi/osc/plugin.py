# SPDX-License-Identifier: Apache-2.0
"""What python-openstackclient asks of a plugin (entry point ``multi``)."""

from __future__ import annotations

import argparse
from typing import Any

from keystoneauth1 import adapter
from osc_lib import utils

from nova_multi.client.client import SERVICE_TYPE, Client

API_NAME = "multi"
API_VERSION_OPTION = "os_multi_api_version"
DEFAULT_API_VERSION = "1"
API_VERSIONS = {"1": "nova_multi.client.client.Client"}


def make_client(instance: Any) -> Client:
    """A client for the cloud, user and region that the command line names.

    :param instance: osc's client manager.
    """
    configured = instance.get_configuration()
    endpoint = configured.get("provisioning_endpoint") or None
    return Client(
        adapter.Adapter(
            session=instance.session,
            service_type=SERVICE_TYPE,
            region_name=instance.region_name,
            interface=instance.interface,
            endpoint_override=endpoint,
        )
    )


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the plugin's own global options."""
    parser.add_argument(
        "--os-multi-api-version",
        metavar="<version>",
        default=utils.env("OS_MULTI_API_VERSION", default=DEFAULT_API_VERSION),
        help="Version of the provisioning API (default: 1, env: OS_MULTI_API_VERSION)",
    )
    parser.add_argument(
        "--os-provisioning-endpoint",
        metavar="<url>",
        default=utils.env("OS_PROVISIONING_ENDPOINT"),
        help="Address of the provisioning service, in place of the catalog's"
        " (env: OS_PROVISIONING_ENDPOINT)",
    )
    return parser
