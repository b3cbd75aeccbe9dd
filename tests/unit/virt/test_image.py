# SPDX-License-Identifier: Apache-2.0
"""Images on their way from Glance: routing, checksum, one download, eviction."""

import hashlib
import threading
from unittest import mock

import pytest

from nova_multi import exception
from nova_multi.virt import image
from nova_multi.virt.engine import ImageFacts, ImageKey

DATA = b"an image" * 1000
FACTS = ImageFacts(shell=True, cloud_init=False)
FORMATS = frozenset({("docker", "raw")})


def glance_image(**changed):
    return {
        "id": "image-1",
        "name": "debian",
        "status": "active",
        "container_format": "docker",
        "disk_format": "raw",
        "checksum": hashlib.md5(DATA).hexdigest(),
        "os_hash_algo": "sha512",
        "os_hash_value": hashlib.sha512(DATA).hexdigest(),
        "properties": {"img_hv_type": "docker"},
        **changed,
    }


class Glance:
    """Glance as nova.image.glance.API shows it."""

    def __init__(self, **changed):
        self.image = glance_image(**changed)
        self.data = DATA
        self.downloads = 0
        self.release = threading.Event()
        self.release.set()
        self.updated = None

    def get(self, context, image_id):
        return self.image

    def download(self, context, image_id, data):
        self.downloads += 1
        assert self.release.wait(10)
        data.write(self.data)

    def update(self, context, image_id, fields, data):
        self.updated = (fields, data.read())


class Engine:
    def __init__(self):
        self.held = {}
        self.fail = None
        self.busy = set()

    def image(self, key):
        try:
            return self.held[key]
        except KeyError:
            raise exception.EngineImageNotFound(str(key)) from None

    def import_image(self, key, path):
        if self.fail:
            raise self.fail
        with open(path, "rb") as source:
            assert source.read() == DATA
        self.held[key] = FACTS
        return FACTS

    def images(self):
        return list(self.held)

    def remove_image(self, key):
        if key in self.busy:
            raise exception.EngineConflict("used")
        del self.held[key]

    def export(self, uuid, path):
        with open(path, "wb") as target:
            target.write(b"snapshot")
        return {"container_format": "docker", "disk_format": "raw", "extra": "1"}


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def glance():
    return Glance()


@pytest.fixture
def store(engine, glance, tmp_path):
    return image.ImageStore(engine, glance, str(tmp_path / "s"), "docker", FORMATS)


def left(tmp_path):
    folder = tmp_path / "s"
    return list(folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"properties": {}}, "has no such mark"),
        ({"properties": {"img_hv_type": "qemu"}}, "is marked for qemu"),
        ({"container_format": "bare", "disk_format": "qcow2"}, "bare/qcow2"),
    ],
)
def test_an_image_for_another_hypervisor_is_refused(changed, words):
    with pytest.raises(exception.ImageRejected, match=words):
        image.check_routing(glance_image(**changed), "docker", FORMATS)


def test_an_image_without_data_is_refused():
    empty = glance_image(checksum=None, os_hash_value=None, status="queued")
    with pytest.raises(exception.ImageRejected, match="no data"):
        image.key_of(empty)


def test_downloaded_once_then_kept_by_the_engine(store, glance, tmp_path):
    key, facts = store.ensure(None, "image-1")
    assert key == ImageKey("image-1", hashlib.sha512(DATA).hexdigest())
    assert facts == FACTS
    assert store.ensure(None, "image-1") == (key, facts)
    assert glance.downloads == 1
    assert left(tmp_path) == []


def test_an_old_image_has_only_an_md5(engine, tmp_path):
    glance = Glance(os_hash_algo=None, os_hash_value=None)
    store = image.ImageStore(engine, glance, str(tmp_path), "docker", FORMATS)
    assert store.ensure(None, "image-1")[0].checksum == hashlib.md5(DATA).hexdigest()


def test_many_boots_make_one_download(store, glance):
    glance.release.clear()
    results, threads = [], []
    for _ in range(20):
        thread = threading.Thread(
            target=lambda: results.append(store.ensure(None, "image-1"))
        )
        thread.start()
        threads.append(thread)
    glance.release.set()
    for thread in threads:
        thread.join(10)
    assert glance.downloads == 1
    assert len(results) == 20


def test_other_data_than_glance_recorded_is_refused(store, glance, engine, tmp_path):
    glance.data = DATA[:-1]
    with pytest.raises(exception.ImageRejected, match="sha512"):
        store.ensure(None, "image-1")
    assert engine.held == {}
    assert left(tmp_path) == []


def test_a_failed_import_leaves_no_file_and_is_tried_again(store, engine, tmp_path):
    engine.fail = exception.EngineError("no space left")
    with pytest.raises(exception.EngineError):
        store.ensure(None, "image-1")
    assert left(tmp_path) == []
    engine.fail = None
    store.ensure(None, "image-1")


def test_what_a_killed_service_left_is_deleted(store, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "half").write_bytes(b"x")
    store.clean_staging()
    assert left(tmp_path) == []


def test_a_snapshot_boots_on_the_same_hypervisor(store, glance, tmp_path):
    called = []
    store.export(None, "uuid", "image-1", lambda: called.append(glance.updated))
    fields, data = glance.updated
    assert called == [None]
    assert data == b"snapshot"
    assert fields["container_format"] == "docker"
    assert fields["properties"]["img_hv_type"] == "docker"
    assert fields["properties"]["extra"] == "1"
    assert left(tmp_path) == []


@pytest.fixture
def clock(monkeypatch):
    now = mock.Mock(return_value=1000.0)
    monkeypatch.setattr(image.time, "monotonic", now)
    return now


def test_unused_images_go_after_their_time(store, engine, clock):
    store.ensure(None, "image-1")
    clock.return_value += 99
    store.evict(set(), 100)
    assert engine.held
    clock.return_value += 2
    store.evict({"image-1"}, 100)
    assert engine.held
    store.evict(set(), 100)
    assert engine.held == {}


def test_images_of_an_earlier_process_count_from_now(store, engine, clock):
    engine.held[ImageKey("old", "1")] = FACTS
    store.evict(set(), 100)
    assert engine.held
    clock.return_value += 101
    store.evict(set(), 100)
    assert engine.held == {}


def test_an_image_in_use_stays(store, engine, clock):
    key = ImageKey("busy", "1")
    engine.held[key] = FACTS
    engine.busy.add(key)
    store.evict(set(), 0)
    assert key in engine.held
