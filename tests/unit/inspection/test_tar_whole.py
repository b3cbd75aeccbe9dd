# SPDX-License-Identifier: Apache-2.0
"""Tar archives that are cut off or damaged, and the forms that whole ones have."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import subprocess
import tarfile

import pytest

from nova_multi import exception
from nova_multi.inspection import installer, roottree, tarheader, unpacking
from nova_multi.inspection.unpacking import Limits

LIMITS = Limits(unpacked_bytes=10 * 1024**2, members=1000)
BLOCK = tarfile.BLOCKSIZE
#: What ends an archive.
END = bytes(2 * BLOCK)
PACKERS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}
CONTENT = random.Random(7).randbytes(1200)
COUNT = 50


def blocks(name: str, content: bytes = CONTENT, **pax: str) -> bytes:
    """One member."""
    info = tarfile.TarInfo(name)
    info.size, info.pax_headers = len(content), pax
    return info.tobuf() + content + bytes(-len(content) % BLOCK)


MEMBERS = [blocks(f"file-{number:02}") for number in range(COUNT)]
WHOLE = b"".join(MEMBERS) + END


def copied(data: bytes) -> tuple[roottree.Tree, bytes]:
    """The tree of an image and what is written of it."""
    target = io.BytesIO()
    tree = roottree.RootTar(io.BytesIO(data), LIMITS, len(data)).copy(target)
    return tree, target.getvalue()


def refused(data: bytes, word: str = "no whole tar archive") -> None:
    with pytest.raises(exception.ImageRejected, match=word):
        copied(data)


@pytest.fixture(params=PACKERS)
def packer(request):
    return PACKERS[request.param]


# -- whole ones


@pytest.mark.parametrize("more", [b"", bytes(7 * BLOCK), b"more"])
def test_whole(packer, more):
    tree, written = copied(packer(WHOLE + more))
    assert len(tree) == COUNT
    with tarfile.open(fileobj=io.BytesIO(written)) as archive:
        for member in archive:
            assert archive.extractfile(member).read() == CONTENT


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=gnu", "--sparse"],
        *(
            ["--format=posix", "--sparse", f"--sparse-version={version}"]
            for version in ("0.0", "0.1", "1.0")
        ),
        ["--format=posix", "--gzip"],
        ["--format=gnu", "--blocking-factor=1"],
    ],
    ids=" ".join,
)
def test_whole_by_gnu_tar(tmp_path, options):
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(CONTENT)
    os.link(root / "a", root / "b")
    with open(root / "holes", "wb") as target:
        # More pieces than a header has room for.
        for number in range(40):
            target.seek(number * 65536)
            target.write(CONTENT)
        target.truncate(50 * 65536)
    holes = (root / "holes").read_bytes()
    (root / ("long" * 40)).write_bytes(CONTENT)
    (root / "link").symlink_to("long" * 40)
    path = tmp_path / "image"
    subprocess.run(
        ["tar", "--create", f"--file={path}", f"--directory={root}", *options, "."],
        check=True,
    )
    tree, written = copied(path.read_bytes())
    assert len(tree) == 5
    with tarfile.open(fileobj=io.BytesIO(written)) as archive:
        for name, content in (("a", CONTENT), ("b", CONTENT), ("holes", holes)):
            assert archive.extractfile(name).read() == content
        assert sum(member.islnk() for member in archive) == 1
    # What we write, we take.
    assert len(copied(written)[0]) == 5


# -- damaged ones


@pytest.mark.parametrize("number", [1, 10, COUNT])
@pytest.mark.parametrize("extra", [0, 100, BLOCK, BLOCK + 100])
def test_cut_off(packer, number, extra):
    data = b"".join(MEMBERS[:number])
    refused(packer(data + MEMBERS[0][:extra]))


def test_half_of_the_end(packer):
    refused(packer(b"".join(MEMBERS) + bytes(BLOCK)), "half the mark")
    refused(packer(b"".join(MEMBERS) + bytes(BLOCK) + MEMBERS[0]), "half the mark")
    refused(packer(b"".join(MEMBERS) + bytes(BLOCK + 10)), "half the mark")


def test_a_damaged_header(packer):
    data = bytearray(WHOLE)
    data[10 * len(MEMBERS[0]) + 1] ^= 1
    refused(packer(bytes(data)), "bad checksum")


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_bit(name, place):
    data = bytearray(PACKERS[name](WHOLE))
    data[int(len(data) * place)] ^= 1
    refused(bytes(data))


def test_a_wrong_checksum_in_the_very_end():
    data = bytearray(gzip.compress(WHOLE + bytes(10_000_000)))
    data[-8] ^= 1
    refused(bytes(data))
    refused(gzip.compress(WHOLE)[:-8])


def test_a_bomb_behind_the_end(monkeypatch):
    refused(gzip.compress(WHOLE + bytes(13_000_000)), "unpacks to more than")
    monkeypatch.setattr(roottree, "RATIO_FLOOR", 100_000)
    refused(gzip.compress(WHOLE + bytes(12_000_000)), "unpacks to more than")


def test_zstd_is_told():
    refused(b"\x28\xb5\x2f\xfd" + bytes(600), "zstd")


@pytest.mark.parametrize(
    "headers",
    [
        {"mtime": "inf"},
        {"mtime": "nan"},
        {"mtime": "-inf"},
        {"size": "-1"},
        {"size": "99999999"},
        {"GNU.sparse.map": "0,x", "GNU.sparse.size": "1"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
        {"GNU.sparse.map": "0,9999", "GNU.sparse.size": "9999"},
        {"GNU.sparse.map": "0,1", "GNU.sparse.size": "-9"},
        {"GNU.sparse.size": "x"},
    ],
    ids=str,
)
def test_values_that_can_not_be(headers):
    """No error of the machine, after which a task would try again."""
    refused(MEMBERS[0] + blocks("bad", **headers) + END, "no whole tar|larger than")


def test_a_negative_size():
    info = tarfile.TarInfo("x")
    info.size = -1
    refused(MEMBERS[0] + info.tobuf(tarfile.GNU_FORMAT) + END)
    info.type = tarfile.XHDTYPE
    refused(MEMBERS[0] + info.tobuf(tarfile.GNU_FORMAT) + END, "header of -1 bytes")


def test_errors_of_the_disk_pass():
    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        roottree.RootTar(io.BytesIO(WHOLE), LIMITS, 1).copy(Full())


# -- other archives


def test_a_damaged_header_in_a_layer():
    data = bytearray(WHOLE)
    data[10 * len(MEMBERS[0]) + 1] ^= 1
    with (
        pytest.raises(exception.ImageRejected, match="bad checksum"),
        unpacking.damage_rejected(),
        tarfile.open(
            fileobj=io.BytesIO(data), mode="r|", tarinfo=tarheader.CheckedInfo
        ) as archive,
    ):
        assert len(archive.getmembers()) == 10


def test_a_netboot_archive(tmp_path):
    kernel = bytes(0x202) + b"HdrS" + CONTENT
    data = blocks("linux", kernel) + blocks("initrd.gz")
    path = tmp_path / "netboot"

    def opened() -> None:
        with installer.opened(str(path), io.BytesIO) as found:
            assert found.kernel.read() == kernel and found.ramdisk.read() == CONTENT

    path.write_bytes(gzip.compress(data + END))
    opened()
    wrong = bytearray(gzip.compress(data + END))
    wrong[-8] ^= 1
    for damaged in (gzip.compress(data), bytes(wrong)):
        path.write_bytes(damaged)
        with pytest.raises(exception.ImageRejected, match="no whole ISO or netboot"):
            opened()
