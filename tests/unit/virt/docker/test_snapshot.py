# SPDX-License-Identifier: Apache-2.0
"""A saved guest becomes an image that knows nothing of the guest."""

from __future__ import annotations

import io
import json
import pathlib
import tarfile

import pytest

from nova_multi import exception
from nova_multi.virt.docker import image, snapshot
from tests.unit.virt.docker import archives

LAYERS = [archives.layer(("bin/sh", b"x" * 3000)), archives.layer(("data", b"y"))]


def chunks(path: pathlib.Path, size: int = 700):
    data = path.read_bytes()
    return [data[start : start + size] for start in range(0, len(data), size)]


def saved(path: pathlib.Path, **changes):
    return archives.image(
        path,
        LAYERS,
        settings={
            "Entrypoint": ["/bin/sh", "/var/lib/nova-multi/bootstrap.sh"],
            "Labels": {"nova-multi.instance-uuid": "u"},
        },
        config={"container_config": {"Hostname": "secret"}, "container": "abc"},
        **changes,
    )


def rewritten(path, settings):
    target = io.BytesIO()
    snapshot.rewrite(chunks(path), settings, target)
    return target.getvalue()


def test_the_bases_settings(tmp_path):
    data = rewritten(
        saved(tmp_path / "a"), {"Cmd": ["/app"], "Labels": {"theirs": "1"}}
    )
    assert b"bootstrap" not in data
    assert b"secret" not in data
    assert b"nova-multi" not in data
    (tmp_path / "b").write_bytes(data)
    limits = image.Limits(10**7, 100)
    with image.opened(str(tmp_path / "b"), limits) as archive:
        assert archive.facts.command == ("/app",)
        assert archive.facts.shell
        assert archive.facts.size_bytes == 3001


def test_layers_unchanged_and_nothing_else(tmp_path):
    data = rewritten(saved(tmp_path / "a"), {})
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
        found = [archive.extractfile(f"{n}/layer.tar").read() for n in range(2)]
        (entry,) = json.loads(archive.extractfile("manifest.json").read())
    assert found == LAYERS
    assert len(names) == 4
    assert not entry["RepoTags"]


def test_layer_that_is_a_link(tmp_path):
    path = archives.image(
        tmp_path / "a",
        [LAYERS[0], LAYERS[0]],
        links={"1/layer.tar": "../0/layer.tar"},
    )
    data = rewritten(path, {})
    (tmp_path / "b").write_bytes(data)
    with image.opened(str(tmp_path / "b"), image.Limits(10**7, 100)) as archive:
        assert archive.facts.shell


def test_stream_that_ends_early(tmp_path):
    path = saved(tmp_path / "a")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(exception.EngineError, match="no whole image"):
        rewritten(path, {})


def test_marks_of_the_import_are_taken_off():
    assert snapshot.image_settings(
        {"Labels": {"nova-multi.facts": "x", "a": "b"}, "Env": ["A=1"], "Cmd": None}
    ) == {"Labels": {"a": "b"}, "Env": ["A=1"]}
    assert snapshot.image_settings({"Labels": None}) == {"Labels": {}}
