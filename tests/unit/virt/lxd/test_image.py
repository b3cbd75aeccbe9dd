# SPDX-License-Identifier: Apache-2.0
"""Images: what is taken, what is rebuilt, what is refused before LXD sees it."""

import copy
import gzip
import io
import json
import shutil
import subprocess
import tarfile

import pytest

from nova_multi import exception
from nova_multi.inspection import roottree
from nova_multi.virt.engine import ImageKey
from nova_multi.virt.lxd import image

KEY = ImageKey("51061ca7-5b78-4f38-8461-4a792ed6d8c2", "cd" * 64)
LIMITS = roottree.Limits(unpacked_bytes=10 * 1024**2, members=100)


def member(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def folder(name):
    return member(name, type=tarfile.DIRTYPE, mode=0o755)


def link(name, target):
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hard_link(name, target):
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def device(name):
    return member(name, type=tarfile.CHRTYPE, devmajor=1, devminor=3)


#: As merged-/usr distributions are.
SYSTEM = [
    folder("usr"),
    folder("usr/bin"),
    link("bin", "usr/bin"),
    link("usr/bin/sh", "dash"),
    member("usr/bin/dash", b"shell", mode=0o755),
    folder("sbin"),
    link("sbin/init", "/bin/sh"),
]
CLOUD_INIT = [
    member("usr/bin/cloud-init", b"#!"),
    member("usr/lib/systemd/system-generators/cloud-init-generator", b"#!"),
]


def below(prefix, members):
    moved = []
    for info, data in members:
        changed = copy.copy(info)
        changed.name = prefix + info.name
        if info.type == tarfile.LNKTYPE:
            changed.linkname = prefix + info.linkname
        moved.append((changed, data))
    return moved


def tar(path, members, **options):
    with tarfile.open(path, "w", **options) as target:
        for info, data in members:
            target.addfile(info, io.BytesIO(data))
    return path


def prepare(path, limits=LIMITS):
    """Names in the root file system that LXD gets, its metadata, and the facts."""
    with image.prepared(str(path), KEY, limits) as (metadata, rootfs, facts):
        with tarfile.open(fileobj=metadata) as packed:
            (name,) = packed.getnames()
            described = json.load(packed.extractfile(name))
        data = rootfs.read()
    return data, described, facts


def names(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as packed:
        return packed.getnames()


def test_root_tarball(tmp_path):
    data, described, facts = prepare(tar(tmp_path / "image", SYSTEM))
    assert names(data) == [info.name for info, _ in SYSTEM]
    assert (facts.shell, facts.cloud_init) == (True, False)
    assert facts.command == ("/sbin/init",)
    assert facts.size_bytes == len(b"shell")
    assert described["properties"][image.IMAGE_ID] == KEY.image_id


@pytest.mark.parametrize("packed", ["gz", "xz", "bz2"])
def test_compressed_root_tarball(tmp_path, packed):
    path = tmp_path / "image"
    with tarfile.open(path, f"w:{packed}") as target:
        for info, data in below("./", SYSTEM):
            target.addfile(info, io.BytesIO(data))
    assert names(prepare(path)[0]) == [info.name for info, _ in SYSTEM]


@pytest.mark.parametrize("first", ["metadata.yaml", "templates/x", None])
def test_unified_tarball_loses_metadata_and_templates(tmp_path, first):
    evil = [
        member("metadata.yaml", b"templates: {/etc/shadow: {template: x}}"),
        member("templates/x", b"{{ evil }}"),
    ]
    evil.sort(key=lambda each: each[0].name != first)
    root = [folder("rootfs"), *below("rootfs/", SYSTEM)]
    members = evil + root if first else root + evil
    data, described, _ = prepare(tar(tmp_path / "image", members))
    assert names(data) == [info.name for info, _ in SYSTEM]
    assert set(described) == {"architecture", "creation_date", "properties"}


def test_hard_links_and_attributes_survive(tmp_path):
    attributes = {"SCHILY.xattr.security.capability": "capable"}
    members = [
        *SYSTEM,
        member("usr/bin/ping", b"ping", pax_headers=attributes),
        hard_link("usr/bin/ping6", "usr/bin/ping"),
    ]
    path = tar(tmp_path / "image", below("rootfs/", members), format=tarfile.PAX_FORMAT)
    with tarfile.open(fileobj=io.BytesIO(prepare(path)[0])) as packed:
        ping = packed.getmember("usr/bin/ping")
        assert ping.pax_headers["SCHILY.xattr.security.capability"] == "capable"
        assert packed.getmember("usr/bin/ping6").linkname == "usr/bin/ping"


def test_devices_of_the_distribution_are_left_out(tmp_path):
    path = tar(tmp_path / "image", [*SYSTEM, folder("dev"), device("dev/null")])
    assert "dev/null" not in names(prepare(path)[0])


@pytest.mark.parametrize(
    "members, word",
    [
        ([member("../escaped", b"x")], "leads out"),
        ([member("/etc/passwd", b"x")], "leads out"),
        ([folder("a"), member("a/../../x", b"x")], "leads out"),
        ([link("a", "/etc"), member("a/passwd", b"x")], "below"),
        ([member("a", b"x"), member("a/b", b"x")], "below"),
        ([folder("a"), link("a", "/etc")], "both"),
        ([hard_link("a", "../../etc/shadow")], "leads out"),
        ([hard_link("a", "etc/shadow")], "hard link"),
        ([link("etc", "/etc"), hard_link("a", "etc/shadow")], "hard link"),
        ([device("sda")], "device"),
        ([device("usr/dev/null")], "device"),
        ([member("manifest.json", b"[]"), member("layer.tar", b"")], "Docker"),
        ([member("oci-layout", b"{}")], "Docker"),
        ([member("metadata.yaml", b"{}")], "no files"),
        ([member(str(n), b"") for n in range(101)], "more than 100"),
        ([member("big", bytes(11 * 1024**2))], "larger"),
        ([member("pipe", type=b"?")], "unknown type"),
    ],
)
def test_dangerous_archives(tmp_path, members, word):
    with pytest.raises(exception.ImageRejected, match=word):
        prepare(tar(tmp_path / "image", members))


def test_something_absurdly_compressed(tmp_path, monkeypatch):
    monkeypatch.setattr(roottree, "RATIO_FLOOR", 1024**2)
    path = tmp_path / "image"
    with tarfile.open(path, "w:gz") as target:
        info, data = member("zeros", bytes(8 * 1024**2))
        target.addfile(info, io.BytesIO(data))
    with pytest.raises(exception.ImageRejected, match="times"):
        prepare(path)


def test_header_that_would_fill_the_memory(tmp_path):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2 * 1024**2
    path = tmp_path / "image"
    path.write_bytes(header.tobuf() + bytes(header.size))
    with pytest.raises(exception.ImageRejected, match="header"):
        prepare(path)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"random bytes that are no archive" * 100,
        gzip.compress(b"no tar", mtime=0),
        b"hsqs" + bytes(92),
        b"hsqs",
    ],
)
def test_no_image_at_all(tmp_path, damage):
    path = tmp_path / "image"
    path.write_bytes(damage)
    with pytest.raises(exception.ImageRejected):
        prepare(path)


def test_truncated_archive(tmp_path):
    path = tar(tmp_path / "image", [member("big", bytes(10_000))])
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(exception.ImageRejected):
        prepare(path)


def test_nothing_stays_beside_the_image(tmp_path):
    path = tar(tmp_path / "image", [member("../escaped", b"x")])
    with pytest.raises(exception.ImageRejected):
        prepare(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "more, enabled",
    [
        ([], False),
        (CLOUD_INIT, True),
        (CLOUD_INIT[:1], False),
        ([*CLOUD_INIT, member("etc/cloud/cloud-init.disabled")], False),
        ([CLOUD_INIT[0], link("etc/rc2.d/S01cloud-init", "../init.d/x")], True),
        (
            [
                CLOUD_INIT[0],
                link("etc/systemd/system/x.target.wants/cloud-init.service", "x"),
            ],
            True,
        ),
    ],
)
def test_cloud_init_counts_if_it_would_run(tmp_path, more, enabled):
    path = tar(tmp_path / "image", [*SYSTEM, *more])
    assert prepare(path)[2].cloud_init is enabled


def test_links_that_go_round_in_circles(tmp_path):
    members = [folder("bin"), link("bin/sh", "ash"), link("bin/ash", "sh")]
    assert not prepare(tar(tmp_path / "image", members))[2].shell


def test_links_can_not_leave_the_image(tmp_path):
    members = [folder("bin"), link("bin/sh", "../../../../usr/dash")]
    path = tar(tmp_path / "image", [*members, folder("usr"), member("usr/dash", b"x")])
    assert prepare(path)[2].shell


def test_facts_are_what_lxd_gives_back(tmp_path):
    _, described, facts = prepare(tar(tmp_path / "image", [*SYSTEM, *CLOUD_INIT]))
    assert image.facts_of(described) == facts
    assert image.key_of(described) == KEY
    assert image.key_of({"properties": {"description": "somebody's"}}) is None


@pytest.fixture
def system_folder(tmp_path):
    assert shutil.which("mksquashfs"), "squashfs-tools is needed"
    root = tmp_path / "root"
    for name in ("usr/bin", "sbin"):
        (root / name).mkdir(parents=True)
    (root / "usr/bin/dash").write_bytes(b"shell")
    (root / "usr/bin/sh").symlink_to("dash")
    (root / "bin").symlink_to("usr/bin")
    (root / "sbin/init").symlink_to("/bin/sh")
    (root / "usr/a name -> with arrow").write_bytes(b"xx")
    return root


def make_squashfs(root, path, *pseudo):
    options = ["-quiet", "-no-progress", "-all-root"]
    for definition in pseudo:
        options += ["-p", definition]
    command = ["mksquashfs", str(root), str(path), *options]
    subprocess.run(command, check=True, capture_output=True)
    return path


def test_squashfs_goes_through_as_it_is(system_folder, tmp_path):
    null = ("dev d 755 0 0", "dev/null c 666 0 0 1 3")
    path = make_squashfs(system_folder, tmp_path / "image", *null)
    data, _, facts = prepare(path)
    assert data == path.read_bytes()
    assert (facts.shell, facts.cloud_init) == (True, False)
    assert facts.command == ("/sbin/init",)
    assert facts.size_bytes == len(b"shell") + len(b"xx")


def test_squashfs_with_a_device(system_folder, tmp_path):
    path = make_squashfs(system_folder, tmp_path / "image", "usr/sda b 666 0 0 8 0")
    with pytest.raises(exception.ImageRejected, match="device"):
        prepare(path)


@pytest.mark.parametrize(
    "limits, word",
    [
        (roottree.Limits(unpacked_bytes=3, members=100), "larger"),
        (roottree.Limits(unpacked_bytes=1024, members=3), "more than 3"),
    ],
)
def test_squashfs_over_the_limits(system_folder, tmp_path, limits, word):
    path = make_squashfs(system_folder, tmp_path / "image")
    with pytest.raises(exception.ImageRejected, match=word):
        prepare(path, limits)


def test_truncated_squashfs(system_folder, tmp_path):
    path = make_squashfs(system_folder, tmp_path / "image")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(exception.ImageRejected):
        prepare(path)
