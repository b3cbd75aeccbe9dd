# SPDX-License-Identifier: Apache-2.0
"""Images: routing, pages, names, content; as Glance answers."""

from __future__ import annotations

import pytest

from nova_multi.cloud.image import formats, routing
from nova_multi.domain import errors
from nova_multi.domain.image import ImageType

from .conftest import ENVIRONMENT, TASK
from .fake import TIMED_OUT, Answer


def raw_image(number=0, **changes):
    return {
        "id": f"image-{number}",
        "name": f"debian-{number}",
        "status": "active",
        "visibility": "private",
        "owner": "project-1",
        "disk_format": "raw",
        "container_format": "docker",
        "size": 1000,
        "virtual_size": None,
        "min_disk": 1,
        "min_ram": 64,
        "checksum": "md5",
        "os_hash_algo": "sha512",
        "os_hash_value": "abc",
        "os_hidden": False,
        "protected": False,
        "created_at": "2026-11-20T10:00:00Z",
        "updated_at": "2026-11-20T10:00:01Z",
        "tags": ["t"],
        "self": "/v2/images/x",
        "file": "/v2/images/x/file",
        "schema": "/v2/schemas/image",
        "img_hv_type": "docker",
        "trait:CUSTOM_HYPERVISOR_DOCKER": "required",
        **changes,
    }


SOME_ID = "4d0f6f5c-0b86-4d2f-8f5c-7f1b6f1c9a01"
OTHER_ID = "4d0f6f5c-0b86-4d2f-8f5c-7f1b6f1c9a02"


def serve(fake, images):
    def answer(call):
        found = images
        for key in ("name", "visibility", "nova_multi_task"):
            if key in call.query:
                found = [i for i in found if i.get(key) == call.query[key][0]]
        if marker := call.query.get("marker"):
            found = found[[i["id"] for i in found].index(marker[0]) + 1 :]
        size = int(call.query.get("limit", ["25"])[0])
        body = {"images": found[:size], "first": "/v2/images"}
        if len(found) > size:
            body["next"] = f"/v2/images?marker={found[size - 1]['id']}"
        return body

    fake.on("image", "GET", "/images", answer)


@pytest.mark.parametrize("kind", ImageType)
def test_every_type_has_formats_and_a_route(kind):
    assert all(formats(kind))
    assert routing(kind)["img_hv_type"] in ("docker", "lxd", "qemu")


def test_routes():
    assert routing(ImageType.DOCKER_CONTAINER) == {
        "img_hv_type": "docker",
        "trait:CUSTOM_HYPERVISOR_DOCKER": "required",
    }
    assert routing(ImageType.DISK) == {"img_hv_type": "qemu"}


def test_an_image(fake, cloud):
    fake.on("image", "GET", "/images/image-0", raw_image())
    found = cloud.images.image("image-0")
    assert (found.name, found.status, found.size) == ("debian-0", "active", 1000)
    assert (found.min_disk_gb, found.min_memory_mb) == (1, 64)
    assert (found.hash_algorithm, found.hash) == ("sha512", "abc")
    assert found.properties == {
        "img_hv_type": "docker",
        "trait:CUSTOM_HYPERVISOR_DOCKER": "required",
    }
    assert found.created.tzinfo


@pytest.mark.parametrize(("number", "requests"), [(30, 1), (1000, 1), (2500, 3)])
def test_lists(fake, cloud, number, requests):
    serve(fake, [raw_image(n) for n in range(number)])
    assert len({image.id for image in cloud.images.images()}) == number
    assert len(fake.calls) == requests


def test_filters(fake, cloud):
    serve(fake, [])
    cloud.images.images(
        name="a:b", tags=["x", "y"], visibility="public", properties={"os_distro": "d"}
    )
    assert fake.last().query == {
        "limit": ["1000"],
        "name": ['in:"a:b"'],
        "tag": ["x", "y"],
        "visibility": ["public"],
        "os_distro": ["d"],
    }


def test_find(fake, cloud):
    images = [
        raw_image(1, name="mine"),
        raw_image(2, name="mine", owner="others", visibility="public"),
        raw_image(3, name="twice"),
        raw_image(4, name="twice"),
        raw_image(5, name="theirs", owner="others", visibility="public"),
    ]
    serve(fake, images)
    fake.on("image", "GET", f"/images/{SOME_ID}", raw_image(9, id=SOME_ID))
    fake.on("image", "GET", f"/images/{OTHER_ID}", Answer(404, b"no"))
    assert cloud.images.find("mine").id == "image-1"
    assert cloud.images.find("theirs").id == "image-5"
    assert cloud.images.find(SOME_ID).id == SOME_ID
    with pytest.raises(errors.Ambiguous, match="image-3, image-4"):
        cloud.images.find("twice")
    # What is no id is never asked for by its path.
    for name in (OTHER_ID, "nothing", ".", "../v2/tasks", "a?b"):
        with pytest.raises(errors.NotFound) as caught:
            cloud.images.find(name)
        assert caught.value.field == "image"


def test_find_among_public_images(fake, admin):
    public = {"owner": "others", "visibility": "public"}
    images = [
        raw_image(1, name="open", **public),
        raw_image(2, name="open", owner="others"),
        raw_image(3, name="closed", owner="others"),
        raw_image(4, name="closed", owner="others"),
        raw_image(5, name="twice", **public),
        raw_image(6, name="twice", **public),
    ]
    serve(fake, images)
    fake.on("image", "GET", f"/images/{SOME_ID}", raw_image(7, id=SOME_ID))
    fake.on("image", "GET", f"/images/{OTHER_ID}", raw_image(8, id=OTHER_ID, **public))
    assert admin.images.find_public("open").id == "image-1"
    assert admin.images.find_public(OTHER_ID).id == OTHER_ID
    with pytest.raises(errors.Ambiguous, match="image-5, image-6"):
        admin.images.find_public("twice")
    for name in ("closed", SOME_ID, "nothing"):
        with pytest.raises(errors.NotFound, match="there is no image"):
            admin.images.find_public(name)


def test_create(fake, cloud, mark):
    serve(fake, [])
    fake.on("image", "POST", "/images", Answer(201, raw_image(status="queued")))
    made = cloud.images.create(
        "debian",
        ImageType.LXD,
        mark,
        properties={"os_distro": "debian", "img_hv_type": "qemu"},
        min_disk_gb=2,
    )
    assert made.status == "queued"
    assert fake.last().body == {
        "name": "debian",
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "private",
        "min_disk": 2,
        "min_ram": 0,
        "tags": [
            f"nova-multi:environment={ENVIRONMENT}",
            f"nova-multi:task={TASK}",
        ],
        "os_distro": "debian",
        "img_hv_type": "lxd",
        "trait:CUSTOM_HYPERVISOR_LXD": "required",
        "nova_multi_task": TASK,
    }


def test_create_again(fake, cloud, mark):
    serve(fake, [raw_image(7, name="debian", nova_multi_task=TASK)])
    assert cloud.images.create("debian", ImageType.DISK, mark).id == "image-7"
    assert len(fake.calls) == 1


class Filled:
    """An image that a PUT of its content makes active."""

    def __init__(self, fake, answer=204):
        self.status, self.content, self.answer = "queued", None, answer
        fake.on("image", "GET", "/images/i", self.shown)
        fake.on("image", "PUT", "/images/i/file", self.put)

    def shown(self, call):
        return raw_image(status=self.status)

    def put(self, call):
        self.content = b"".join(call.body)
        if self.answer == 204:
            self.status = "active"
        return Answer(self.answer)


def test_upload(fake, cloud):
    image = Filled(fake)
    assert cloud.images.upload("i", iter([b"ab", b"cd"])).status == "active"
    assert image.content == b"abcd"
    (put,) = [call for call in fake.calls if call.method == "PUT"]
    assert put.headers["Content-Type"] == "application/octet-stream"
    assert put.timeout == 600
    cloud.images.upload("i", iter([b"else"]))
    assert image.content == b"abcd"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, errors.Invalid),
        (401, errors.Unavailable),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.Invalid),
        (503, errors.Unavailable),
    ],
)
def test_upload_that_fails(fake, cloud, status, expected):
    image = Filled(fake, status)
    with pytest.raises(expected):
        cloud.images.upload("i", iter([b"ab"]))
    # Above all not with what is left of the content.
    assert image.content == b"ab"
    assert [call.method for call in fake.calls] == ["GET", "PUT"]


def test_upload_that_breaks_off(fake, cloud):
    image = Filled(fake)

    def pieces():
        yield b"ab"
        raise ConnectionResetError("the source is gone")

    with pytest.raises(errors.Unavailable):
        cloud.images.upload("i", pieces())
    assert image.status == "queued"
    fake.away["image"] = TIMED_OUT
    with pytest.raises(errors.Unavailable):
        cloud.images.upload("i", iter([b"ab"]))


def test_download(fake, cloud):
    fake.on("image", "GET", "/images/i/file", b"content")
    assert b"".join(cloud.images.download("i")) == b"content"
    fake.on("image", "GET", "/images/i/file", Answer(204))
    with pytest.raises(errors.NotFound):
        next(cloud.images.download("i"))


def test_update(fake, cloud):
    fake.on("image", "GET", "/images/i", raw_image())
    fake.on("image", "PATCH", "/images/i", raw_image(name="new"))
    changes = {"name": "new", "os/x~": "v", "img_hv_type": "docker"}
    assert cloud.images.update("i", changes, remove=["none", "checksum"]).name == "new"
    assert fake.last().body == [
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "add", "path": "/os~1x~0", "value": "v"},
        {"op": "remove", "path": "/checksum"},
    ]
    assert "json-patch" in fake.last().headers["Content-Type"]


def test_update_that_changes_nothing(fake, cloud):
    fake.on("image", "GET", "/images/i", raw_image())
    cloud.images.update("i", {"name": "debian-0"})
    assert [call.method for call in fake.calls] == ["GET"]


@pytest.mark.parametrize("answer", [{"status": "pending"}, Answer(409)])
def test_share(fake, cloud, answer):
    fake.on("image", "POST", "/images/i/members", answer)
    cloud.images.share("i", "p2")
    assert fake.last().body == {"member": "p2"}


def test_share_what_is_not_ours(fake, cloud):
    fake.on("image", "POST", "/images/i/members", Answer(403))
    with pytest.raises(errors.Forbidden):
        cloud.images.share("i", "p2")


def test_delete(fake, cloud):
    fake.on("image", "DELETE", "/images/i", Answer(204))
    assert cloud.images.delete("i") is True
    fake.on("image", "DELETE", "/images/i", Answer(404))
    assert cloud.images.delete("i") is False
    fake.on("image", "DELETE", "/images/i", Answer(403, b"protected"))
    with pytest.raises(errors.Forbidden):
        cloud.images.delete("i")
