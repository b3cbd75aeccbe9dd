# SPDX-License-Identifier: Apache-2.0
"""Interfaces: there before the first process and on every way back; gone when off."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nova_multi import exception
from nova_multi.virt.engine import Engine, GuestState, ImageKey
from tests.contract.conftest import Guest, make_spec
from tests.contract.harness import Harness


def test_interface_is_there_before_the_first_process(
    harness: Harness, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    interface = guest.interface

    report = harness.report(guest.uuid)

    assert report.all("link") == [f"eth0 {interface.mac} {interface.mtu}"]
    assert report.all("address") == [f"eth0 {interface.addresses[0]}"]
    routes = report.all("route")
    assert any(r.startswith(f"default via {interface.gateways[0]}") for r in routes)
    (route,) = interface.routes
    wanted = f"{route.destination} via {route.gateway}"
    assert any(r.startswith(wanted) for r in routes)
    assert report.all("nameserver") == list(interface.nameservers)
    assert harness.answers(guest.uuid, interface)


def test_two_interfaces(harness: Harness, engine: Engine, key: ImageKey) -> None:
    spec = make_spec(key)
    interfaces = [harness.interface(0), harness.interface(1)]
    engine.create(spec)
    engine.connect(spec.uuid, interfaces)
    engine.start(spec.uuid)

    report = harness.report(spec.uuid)

    assert report.all("link") == [f"{i.name} {i.mac} {i.mtu}" for i in interfaces]
    assert all(harness.answers(spec.uuid, interface) for interface in interfaces)


def test_no_interface(harness: Harness, engine: Engine, key: ImageKey) -> None:
    spec = make_spec(key)
    engine.create(spec)
    engine.connect(spec.uuid, [])
    engine.start(spec.uuid)

    report = harness.report(spec.uuid)

    assert report.all("link") == []
    assert report.all("route") == []


def test_no_guest_has_the_name_servers_of_another(
    harness: Harness, engine: Engine, key: ImageKey, boot: Callable[..., Guest]
) -> None:
    found = []
    for _ in range(2):
        alone = make_spec(key)
        engine.create(alone)
        engine.connect(alone.uuid, [])
        engine.start(alone.uuid)
        found.append(harness.report(alone.uuid).all("nameserver"))
        assert boot().interface.nameservers
    assert found[0] == found[1]


def test_prepared_guest_is_off_until_it_is_connected_and_started(
    harness: Harness, engine: Engine, key: ImageKey
) -> None:
    spec = make_spec(key)
    interface = harness.interface()
    engine.create(spec)
    engine.prepare(spec.uuid)
    engine.prepare(spec.uuid)
    assert engine.guest(spec.uuid).state is GuestState.STOPPED
    with pytest.raises(exception.NovaMultiError):
        engine.start(spec.uuid)

    engine.connect(spec.uuid, [interface])
    engine.start(spec.uuid)

    report = harness.report(spec.uuid)
    assert report.all("address") == [f"eth0 {interface.addresses[0]}"]
    assert report.all("nameserver") == list(interface.nameservers)


@pytest.mark.parametrize("end", ["stop", "remove"])
def test_what_was_prepared_goes_again(
    harness: Harness, engine: Engine, key: ImageKey, end: str
) -> None:
    spec = make_spec(key)
    engine.create(spec)
    before = harness.objects()
    engine.prepare(spec.uuid)
    if end == "stop":
        engine.stop(spec.uuid, 1)
        assert harness.objects() == before
    engine.remove(spec.uuid)
    assert harness.objects() == set()


def test_nobody_else_is_prepared(engine: Engine, key: ImageKey) -> None:
    with pytest.raises(exception.GuestNotFound):
        engine.prepare(make_spec(key).uuid)


def test_connect_may_be_repeated(
    harness: Harness, engine: Engine, key: ImageKey
) -> None:
    spec = make_spec(key)
    interface = harness.interface()
    engine.create(spec)
    engine.connect(spec.uuid, [interface])
    engine.connect(spec.uuid, [interface])
    engine.start(spec.uuid)

    assert len(harness.report(spec.uuid).all("link")) == 1


def test_connect_takes_away_what_is_not_named(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    engine.stop(guest.uuid, 1)
    other = harness.interface()

    engine.connect(guest.uuid, [other])
    engine.start(guest.uuid)

    report = harness.report(guest.uuid, runs=2)
    assert report.all("address") == [f"eth0 {other.addresses[0]}"]
    assert not harness.answers(guest.uuid, guest.interface)


def test_start_without_connect_fails_closed(engine: Engine, key: ImageKey) -> None:
    spec = make_spec(key)
    engine.create(spec)

    with pytest.raises(exception.NovaMultiError):
        engine.start(spec.uuid)

    assert engine.guest(spec.uuid).state is not GuestState.RUNNING


def test_missing_host_end_fails_closed(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    engine.stop(guest.uuid, 1)
    harness.unplug(guest.interface)

    with pytest.raises(exception.NovaMultiError):
        engine.connect(guest.uuid, [guest.interface])
        engine.start(guest.uuid)

    assert engine.guest(guest.uuid).state is not GuestState.RUNNING
    # And nothing is lost: with the host's end back it starts.
    harness.plug(guest.interface)
    engine.connect(guest.uuid, [guest.interface])
    engine.start(guest.uuid)
    assert harness.answers(guest.uuid, guest.interface)


def test_stopped_guest_does_not_answer(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    assert harness.answers(guest.uuid, guest.interface)

    engine.stop(guest.uuid, 1)

    assert not harness.answers(guest.uuid, guest.interface)


def test_attach_and_detach_running(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    harness.report(guest.uuid)
    second = harness.interface(1)

    engine.attach(guest.uuid, second)
    engine.attach(guest.uuid, second)
    assert harness.answers(guest.uuid, second)

    engine.detach(guest.uuid, second)
    engine.detach(guest.uuid, second)
    assert not harness.answers(guest.uuid, second)
    assert harness.answers(guest.uuid, guest.interface)
    assert engine.guest(guest.uuid).state is GuestState.RUNNING


def test_attached_interface_survives_a_restart(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    harness.report(guest.uuid)
    second = harness.interface(1)
    engine.attach(guest.uuid, second)

    engine.restart(guest.uuid, 2)

    assert len(harness.report(guest.uuid, runs=2).all("link")) == 2
    assert harness.answers(guest.uuid, second)


def test_attach_and_detach_stopped(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    engine.stop(guest.uuid, 1)
    second = harness.interface(1)

    engine.attach(guest.uuid, second)
    harness.plug(guest.interface)
    engine.connect(guest.uuid, [guest.interface, second])
    engine.start(guest.uuid)
    assert len(harness.report(guest.uuid, runs=2).all("link")) == 2

    engine.stop(guest.uuid, 1)
    engine.detach(guest.uuid, second)
    harness.plug(guest.interface)
    engine.connect(guest.uuid, [guest.interface])
    engine.start(guest.uuid)
    assert len(harness.report(guest.uuid, runs=3).all("link")) == 1


def test_network_after_restart_of_the_daemon(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    harness.report(guest.uuid)

    harness.restart_daemon()

    # It has run on, or it is down and comes back as init_host brings it back.
    runs = 1
    if engine.guest(guest.uuid).state is not GuestState.RUNNING:
        harness.plug(guest.interface)
        engine.connect(guest.uuid, [guest.interface])
        engine.start(guest.uuid)
        runs = 2
    assert harness.report(guest.uuid, runs=runs).ready
    assert harness.answers(guest.uuid, guest.interface)
