# SPDX-License-Identifier: Apache-2.0
"""Tar archives whose names and headers would eat the machine."""

from __future__ import annotations

import io
import tarfile
import tracemalloc

import pytest

from nova_multi import exception
from nova_multi.inspection import dockerarchive, installer, layers, roottree, tarheader
from nova_multi.inspection.unpacking import Limits

LIMITS = Limits(unpacked_bytes=100 * 1024**2, members=10_000)
#: The longest that is taken, of many short parts.
LONGEST = "a/" * 2047 + "bb"
TOO_LONG = LONGEST + "b"
#: Few characters, too many bytes.
WIDE = "\N{SNOWMAN}" * 1366
LONG_NAMES = [TOO_LONG, WIDE, "\udcff" * 4097, "x" * 60_000]
FORMATS = [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]


def packed(*members: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> io.BytesIO:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for each in members:
            archive.addfile(each, io.BytesIO(bytes(each.size)))
    target.seek(0)
    return target


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = ""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def root(source: io.BytesIO) -> roottree.Tree:
    size = len(source.getvalue())
    return roottree.RootTar(source, LIMITS, size).copy(io.BytesIO())


def layer(source: io.BytesIO) -> layers.Tree:
    tree = layers.Tree()
    with tarfile.open(fileobj=source, tarinfo=tarheader.CheckedInfo) as archive:
        for _ in tree.add_layer(archive):
            pass
    return tree


def outer(source: io.BytesIO) -> dockerarchive.Archive:
    with tarfile.open(fileobj=source, tarinfo=tarheader.CheckedInfo) as archive:
        return dockerarchive.Archive(archive, LIMITS)


def test_the_longest_name():
    for form in FORMATS:
        source = packed(member(LONGEST), member("s", tarfile.SYMTYPE, LONGEST))
        assert root(source).is_file(LONGEST)
        source = packed(member(LONGEST), form=form)
        assert layer(source).is_file("/" + LONGEST)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", LONG_NAMES, ids=range(len(LONG_NAMES)))
@pytest.mark.parametrize("look", [root, layer, outer])
def test_a_name_that_is_too_long(look, name, form):
    with pytest.raises(exception.ImageRejected, match="4096 are possible") as caught:
        look(packed(member("first"), member(name), form=form))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("look", [root, layer, outer])
def test_a_link_target_that_is_too_long(look, kind):
    with pytest.raises(exception.ImageRejected, match="4096 are possible"):
        look(packed(member("x"), member("link", kind, TOO_LONG)))


def deep(number: int) -> str:
    return f"{number:04}/" + "a/" * 2000 + "b"


@pytest.mark.parametrize("look", [root, layer])
def test_names_that_come_to_too_much(look, monkeypatch):
    """A folder counts once, whether it has a member of its own or not."""
    monkeypatch.setattr(tarheader, "MAX_NAMES", 10 * 1024**2)
    many = [member(f"{deep(1)}{number}") for number in range(1000)]
    look(packed(*many))
    with pytest.raises(exception.ImageRejected, match="characters"):
        look(packed(*(member(deep(number)) for number in range(3))))
    links = (member(f"{n}", tarfile.SYMTYPE, LONGEST) for n in range(2600))
    with pytest.raises(exception.ImageRejected, match="characters"):
        look(packed(*links))


def test_folders_that_are_not_walked_again(monkeypatch):
    """What would take time for each of many names is done once."""
    walked = []
    dirname = roottree.posixpath.dirname
    monkeypatch.setattr(
        roottree.posixpath, "dirname", lambda path: walked.append(1) or dirname(path)
    )
    for look in (root, layer):
        walked.clear()
        look(packed(*(member(f"{deep(1)}{number}") for number in range(100))))
        assert len(walked) < 2000 * 3


def test_a_folder_that_only_names_tell_of_is_one():
    tree = root(packed(member("a/b/c")))
    assert tree.has("a") and tree.has("a/b") and tree.has("a/b/c")
    assert not tree.has("b")
    with pytest.raises(exception.ImageRejected, match="both"):
        root(packed(member("a/b/c"), member("a", tarfile.SYMTYPE, "/")))


def test_a_listed_link_target_that_is_too_long():
    tree = roottree.Tree(LIMITS, 1)
    with pytest.raises(exception.ImageRejected, match="4096 are possible"):
        tree.add("link", tree.LINK, TOO_LONG)


def test_a_netboot_archive_with_long_names(tmp_path):
    path = tmp_path / "netboot"
    path.write_bytes(packed(member(TOO_LONG + "/linux")).getvalue())
    with (
        pytest.raises(exception.ImageRejected, match="4096 are possible"),
        installer.opened(str(path), io.BytesIO),
    ):
        pass


@pytest.mark.parametrize("look", [root, layer, outer])
def test_a_header_of_more_than_some_kilobytes(look):
    info = member("x")
    info.pax_headers = {"comment": "c" * tarheader.MAX_HEADER}
    with pytest.raises(exception.ImageRejected, match="tar header of"):
        look(packed(info))


def extended(text: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header of any text."""
    head = tarfile.TarInfo("x")
    head.type, head.size = kind, len(text)
    return head.tobuf() + text + bytes(-len(text) % tarfile.BLOCKSIZE)


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        # Each record begins within the one before: a gigabyte.
        (extended(b"2 " * 30_000 + b"=\n"), "damaged extended header"),
        (extended(b"60000 a=b\n"), "damaged extended header"),
        (extended(b"9 comment\n"), "damaged extended header"),
        (extended(b"0 a=b\n"), "damaged extended header"),
        (extended(b"600 a=" + b"1" * 593 + b"\n"), "digits in a row"),
        # Each for the next, none for a file.
        (extended(b"6 a=b\n") * 51, "50 tar headers"),
        (
            b"".join(
                extended(b"10 a%03d=b\n" % n, tarfile.XGLTYPE)
                + tarfile.TarInfo("x").tobuf()
                for n in range(101)
            ),
            "100 attributes",
        ),
    ],
)
@pytest.mark.parametrize("look", [root, layer, outer])
def test_headers_that_are_absurd(look, headers, word):
    end = tarfile.TarInfo("file").tobuf() + bytes(1024)
    with pytest.raises((exception.ImageRejected, tarfile.ReadError), match=word):
        look(io.BytesIO(headers + end))


def test_a_sparse_map_that_does_not_end():
    head = tarfile.TarInfo("x")
    head.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(head.tobuf())
    block[482] = 1
    block[148:156] = b"%06o\0 " % tarfile.calc_chksums(block)[0]
    more = bytearray(512)
    more[504] = 1
    with pytest.raises(exception.ImageRejected, match="bytes of tar headers"):
        root(io.BytesIO(bytes(block) + bytes(more) * 3000))


def test_sparse_members_of_a_docker_archive(monkeypatch):
    monkeypatch.setattr(dockerarchive, "_MAX_PIECES", 10)
    info = member("x")
    info.pax_headers = {"GNU.sparse.map": "0,1," * 11 + "0,1", "GNU.sparse.size": "9"}
    with pytest.raises(exception.ImageRejected, match="holes"):
        outer(packed(info))


def commented(count: int, size: int) -> io.BytesIO:
    """Members whose headers are large, each another."""
    members = []
    for number in range(count):
        info = member(str(number))
        text = f"{number}" + "x" * size
        info.pax_headers = {"comment": text, "uname": text}
        members.append(info)
    return packed(*members)


def memory(look, source: io.BytesIO) -> int:
    """Bytes that are in use in the end or were on the way."""
    tracemalloc.start()
    try:
        look(source)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Nowhere(io.RawIOBase):
    """Forgets what is written."""

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        return len(data)


def test_headers_are_not_kept_of_a_root_tree():
    def look(source: io.BytesIO) -> None:
        roottree.RootTar(source, LIMITS, 1).copy(Nowhere())

    source = commented(200, 30_000)
    assert memory(look, source) < 3 * 1024**2


def test_headers_are_not_kept_of_a_docker_archive():
    def look(source: io.BytesIO) -> None:
        with pytest.raises(exception.ImageRejected, match="no manifest"):
            outer(source)

    assert memory(look, commented(200, 30_000)) < 3 * 1024**2
