# SPDX-License-Identifier: Apache-2.0
"""The plugin as python-openstackclient loads it."""

from __future__ import annotations

import argparse
import types
from typing import Any

import pytest

from nova_multi.osc import plugin
from tests.fixtures.commands import entry_points


def _parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    assert plugin.build_option_parser(parser) is parser
    return parser.parse_args(words)


def test_it_is_the_plugin_that_setup_cfg_names() -> None:
    assert entry_points("openstack.cli.extension") == {"multi": plugin}
    group = f"openstack.{plugin.API_NAME}.v{plugin.DEFAULT_API_VERSION}"
    assert entry_points(group)


def test_options(monkeypatch: Any) -> None:
    assert _parse().os_multi_api_version == "1"
    assert not _parse().os_provisioning_endpoint
    given = _parse("--os-provisioning-endpoint", "http://here")
    assert given.os_provisioning_endpoint == "http://here"
    monkeypatch.setenv("OS_PROVISIONING_ENDPOINT", "http://there")
    assert _parse().os_provisioning_endpoint == "http://there"


@pytest.mark.parametrize("endpoint", ["http://here/v1", ""])
def test_the_client_uses_the_catalog_or_the_option(endpoint: str) -> None:
    instance = types.SimpleNamespace(
        session=object(),
        region_name="north",
        interface="internal",
        get_configuration=lambda: {"provisioning_endpoint": endpoint},
    )
    adapter: Any = plugin.make_client(instance)._adapter
    assert adapter.service_type == "provisioning"
    assert (adapter.region_name, adapter.interface) == ("north", "internal")
    assert adapter.endpoint_override == (endpoint or None)
