# SPDX-License-Identifier: Apache-2.0
"""What an engine must not touch, and what it says when nobody answers."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent import futures

import pytest

from nova_multi import exception
from nova_multi.virt import engine as engine_module
from nova_multi.virt.engine import Engine, GuestState, ImageKey
from tests.contract.conftest import Guest, make_spec
from tests.contract.harness import Harness


@pytest.fixture
def foreign(harness: Harness, engine: Engine) -> Iterator[str]:
    """A running guest that is none of ours."""
    name = "instance-00000bad"
    harness.make_foreign(name)
    yield name
    harness.remove_foreign(name)


def test_foreign_guest_is_not_listed(
    harness: Harness, engine: Engine, foreign: str
) -> None:
    assert engine.guests() == []
    assert foreign in harness.objects()


def test_foreign_guest_is_not_touched_by_its_name(
    harness: Harness, engine: Engine, key: ImageKey, foreign: str
) -> None:
    spec = make_spec(key, name=foreign)

    with pytest.raises(exception.GuestExists):
        engine.create(spec)
    engine.remove(spec.uuid)
    engine.remove(foreign)
    with pytest.raises(exception.GuestNotFound):
        engine.stop(foreign, 0)

    assert harness.foreign_runs(foreign)


def test_guests_of_another_nova_host(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    other = harness.engine_for("contract-other-engine")

    assert other.guests() == []
    with pytest.raises(exception.GuestNotFound):
        other.guest(guest.uuid)
    with pytest.raises(exception.GuestNotFound):
        other.stop(guest.uuid, 0)
    other.remove(guest.uuid)

    assert engine.guest(guest.uuid).state is GuestState.RUNNING


def test_a_new_engine_object_sees_the_same(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    guest = boot()
    harness.report(guest.uuid)

    again = harness.engine_for(guest.spec.labels[engine_module.LABEL_HOST])

    assert again.guests() == engine.guests()
    again.restart(guest.uuid, 2)
    assert harness.report(guest.uuid, runs=2).ready


@pytest.mark.parametrize(
    "call",
    [
        lambda engine, spec: engine.info(),
        lambda engine, spec: engine.guests(),
        lambda engine, spec: engine.guest(spec.uuid),
        lambda engine, spec: engine.images(),
        lambda engine, spec: engine.image(spec.image),
        lambda engine, spec: engine.create(spec),
        lambda engine, spec: engine.connect(spec.uuid, []),
        lambda engine, spec: engine.start(spec.uuid),
        lambda engine, spec: engine.stop(spec.uuid, 1),
        lambda engine, spec: engine.pause(spec.uuid),
        lambda engine, spec: engine.remove(spec.uuid),
        lambda engine, spec: engine.console(spec.uuid, 10),
    ],
)
def test_nobody_answers(
    harness: Harness, key: ImageKey, call: Callable[..., object]
) -> None:
    away = harness.unreachable()
    begun = time.monotonic()

    with pytest.raises(exception.EngineUnavailable):
        call(away, make_spec(key))

    assert time.monotonic() - begun < 10


def test_many_at_once(
    harness: Harness, engine: Engine, boot: Callable[..., Guest]
) -> None:
    with futures.ThreadPoolExecutor(6) as pool:
        guests = [future.result() for future in [pool.submit(boot) for _ in range(6)]]
        for guest in guests:
            assert harness.report(guest.uuid).ready
        assert len(engine.guests()) == len(guests)
        list(pool.map(engine.remove, [guest.uuid for guest in guests]))

    assert engine.guests() == []


def test_remove_while_others_list(engine: Engine, boot: Callable[..., Guest]) -> None:
    guests = [boot() for _ in range(2)]
    with futures.ThreadPoolExecutor(2) as pool:
        listing = [pool.submit(engine.guests) for _ in range(10)]
        for guest in guests:
            pool.submit(engine.remove, guest.uuid)
        for future in listing:
            assert len(future.result()) <= len(guests)


def test_spec_marked_for_another_host_is_not_lost(
    harness: Harness, engine: Engine, key: ImageKey
) -> None:
    """A guest that the engine could not find again must not be made."""
    spec = make_spec(key)
    labels = {**spec.labels, engine_module.LABEL_HOST: "somewhere-else"}

    with pytest.raises(exception.NovaMultiError):
        engine.create(dataclasses.replace(spec, labels=labels))

    assert harness.objects() == set()
