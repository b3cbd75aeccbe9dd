# SPDX-License-Identifier: Apache-2.0
"""What the driver tells Nova when its collaborators fail."""

from types import SimpleNamespace
from unittest import mock

import nova.conf
import pytest
from nova import exception as nova_exception

from nova_multi import exception
from nova_multi.conf import base as conf_base
from nova_multi.virt.driver import ContainerDriver

INSTANCE = SimpleNamespace(uuid="0b5fbd67-7a4b-4d31-9e54-b52e3ccd4d4d")
LAST_WORDS = exception.EngineError("its last words: no such file")


@pytest.fixture
def driver():
    conf_base.register_opts(nova.conf.CONF)
    return mock.Mock(guests=mock.Mock(), engine=mock.Mock())


@pytest.mark.parametrize(
    "error",
    [
        exception.NetworkSetupError("port 1 is bound as binding_failed"),
        exception.EngineUnavailable("gone"),
        OSError("no space"),
    ],
)
def test_one_server_without_network_does_not_stop_the_service(driver, error):
    # Nova minds this exception alone when it starts.
    driver.guests.heal_network.side_effect = error
    with pytest.raises(nova_exception.VirtualInterfacePlugException, match=str(error)):
        ContainerDriver.plug_vifs(driver, INSTANCE, [])


def test_the_user_is_told_why_a_server_did_not_start(driver):
    driver.guests.start.side_effect = LAST_WORDS
    with pytest.raises(nova_exception.InstancePowerOnFailure, match="last words"):
        ContainerDriver.power_on(driver, None, INSTANCE, [])


@pytest.mark.parametrize("kind", ["SOFT", "HARD"])
def test_the_user_is_told_why_a_server_did_not_reboot(driver, kind):
    driver.engine.restart.side_effect = LAST_WORDS
    driver.guests.start.side_effect = LAST_WORDS
    with pytest.raises(nova_exception.InstanceRebootFailure, match="last words"):
        ContainerDriver.reboot(driver, None, INSTANCE, [], kind)


def test_an_engine_that_is_away_is_told_as_such(driver):
    driver.guests.start.side_effect = exception.EngineUnavailable("refused")
    with pytest.raises(nova_exception.HypervisorUnavailable, match="refused"):
        ContainerDriver.power_on(driver, None, INSTANCE, [])
