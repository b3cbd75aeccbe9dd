# SPDX-License-Identifier: Apache-2.0
"""Disks and ISO images: what is taken, what is refused and why."""

import io

import pytest

from nova_multi import cpio
from nova_multi.exception import ImageRejected
from nova_multi.inspection import disk, installer
from nova_multi.inspection.iso import Iso
from tests.fixtures import image_files

ISO = image_files.iso(
    {"install.amd/vmlinuz": image_files.kernel(), "install.amd/initrd.gz": b"rd"}
)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "image"
        path.write_bytes(content)
        return str(path)

    return write


def test_disks(write):
    assert disk.disk(write(image_files.partitioned())) == disk.Disk("raw", 4096)
    assert disk.disk(write(image_files.qcow2(3))) == disk.Disk("qcow2", 3 * 1024**3)
    ext4 = bytes(1080) + b"\x53\xef" + bytes(4096)
    assert disk.disk(write(ext4)).format == "raw"
    assert disk.iso(write(ISO)).format == "iso"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (image_files.qcow2(backing=512), "backing file"),
        (image_files.qcow2(features=4), "data is in another file"),
        (image_files.qcow2(version=9), "version"),
        (image_files.qcow2()[:40], "no disk"),
        (image_files.tree("a"), "tar archive"),
        (image_files.tree("a", compress="gz"), "packed with gzip"),
        (b"<html>not found</html>", "web page"),
        (b"nothing at all" * 100, "without partitions"),
        (ISO, "an ISO"),
        (b"x", "no disk"),
    ],
    ids=image_files.word,
)
def test_what_is_no_disk(write, content, why):
    with pytest.raises(ImageRejected, match=why):
        disk.disk(write(content))


@pytest.mark.parametrize("content", [image_files.qcow2(), b"x" * 40000, b""])
def test_what_is_no_iso(write, content):
    with pytest.raises(ImageRejected, match="no ISO"):
        disk.iso(write(content))


@pytest.mark.parametrize("long_names", [False, True])
def test_files_of_an_iso(long_names):
    content = image_files.iso(
        {"a/b/c.txt": b"deep", "x": b"y" * 3000}, long_names=long_names
    )
    iso = Iso(io.BytesIO(content))
    at, size = iso.find("a/b/C.TXT")
    assert content[at : at + size] == b"deep"
    at, size = iso.find("x")
    assert content[at : at + size] == b"y" * 3000
    for path in ("a", "a/b/d", "x/y", "nothing"):
        assert iso.find(path) is None


@pytest.mark.parametrize("size", [0, 16 * 2048, 17 * 2048, 18 * 2048 + 5])
def test_truncated_isos(size):
    with pytest.raises(ImageRejected):
        Iso(io.BytesIO(ISO[:size])).find("install.amd/vmlinuz")


@pytest.mark.parametrize(
    "content", [ISO, image_files.netboot(), image_files.netboot(".")]
)
def test_an_installers_kernel(write, content):
    with installer.opened(write(content), io.BytesIO) as boot:
        assert boot.kernel.read() == image_files.kernel()
        assert boot.ramdisk.read() in (b"rd", b"ramdisk")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (image_files.iso({"readme": b""}), "no installer's kernel"),
        (image_files.netboot(linux=b"MZ"), "no Linux kernel"),
        (image_files.netboot(initrd_gz=b""), "has 0 bytes"),
        (image_files.tree("linux", "other/", compress="gz"), "no folder"),
        (image_files.netboot()[:-20], "no whole"),
        (b"no archive", "no whole"),
    ],
)
def test_what_no_installer_is(write, content, why):
    with (
        pytest.raises(ImageRejected, match=why),
        installer.opened(write(content), io.BytesIO),
    ):
        pass


def test_files_for_a_ram_disk():
    packed = cpio.archive({"a/b": (b"12345", 0o600), "c": (b"", 0o755)})
    names = [n for n in (b"a\0", b"a/b\0", b"c\0", b"TRAILER!!!\0") if n in packed]
    assert len(names) == 4 and packed.count(b"070701") == 4
    assert len(packed) % 4 == 0 and packed.index(b"a\0") < packed.index(b"a/b\0")
