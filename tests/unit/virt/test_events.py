# SPDX-License-Identifier: Apache-2.0
"""Waiting for ports, with Nova's own side of the events."""

import threading
from types import SimpleNamespace
from unittest import mock

import pytest
from nova import objects
from nova.compute import manager

from nova_multi import exception
from nova_multi.virt import events

PORT_A = "aaaaaaaa-1111-4000-8000-000000000000"
PORT_B = "bbbbbbbb-1111-4000-8000-000000000000"
INSTANCE = mock.Mock(uuid="0b5fbd67-7a4b-4d31-9e54-b52e3ccd4d4d")
PORTS = [{"id": PORT_A, "active": False}, {"id": PORT_B, "active": False}]


@pytest.fixture
def instance_events():
    return manager.InstanceEvents()


@pytest.fixture
def virtapi(instance_events):
    return manager.ComputeVirtAPI(
        SimpleNamespace(instance_events=instance_events, reportclient=None)
    )


@pytest.fixture
def ovn(monkeypatch):
    """What OVN says; and which ports it was asked about."""
    asked = mock.Mock(return_value=True)
    monkeypatch.setattr(events.vif_module, "flows_installed", asked)
    return asked


def wait(virtapi, ports=PORTS, *, timeout=1, fatal=True):
    return events.ports_connected(
        virtapi, INSTANCE, ports, timeout=timeout, fatal=fatal
    )


def report(instance_events, port, status="completed"):
    event = objects.InstanceExternalEvent(
        name=events.PLUGGED, tag=port, status=status, instance_uuid=INSTANCE.uuid
    )
    waiter = instance_events.pop_instance_event(INSTANCE, event)
    assert waiter is not None
    waiter.set(event)


def test_the_word_of_ovn_is_enough(virtapi, ovn):
    with wait(virtapi):
        assert not ovn.called
    ovn.assert_called_once_with([PORT_A, PORT_B], 1)


def test_neutrons_word_counts_where_ovn_says_nothing(virtapi, ovn, instance_events):
    ovn.return_value = False
    reports = [
        threading.Timer(0.05, report, (instance_events, port))
        for port in (PORT_A, PORT_B)
    ]
    with wait(virtapi, timeout=30):
        for each in reports:
            each.start()
    for each in reports:
        each.join()


def test_a_port_that_nobody_connects_is_an_error(virtapi, ovn):
    ovn.return_value = False
    with pytest.raises(exception.NetworkSetupError, match=PORT_B), wait(virtapi):
        pass


def test_or_a_warning(virtapi, ovn):
    ovn.return_value = False
    with wait(virtapi, fatal=False):
        pass


def test_a_port_that_neutron_could_not_connect(virtapi, ovn, instance_events):
    ovn.return_value = False
    with (
        pytest.raises(exception.NetworkSetupError, match="could not connect"),
        wait(virtapi),
    ):
        report(instance_events, PORT_A, "failed")


@pytest.mark.parametrize(
    ("ports", "timeout"),
    [([], 1), ([{"id": PORT_A, "active": True}], 1), (PORTS, 0)],
)
def test_nothing_to_wait_for(virtapi, ovn, ports, timeout):
    with wait(virtapi, ports, timeout=timeout):
        pass
    ovn.assert_not_called()


def test_a_body_that_fails_waits_for_nothing(virtapi, ovn):
    with pytest.raises(ValueError), wait(virtapi):
        raise ValueError("the body's")
    ovn.assert_not_called()
