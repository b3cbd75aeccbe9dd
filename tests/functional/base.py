# SPDX-License-Identifier: Apache-2.0
"""A cloud in one process: Nova's services and Placement are real, the rest is not.

Two computes with the container driver share one OVN chassis with a libvirt compute that
has a name only.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import tempfile
import warnings
from typing import Any
from unittest import mock

import fixtures
import nova.conf
import nova.service
import os_vif
from nova.tests.fixtures import neutron as neutron_fixture
from nova.tests.functional import integrated_helpers

from nova_multi.conf import base as conf_base
from nova_multi.virt import nova_namespace
from nova_multi.virt.engine import GuestState, ImageFacts
from tests.fixtures import container_driver, fake_engine, probe
from tests.fixtures.fake_engine import FakeEngine
from tests.fixtures.nova_case import NovaCase

CONF = nova.conf.CONF

CHASSIS = "node"
HOST = "node-docker"
SIBLING = "node-lxd"


def _api_paste() -> str:
    """The API's pipeline, which Nova's wheel puts beside the packages."""
    for file in importlib.metadata.files("nova") or ():
        if file.name == "api-paste.ini":
            return str(pathlib.Path(str(file.locate())).resolve())
    raise FileNotFoundError("the nova distribution has no api-paste.ini")


class ContainerCloud(NovaCase, integrated_helpers.ProviderUsageBaseTestCase):
    """Base of the tests here.

    :ivar engine: behind the compute :data:`HOST`, the first one that is scheduled to.
    """

    compute_driver = "nova_multi.FakeContainerDriver"
    #: Computes that are started.
    hosts: tuple[str, ...] = (HOST,)

    def setUp(self) -> None:
        self.flags(api_paste_config=_api_paste(), group="wsgi")
        nova_namespace.register()
        drivers = {"FakeContainerDriver": container_driver.__name__}
        self.useFixture(
            fixtures.MockPatch(
                "nova_multi.virt.nova_namespace.DRIVERS",
                {**nova_namespace.DRIVERS, **drivers},
            )
        )
        managers = {"nova-compute": "nova_multi.virt.manager.ComputeManager"}
        patch = mock.patch.dict(nova.service.SERVICE_MANAGERS, managers)
        patch.start()
        self.addCleanup(patch.stop)
        super().setUp()
        # Nova's own queries; see its bug on relationship loading.
        warnings.filterwarnings("ignore", message=".*noload.*")

        os_vif.initialize()
        conf_base.register_opts(CONF)
        self.flags(instances_path=self.useFixture(fixtures.TempDir()).path)
        self.useFixture(container_driver.machine())
        self.host_network = self.useFixture(container_driver.HostNetwork())
        self.neutron = self.useFixture(
            container_driver.OvnNeutron(self, chassis={CHASSIS})
        )
        self.glance = self.useFixture(container_driver.Glance(self))
        container_driver.FakeContainerDriver.engines.clear()
        container_driver.FakeContainerDriver.node_uuids.clear()
        for host in self.hosts:
            self._start_compute(host)
        self.engine = self.engine_of(HOST)
        self.image = self.add_image()
        self.flavor = self._create_flavor(memory_mb=256, vcpu=1, disk=1, ephemeral=0)

    # -- making ---------------------------------------------------------------

    def engine_of(self, host: str) -> FakeEngine:
        """The engine behind a compute."""
        return container_driver.FakeContainerDriver.engines[host]

    def add_image(self, **properties: str) -> str:
        """A new image in Glance with the probe inside."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "probe"
            facts = ImageFacts(shell=True, cloud_init=False, command=probe.STAY)
            fake_engine.write_image(path, facts)
            return self.glance.add(path, **properties)

    def boot(self, expected_state: str = "ACTIVE", **arguments: Any) -> Any:
        """Create a server as a user does and wait until it is in that state."""
        return self._wait_for_state_change(self.request(**arguments), expected_state)

    def request(self, **arguments: Any) -> Any:
        """Ask for a server as a user does and wait for nothing."""
        network = neutron_fixture.NeutronFixture.network_1["id"]
        known = {"image_uuid": self.image, "networks": [{"uuid": network}]}
        for name in (*known, "host", "name"):
            if name in arguments:
                known[name] = arguments.pop(name)
        body = self._build_server(flavor_id=self.flavor, **known)
        return self.api.post_server({"server": {**body, **arguments}})

    def act(self, server: Any, action: str, arguments: Any = None) -> None:
        """Ask for a server action as a user does."""
        self.api.post_server_action(server["id"], {action: arguments})

    def wait(self, server: Any, **expected: Any) -> Any:
        """Wait until the server has these properties and no task any more."""
        expected = {"OS-EXT-STS:task_state": None, **expected}
        return self._wait_for_server_parameter(server, expected)

    # -- looking --------------------------------------------------------------

    def guest_state(self, server: Any) -> GuestState:
        """What the engine says."""
        return self.engine.guest(server["id"]).state

    def fault(self, server: Any) -> str:
        """The message of the server's fault."""
        return str(self.admin_api.get_server(server["id"])["fault"]["message"])

    def usage(self, host: str = HOST) -> dict[str, int]:
        """What Placement thinks is taken of a compute."""
        provider = self._get_provider_uuid_by_host(host)
        return dict(self._get_provider_usages(provider))

    def assert_nothing_left(self) -> None:
        """No guest, interface, switch port, file or allocation is there."""
        for host in self.hosts:
            self.assertEqual([], list(self.engine_of(host).guests()))
            self.assertEqual({0}, set(self.usage(host).values()))
        self.assertEqual(set(), self.host_network.links)
        self.assertEqual(set(), self.host_network.ports)
        left = {path.name for path in pathlib.Path(CONF.instances_path).glob("*/*")}
        self.assertEqual(set(), left)
