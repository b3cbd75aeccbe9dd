# SPDX-License-Identifier: Apache-2.0
"""Images from files of the service itself, named by their URLs."""

import io

import pytest

from nova_multi.domain.errors import Invalid
from nova_multi.domain.image import ImageType
from nova_multi.domain.permissions import Permissions
from nova_multi.provision import fetch
from nova_multi.provision.inside import file_named
from nova_multi.provision.service import Scope
from tests.unit.provision.callers import member_of
from tests.unit.provision.conftest import DISK, NOWHERE

ENDPOINTS = ("https://multi.example/v1", "http://127.0.0.1:9797")
URL = "https://multi.example/v1/files/disk.img"


@pytest.mark.parametrize(
    ("url", "name", "scope"),
    [
        (URL, "disk.img", NOWHERE),
        ("https://multi.example:443/file/disk.img/", "disk.img", NOWHERE),
        ("https://MULTI.example/api/virtshell/v1/files/a%20b", "a b", NOWHERE),
        ("http://127.0.0.1:9797/files/x?partition=co", "x", Scope(partition="co")),
        (
            "http://127.0.0.1:9797/v1/file/x?environment=dev",
            "x",
            Scope(environment="dev"),
        ),
        ("https://multi.example/v1/files/files", "files", NOWHERE),
    ],
)
def test_files_of_the_service(url, name, scope):
    assert file_named(url, ENDPOINTS) == (name, scope)


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/v1/files/disk.img",
        "https://multi.example:9797/files/x",
        "http://127.0.0.1/files/x",
        "https://multi.example.org/files/x",
    ],
)
def test_what_is_elsewhere(url):
    assert file_named(url, ENDPOINTS) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://multi.example",
        "https://multi.example/v1/images/debian",
        "https://multi.example/v1/files",
        "https://multi.example/v1/files/a/b",
        "https://user:password@multi.example/files/a",
        "ftp://multi.example/files/a",
    ],
)
def test_what_names_no_file(url):
    with pytest.raises(Invalid) as caught:
        file_named(url, ENDPOINTS)
    assert caught.value.field == "download_url"


@pytest.fixture
def stage(make_stage, monkeypatch):
    """A service that knows its own address, and fetches nothing."""

    def opened(*_):
        raise AssertionError("fetched over the network")

    monkeypatch.setattr(fetch, "opened", opened)
    return make_stage(endpoints=ENDPOINTS, max_image_size=5000).ready()


def put(stage, caller, content=DISK, **fields):
    fields = {"name": "disk.img", **fields}
    return stage.service.files.create(caller, fields, io.BytesIO(content), NOWHERE)


def ask(stage, caller, url=URL):
    fields = {"name": "own", "type": ImageType.DISK, "download_url": url}
    return stage.service.images.create(caller, fields, NOWHERE)


def test_an_image_of_a_file(stage):
    member = member_of(stage)
    put(stage, member)
    task = stage.done(ask(stage, member))
    assert task.status == "created", task.history[-1].message
    image = stage.service.images.show(member, "own", NOWHERE)
    assert (image.status, image.size, image.download_url) == ("active", len(DISK), URL)


def test_only_files_that_the_caller_may_see(stage):
    member, mate = member_of(stage), member_of(stage, user="user-o")
    put(stage, mate, permissions=Permissions("rwx------"))
    for url in (URL, "http://127.0.0.1:9797/file/none"):
        with pytest.raises(Invalid, match="there is no file") as caught:
            ask(stage, member, url)
        assert caught.value.field == "download_url"
    assert stage.done(ask(stage, mate)).status == "created"


def test_a_file_that_is_no_image_for_its_size(stage):
    member = member_of(stage)
    put(stage, member, b"x" * 5001)
    with pytest.raises(Invalid, match="more than 5000 bytes"):
        ask(stage, member)


def test_a_file_that_goes_meanwhile(stage):
    member = member_of(stage)
    put(stage, member)
    accepted = ask(stage, member)
    stage.service.files.delete(member, "disk.img", NOWHERE)
    task = stage.done(accepted)
    assert task.status == "error"
    assert stage.world.images.keys() == {
        key for key, each in stage.world.images.items() if each.name != "own"
    }
