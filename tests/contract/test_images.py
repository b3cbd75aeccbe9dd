# SPDX-License-Identifier: Apache-2.0
"""Images: facts, idempotence, refusal, use, and the way back out."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

import pytest

from nova_multi import exception
from nova_multi.virt.engine import Engine, ImageKey
from tests.contract.conftest import Guest, make_spec
from tests.contract.harness import Harness
from tests.fixtures import images, probe


def test_info_names_engine_and_version(engine: Engine) -> None:
    info = engine.info()

    assert info.name == engine.name
    assert info.version
    assert info.storage
    assert 0 <= info.disk_free_gb <= info.disk_total_gb


def test_unknown_image_is_not_found(engine: Engine) -> None:
    key = ImageKey("00000000-0000-4000-8000-00000000ffff", "ab" * 64)

    with pytest.raises(exception.EngineImageNotFound):
        engine.image(key)
    engine.remove_image(key)


def test_facts_of_an_imported_image(engine: Engine, key: ImageKey) -> None:
    facts = engine.image(key)

    assert facts.shell
    assert not facts.cloud_init
    assert facts.size_bytes > 0


def test_no_shell_is_found_out(
    engine: Engine, image_of: Callable[[images.Kind], ImageKey]
) -> None:
    assert not engine.image(image_of(images.Kind.SHELLLESS)).shell


def test_import_again_changes_nothing(
    harness: Harness, engine: Engine, key: ImageKey, tmp_path: pathlib.Path
) -> None:
    _, path = harness.image(tmp_path)

    assert engine.import_image(key, str(path)) == engine.image(key)
    assert list(engine.images()).count(key) == 1


@pytest.mark.parametrize("kind", [images.Kind.DAMAGED, images.Kind.ESCAPING])
def test_bad_image_is_rejected_and_nothing_kept(
    harness: Harness, engine: Engine, tmp_path: pathlib.Path, kind: images.Kind
) -> None:
    key, path = harness.image(tmp_path, kind)

    with pytest.raises(exception.ImageRejected):
        engine.import_image(key, str(path))

    assert key not in engine.images()
    with pytest.raises(exception.EngineImageNotFound):
        engine.image(key)


def test_other_checksum_is_another_image(engine: Engine, key: ImageKey) -> None:
    other = dataclasses.replace(key, checksum="00" * 64)

    with pytest.raises(exception.EngineImageNotFound):
        engine.image(other)


def test_remove_image(
    harness: Harness, engine: Engine, key: ImageKey, tmp_path: pathlib.Path
) -> None:
    engine.remove_image(key)
    engine.remove_image(key)

    assert key not in engine.images()
    with pytest.raises(exception.EngineImageNotFound):
        engine.create(make_spec(key))
    assert engine.guests() == []


def test_image_in_use_stays(engine: Engine, key: ImageKey) -> None:
    spec = make_spec(key)
    engine.create(spec)

    # LXD unpacks the image for each guest and could do without it; Docker can't.
    try:
        engine.remove_image(key)
    except exception.EngineConflict:
        assert key in engine.images()
    assert engine.guest(spec.uuid)


def test_images_are_of_this_host_or_shared_but_never_foreign(
    harness: Harness, engine: Engine, key: ImageKey
) -> None:
    assert key in engine.images()
    assert all(isinstance(found, ImageKey) for found in engine.images())


@pytest.mark.parametrize("stopped", [False, True])
def test_exported_guest_boots_again(
    harness: Harness,
    engine: Engine,
    boot: Callable[..., Guest],
    tmp_path: pathlib.Path,
    stopped: bool,
) -> None:
    guest = boot(command=probe.MARK)
    assert harness.report(guest.uuid).all("file") == []
    if stopped:
        engine.stop(guest.uuid, 2)
    path = tmp_path / "exported"

    properties = engine.export(guest.uuid, str(path))

    assert {"container_format", "disk_format"} <= set(properties)
    state = engine.guest(guest.uuid).state
    assert state.value == ("stopped" if stopped else "running")
    key = ImageKey("11111111-2222-4333-8444-555555555555", "cd" * 64)
    try:
        assert engine.import_image(key, str(path)).shell
        again = boot(image=key)
        assert harness.report(again.uuid).all("file") == ["/marks marked"]
        engine.remove(again.uuid)
    finally:
        engine.remove_image(key)
