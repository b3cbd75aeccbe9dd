# SPDX-License-Identifier: Apache-2.0
"""Guests: create, start, stop, restart, pause, remove, and what is refused."""

from __future__ import annotations

import dataclasses
import time
import uuid as uuid_module
from collections.abc import Callable

import pytest

from nova_multi import exception
from nova_multi.virt.engine import Engine, GuestState, ImageKey
from tests.contract.conftest import Guest, make_spec
from tests.contract.harness import Harness
from tests.fixtures import images, probe

NOBODY = str(uuid_module.uuid4())


def test_created_guest_does_not_run(engine: Engine, key: ImageKey) -> None:
    spec = make_spec(key)

    engine.create(spec)

    (state,) = engine.guests()
    assert state == engine.guest(spec.uuid)
    assert (state.uuid, state.name) == (spec.uuid, spec.name)
    assert state.state is GuestState.STOPPED
    assert engine.console(spec.uuid, 1000) == b""


def test_second_create_leaves_the_first(engine: Engine, key: ImageKey) -> None:
    spec = make_spec(key)
    engine.create(spec)

    with pytest.raises(exception.GuestExists):
        engine.create(spec)

    assert [guest.uuid for guest in engine.guests()] == [spec.uuid]


def test_create_without_image_leaves_nothing(
    harness: Harness, engine: Engine, key: ImageKey
) -> None:
    missing = dataclasses.replace(key, checksum="00" * 64)

    with pytest.raises(exception.EngineImageNotFound):
        engine.create(make_spec(missing))

    assert harness.objects() == set()


@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.guest(NOBODY),
        lambda engine: engine.start(NOBODY),
        lambda engine: engine.stop(NOBODY, 1),
        lambda engine: engine.restart(NOBODY, 1),
        lambda engine: engine.pause(NOBODY),
        lambda engine: engine.unpause(NOBODY),
        lambda engine: engine.connect(NOBODY, []),
        lambda engine: engine.console(NOBODY, 10),
        lambda engine: engine.export(NOBODY, "/nonexistent/path"),
    ],
)
def test_unknown_guest(engine: Engine, call: Callable[[Engine], object]) -> None:
    with pytest.raises(exception.GuestNotFound):
        call(engine)


def test_removing_nobody_is_fine(engine: Engine) -> None:
    engine.remove(NOBODY)


def test_boot_reports(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot(environment={"GREETING": "good morning"})

    report = harness.report(guest.uuid)

    assert engine.guest(guest.uuid).state is GuestState.RUNNING
    assert report.one("hostname") == "probe-guest"
    assert report.one("mode") == "stay"
    assert report.one("greeting") == "good morning"


def test_limits_as_seen_inside(harness: Harness, boot: Callable[..., Guest]) -> None:
    guest = boot(memory_mb=80, vcpus=1, pids=99)

    report = harness.report(guest.uuid)

    assert int(report.one("memory")) == 80 * 2**20
    assert int(report.one("pids")) == 99
    quota, period = map(int, report.one("cpu").split())
    assert quota == period


def test_start_twice(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    harness.report(guest.uuid)

    engine.start(guest.uuid)

    assert len(probe.reports(engine.console(guest.uuid, 100_000))) == 1


def test_guest_that_ends_at_once_tells_why(
    engine: Engine, harness: Harness, boot: Callable[..., Guest]
) -> None:
    with pytest.raises(exception.EngineError) as caught:
        boot(command=probe.FAIL)

    assert probe.LAST_WORDS in str(caught.value)
    (state,) = engine.guests()
    assert state.state in (GuestState.CRASHED, GuestState.STOPPED)


def test_image_without_command_stays_up(
    engine: Engine,
    boot: Callable[..., Guest],
    image_of: Callable[[images.Kind], ImageKey],
) -> None:
    guest = boot(image=image_of(images.Kind.BARE), command=())
    time.sleep(0.5)

    assert engine.guest(guest.uuid).state is GuestState.RUNNING


def test_image_without_shell_has_its_network(
    harness: Harness,
    engine: Engine,
    boot: Callable[..., Guest],
    image_of: Callable[[images.Kind], ImageKey],
) -> None:
    guest = boot(image=image_of(images.Kind.SHELLLESS), command=())

    assert engine.guest(guest.uuid).state is GuestState.RUNNING
    assert harness.answers(guest.uuid, guest.interface)


@pytest.mark.parametrize("mode", [probe.STAY, probe.STUBBORN])
def test_stop_and_start_again(
    harness: Harness,
    engine: Engine,
    boot: Callable[..., Guest],
    mode: tuple[str, ...],
) -> None:
    guest = boot(command=mode)
    harness.report(guest.uuid)
    begun = time.monotonic()

    engine.stop(guest.uuid, 1)
    engine.stop(guest.uuid, 1)

    assert time.monotonic() - begun < 10
    assert engine.guest(guest.uuid).state is GuestState.STOPPED
    harness.plug(guest.interface)
    engine.connect(guest.uuid, [guest.interface])
    engine.start(guest.uuid)
    assert engine.guest(guest.uuid).state is GuestState.RUNNING
    assert harness.report(guest.uuid, runs=2).one("mode") == mode[1]


def test_kill_at_once(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot(command=probe.STUBBORN)
    harness.report(guest.uuid)
    begun = time.monotonic()

    engine.stop(guest.uuid, 0)

    assert time.monotonic() - begun < 5
    assert engine.guest(guest.uuid).state is GuestState.STOPPED


def test_restart(harness: Harness, engine: Engine, boot: Callable[..., Guest]) -> None:
    guest = boot()
    harness.report(guest.uuid)

    engine.restart(guest.uuid, 2)

    assert engine.guest(guest.uuid).state is GuestState.RUNNING
    report = harness.report(guest.uuid, runs=2)
    assert report.all("address") == [f"eth0 {guest.interface.addresses[0]}"]
    assert harness.answers(guest.uuid, guest.interface)


def test_restart_without_network_is_refused(
    engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    engine.stop(guest.uuid, 1)

    with pytest.raises(exception.EngineConflict):
        engine.restart(guest.uuid, 1)

    assert engine.guest(guest.uuid).state is GuestState.STOPPED


def test_pause_and_unpause(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    harness.report(guest.uuid)

    engine.pause(guest.uuid)
    engine.pause(guest.uuid)
    assert engine.guest(guest.uuid).state is GuestState.PAUSED
    engine.unpause(guest.uuid)
    engine.unpause(guest.uuid)

    assert engine.guest(guest.uuid).state is GuestState.RUNNING
    assert len(probe.reports(engine.console(guest.uuid, 100_000))) == 1


def test_paused_guest_can_be_stopped_and_removed(
    engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    engine.pause(guest.uuid)
    engine.stop(guest.uuid, 1)
    assert engine.guest(guest.uuid).state is GuestState.STOPPED

    other = boot()
    engine.pause(other.uuid)
    engine.remove(other.uuid)
    assert [found.uuid for found in engine.guests()] == [guest.uuid]


def test_stopped_guest_can_not_be_paused(
    engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    engine.stop(guest.uuid, 1)

    with pytest.raises(exception.EngineConflict):
        engine.pause(guest.uuid)


@pytest.mark.parametrize("running", [True, False])
def test_remove_leaves_nothing(
    harness: Harness, engine: Engine, boot: Callable[..., Guest], running: bool
) -> None:
    guest = boot()
    if not running:
        engine.stop(guest.uuid, 1)

    engine.remove(guest.uuid)
    engine.remove(guest.uuid)

    assert engine.guests() == []
    assert harness.objects() == set()
    with pytest.raises(exception.GuestNotFound):
        engine.guest(guest.uuid)


def test_killed_guest_is_seen_and_starts_again(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    harness.report(guest.uuid)

    harness.kill(guest.uuid)

    deadline = time.monotonic() + 10
    down = (GuestState.CRASHED, GuestState.STOPPED)
    while engine.guest(guest.uuid).state not in down:
        assert time.monotonic() < deadline, engine.guest(guest.uuid)
        time.sleep(0.1)
    harness.plug(guest.interface)
    engine.connect(guest.uuid, [guest.interface])
    engine.start(guest.uuid)
    assert harness.report(guest.uuid, runs=2).ready
    assert harness.answers(guest.uuid, guest.interface)


def test_console_gives_the_end(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    harness.report(guest.uuid)

    whole = engine.console(guest.uuid, 100_000)
    end = engine.console(guest.uuid, 20)

    assert len(end) <= 20
    assert whole.rstrip().endswith(end.strip())


def test_console_of_a_stopped_guest_stays(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    harness.report(guest.uuid)
    engine.stop(guest.uuid, 1)

    assert probe.reports(engine.console(guest.uuid, 100_000))


def test_a_command_in_place_of_the_images(
    harness: Harness, boot: Callable[..., Guest]
) -> None:
    """Its words arrive as they are: blanks, quotes and what a shell would expand."""
    word = "two  words, 'quoted' and $HOME"

    guest = boot(command=(probe.PATH, word))

    assert harness.report(guest.uuid).one("mode") == word


def test_owners_are_those_of_this_host(
    harness: Harness, engine: Engine, key: ImageKey
) -> None:
    spec = make_spec(key)
    assert engine.owners() == frozenset()

    engine.create(spec)
    engine.prepare(spec.uuid)

    assert engine.owners() == {spec.uuid}
    engine.remove(spec.uuid)
    assert engine.owners() == frozenset()


def test_what_a_lost_guest_leaves_has_an_owner_and_can_be_removed(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    """Somebody deletes it behind the engine's back."""
    guest = boot()
    harness.lose(guest.uuid)

    assert engine.guests() == []
    assert engine.owners() <= {guest.uuid}
    engine.remove(guest.uuid)

    assert engine.owners() == frozenset()
    assert harness.objects() == set()
