# SPDX-License-Identifier: Apache-2.0
"""Docker archives: what is found in them, what is refused, what the daemon gets."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile

import pytest

from nova_multi import exception
from nova_multi.inspection import unpacking
from nova_multi.virt.docker import image
from nova_multi.virt.engine import ImageFacts, ImageKey
from tests.unit.virt.docker import archives

LIMITS = image.Limits(unpacked_bytes=10 * 1024 * 1024, members=100)
KEY = ImageKey("0badcafe-0000-4000-8000-000000000001", "ab" * 64)
SHELL = archives.layer(("bin", None), ("bin/dash", b"x"), ("bin/sh", "-> dash"))


def facts(path, limits=LIMITS):
    with image.opened(str(path), limits) as archive:
        return archive.facts


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.tar"


# -- facts ------------------------------------------------------------------------


def test_facts(path):
    archives.image(path, [SHELL], settings={"Entrypoint": ["/run"], "Cmd": ["a", "b"]})
    assert facts(path) == ImageFacts(
        shell=True, cloud_init=False, command=("/run", "a", "b"), size_bytes=1
    )


def test_command_as_a_string(path):
    archives.image(path, [SHELL], settings={"Cmd": "/bin/sh"})
    assert facts(path).command == ("/bin/sh",)


@pytest.mark.parametrize("settings", [{}, {"Cmd": None, "Entrypoint": []}])
def test_no_command(path, settings):
    archives.image(path, [SHELL], settings=settings)
    assert facts(path).command == ()


@pytest.mark.parametrize(
    ("command", "disabled", "expected"),
    [
        (["/sbin/init"], False, True),
        (["/lib/systemd/systemd", "--log-target=console"], False, True),
        # Nothing would start it.
        (["/usr/sbin/nginx"], False, False),
        ([], False, False),
        (["/sbin/init"], True, False),
    ],
)
def test_cloud_init(path, command, disabled, expected):
    entries = [("usr/bin/cloud-init", b"x")]
    if disabled:
        entries.append(("etc/cloud/cloud-init.disabled", b""))
    archives.image(path, [archives.layer(*entries)], settings={"Cmd": command})
    assert facts(path).cloud_init is expected


@pytest.mark.parametrize("compress", [False, True])
def test_layers_and_whole_archive_compressed(path, compress):
    archives.image(path, [SHELL], compress=compress)
    assert facts(path).shell
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert facts(path).shell


def test_layer_that_is_a_link_to_another(path):
    archives.image(path, [SHELL, SHELL], links={"1/layer.tar": "../0/layer.tar"})
    assert facts(path).shell


# -- refused ----------------------------------------------------------------------


@pytest.mark.parametrize("in_layer", [False, True])
def test_header_that_would_fill_the_memory(path, in_layer):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2 * 1024**2
    content = header.tobuf() + bytes(header.size)
    if in_layer:
        archives.image(path, [content])
    else:
        path.write_bytes(content)
    with pytest.raises(exception.ImageRejected, match="header"):
        facts(path)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (("../etc/passwd", b"x"), "leads out"),
        (("a/../../b", b"x"), "leads out"),
        (("hard", "=> ../../etc/shadow"), "leads out"),
        (("sda", "blk"), "device node"),
        (("etc/mem", "chr"), "device node"),
    ],
)
def test_dangerous_member(path, entry, why):
    archives.image(path, [archives.layer(entry)])
    with pytest.raises(exception.ImageRejected, match=why):
        facts(path)


@pytest.mark.parametrize(
    "entry",
    [
        ("/absolute/file", b"x"),
        ("./bin/sh", b"x"),
        ("link", "-> /etc/passwd"),
        ("link", "-> ../../../etc/passwd"),
        ("dev/null", "chr"),
        ("run/initctl", "fifo"),
    ],
)
def test_harmless_member(path, entry):
    archives.image(path, [archives.layer(entry)])
    facts(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"manifest": []}, "0 images"),
        ({"manifest": [{}, {}]}, "2 images"),
        ({"manifest": {}}, "no JSON list"),
        ({"manifest": [{"Config": 7}]}, "Config"),
        ({"manifest": [{"Config": "config.json"}]}, "no layers"),
        ({"manifest": [{"Config": "gone.json", "Layers": []}]}, "gone.json"),
        (
            {"manifest": [{"Config": "config.json", "Layers": ["../x"]}]},
            "docker save",
        ),
        ({"config": {"rootfs": {"diff_ids": []}}}, "layers"),
        ({"config": {"rootfs": {"diff_ids": ["md5:1"]}}}, "digest"),
        ({"config": {"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}}}, "digest"),
        ({"config": {"os": "windows"}}, "windows"),
        ({"config": {"architecture": "m68k"}}, "m68k"),
        ({"settings": {"Cmd": [1]}}, "Cmd"),
        ({"settings": ["x"]}, "configuration"),
    ],
)
def test_wrong_description(path, change, why):
    archives.image(path, [SHELL], **change)
    with pytest.raises(exception.ImageRejected, match=why):
        facts(path)


@pytest.mark.parametrize(
    "content", [b"", b"rubbish" * 1000, b"\x1f\x8bnot gzip", b"\x28\xb5\x2f\xfd zstd"]
)
def test_no_archive(path, content):
    path.write_bytes(content)
    with pytest.raises(exception.ImageRejected):
        facts(path)


@pytest.mark.parametrize("compress", [False, True])
def test_truncated(path, compress):
    archives.image(
        path, [archives.layer(("big", os.urandom(200_000)))], compress=compress
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(exception.ImageRejected):
        facts(path)


def test_too_many_files(path):
    archives.image(path, [archives.layer(*((f"f{n}", b"") for n in range(200)))])
    with pytest.raises(exception.ImageRejected, match="100 files"):
        facts(path)


def test_too_large(path):
    archives.image(path, [archives.layer(("big", bytes(6_000_000)))] * 2)
    with pytest.raises(exception.ImageRejected, match="larger than"):
        facts(path)


def test_bomb(path, monkeypatch):
    monkeypatch.setattr(unpacking, "RATIO_FROM", 100_000)
    archives.image(path, [archives.layer(("big", bytes(9_000_000)))], compress=True)
    with pytest.raises(exception.ImageRejected, match="unpacks to more"):
        facts(path)


def test_bomb_around_everything(path, monkeypatch):
    monkeypatch.setattr(unpacking, "RATIO_FROM", 100_000)
    archives.image(path, [archives.layer(("big", bytes(9_000_000)))])
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(exception.ImageRejected, match="unpacks to more"):
        facts(path)


def test_too_many_layers(path):
    archives.image(path, [archives.layer((str(n), b"")) for n in range(121)])
    with pytest.raises(exception.ImageRejected, match="121 layers"):
        facts(path, image.Limits(unpacked_bytes=10**7, members=1000))


# -- what the daemon gets -----------------------------------------------------------


def rebuilt(path):
    with image.opened(str(path), LIMITS) as archive:
        data = b"".join(image.rebuilt(archive, KEY))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}
    (entry,) = json.loads(members["manifest.json"])
    return entry, json.loads(members[entry["Config"]]), members


def test_only_our_name(path):
    archives.image(path, [SHELL])
    entry, _, _ = rebuilt(path)
    assert entry["RepoTags"] == [f"nova-multi/{KEY.image_id}:{KEY.checksum}"]


def test_layers_unchanged(path):
    other = archives.layer(("x", b"y"))
    archives.image(path, [SHELL, other, SHELL])
    entry, config, members = rebuilt(path)
    assert [members[name] for name in entry["Layers"]] == [SHELL, other, SHELL]
    assert config["rootfs"]["diff_ids"] == [
        archives.digest(data) for data in (SHELL, other, SHELL)
    ]


def test_settings_that_reach_the_guest(path):
    archives.image(
        path,
        [SHELL],
        settings={
            "Env": ["A=1"],
            "User": "www",
            "WorkingDir": "/srv",
            "StopSignal": "SIGQUIT",
            "Cmd": ["run"],
            "Volumes": {"/data": {}},
            "Healthcheck": {"Test": ["CMD", "x"]},
            "OnBuild": ["RUN x"],
            "Labels": {"theirs": "1", "nova-multi.host": "stolen"},
        },
    )
    _, config, _ = rebuilt(path)
    labels = config["config"].pop("Labels")
    assert config["config"] == {
        "Env": ["A=1"],
        "User": "www",
        "WorkingDir": "/srv",
        "StopSignal": "SIGQUIT",
        "Cmd": ["run"],
    }
    assert labels["theirs"] == "1"
    assert "nova-multi.host" not in labels


def test_facts_are_kept_with_the_image(path):
    archives.image(path, [SHELL], settings={"Cmd": ["run"]})
    _, config, _ = rebuilt(path)
    assert image.facts_of(config["config"]["Labels"]) == facts(path)


@pytest.mark.parametrize("label", ["", "[]", "{}", '{"shell": true}'])
def test_damaged_facts(label):
    assert image.facts_of({image.LABEL_FACTS: label}) is None
