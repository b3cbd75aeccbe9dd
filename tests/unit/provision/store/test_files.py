# SPDX-License-Identifier: Apache-2.0
"""Contents by their checksums."""

import errno
import hashlib
import io
import os
import pathlib
import stat

import pytest

from nova_multi.domain.errors import Invalid, NotFound, Unavailable
from nova_multi.provision.store import FileStore, files

CONTENT = b"#!/bin/sh\necho hello\n"
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state" / "files"


@pytest.fixture
def kept(folder):
    return FileStore(folder)


def put(kept, content=CONTENT, limit=1000):
    return kept.put(io.BytesIO(content), limit)


def everything(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def age(folder, seconds):
    for path in everything(folder):
        at = path.stat().st_mtime - seconds
        os.utime(path, (at, at))


def test_what_goes_in_comes_out(kept):
    assert put(kept) == (CHECKSUM, len(CONTENT))
    with kept.open(CHECKSUM) as source:
        assert source.read() == CONTENT
    assert kept.size(CHECKSUM) == len(CONTENT)


def test_an_empty_file(kept):
    checksum, size = put(kept, b"")
    assert size == 0
    assert kept.open(checksum).read() == b""


def test_many_reads_are_one_content(kept):
    class Slow(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    assert kept.put(Slow(CONTENT), 1000) == (CHECKSUM, len(CONTENT))


def test_the_same_content_is_kept_once(kept, folder):
    put(kept)
    put(kept)
    assert len(everything(folder)) == 1


def test_nobody_else_can_read(kept, folder):
    put(kept)
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_file_of_the_limit_and_one_byte_more(kept, folder):
    put(kept, limit=len(CONTENT))
    with pytest.raises(Invalid) as caught:
        put(kept, CONTENT + b"!", limit=len(CONTENT))
    assert (caught.value.code, caught.value.field) == ("too_large", "file")
    assert len(everything(folder)) == 1


def test_an_endless_stream_is_not_read_to_its_end(kept):
    class Endless:
        total = 0

        def read(self, size):
            self.total += size
            return b"x" * size

    source = Endless()
    with pytest.raises(Invalid):
        kept.put(source, 5_000_000)
    assert source.total == 5_000_001


def test_a_stream_that_breaks_leaves_nothing(kept, folder):
    class Broken:
        def read(self, size):
            if folder.exists() and everything(folder):
                raise ConnectionError("gone")
            return b"x"

    with pytest.raises(ConnectionError):
        kept.put(Broken(), 1000)
    assert everything(folder) == []


def test_a_full_disk(kept, folder, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(Unavailable, match="no space left"):
        put(kept)
    assert everything(folder) == []


@pytest.mark.parametrize(
    "checksum", ["", "x", CHECKSUM.upper(), f"../{CHECKSUM}", CHECKSUM + "\n", None]
)
def test_what_is_no_checksum_leads_nowhere(kept, checksum):
    put(kept)
    for call in (kept.open, kept.size, kept.delete):
        with pytest.raises(NotFound):
            call(checksum)


def test_content_that_is_not_there(kept):
    for call in (kept.open, kept.size):
        with pytest.raises(NotFound) as caught:
            call("0" * 64)
        assert caught.value.code == "content_missing"
    kept.delete("0" * 64)


def test_deleting(kept, folder):
    put(kept)
    kept.delete(CHECKSUM)
    assert everything(folder) == []


def test_a_sweep_takes_what_is_old_and_unnamed(kept, folder):
    named, _ = put(kept, b"named")
    unnamed, _ = put(kept, b"unnamed")
    (folder / "incoming" / "rest-of-a-crash").touch()
    age(folder, 7200)
    young, _ = put(kept, b"young")
    assert kept.sweep({named}) == [unnamed]
    assert {path.name for path in everything(folder)} == {named, young}


def test_content_that_is_put_again_is_young_again(kept, folder):
    put(kept)
    age(folder, 7200)
    put(kept)
    assert kept.sweep(set()) == []
    assert kept.open(CHECKSUM)


def test_content_that_is_put_during_a_sweep_stays(kept, folder, monkeypatch):
    put(kept)
    age(folder, 7200)
    older = files._is_older

    def put_in_between(path, before):
        found = older(path, before)
        if path.name == CHECKSUM:
            put(kept)
        return found

    monkeypatch.setattr(files, "_is_older", put_in_between)
    assert kept.sweep(set()) == []
    assert kept.open(CHECKSUM).read() == CONTENT


def test_a_sweep_of_nothing(kept):
    assert kept.sweep(set()) == []


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EROFS])
def test_a_folder_that_can_not_be_used(tmp_path, monkeypatch, code):
    files = FileStore(tmp_path / "files")
    checksum, _ = files.put(io.BytesIO(b"kept"), 100)

    def fail(*args, **named):
        raise OSError(code, "the system's words", str(tmp_path))

    monkeypatch.setattr(os, "open", fail)
    monkeypatch.setattr(pathlib.Path, "open", fail)
    for call in (
        lambda: files.put(io.BytesIO(b"a"), 100),
        lambda: files.open(checksum),
    ):
        with pytest.raises(Unavailable, match=errno.errorcode[code]) as caught:
            call()
        assert str(tmp_path) not in caught.value.message


def test_an_upload_on_its_way_is_where_it_will_be_kept(kept, folder):
    with kept.spool() as spool:
        assert not folder.exists()
        spool.write(b"x" * 2 * files._IN_MEMORY)
        where = os.readlink(f"/proc/self/fd/{spool.fileno()}")
        assert where.startswith(str(folder / "incoming"))
        spool.seek(0)
        assert put(kept, b"small")
        assert kept.put(spool, 2 * files._IN_MEMORY)[1] == 2 * files._IN_MEMORY


def test_an_upload_that_finds_no_room(kept):
    spool = kept.spool()
    spool.rollover()
    spool._file.close()
    # Every write there says that the disk is full.
    spool._file = os.fdopen(os.open("/dev/full", os.O_RDWR), "r+b", buffering=0)
    with pytest.raises(Unavailable, match="no space left"):
        spool.write(b"x")
    spool.close()
    (folder_that_is_none := kept._folder / "incoming").rmdir()
    folder_that_is_none.touch()
    with kept.spool() as spool, pytest.raises(Unavailable, match="can't keep"):
        spool.write(b"x" * 2 * files._IN_MEMORY)
