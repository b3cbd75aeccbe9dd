# SPDX-License-Identifier: Apache-2.0
"""What was built is brought to Glance once."""

from __future__ import annotations

import hashlib

import pytest

from nova_multi.cloud import upload
from nova_multi.cloud.upload import BuiltImage
from nova_multi.domain import errors

from .fake import Answer

PROJECT = "project-1"


class Glance:
    """Images with content."""

    def __init__(self, fake) -> None:
        self.images: dict[str, dict] = {}
        self.damage = False
        self.uploads = 0
        fake.on("image", "GET", "/images", self.list)
        fake.on("image", "POST", "/images", self.create)
        fake.on("image", "GET", r"/images/([^/]+)", self.show)
        fake.on("image", "PATCH", r"/images/([^/]+)", self.patch)
        fake.on("image", "DELETE", r"/images/([^/]+)", self.delete)
        fake.on("image", "PUT", r"/images/([^/]+)/file", self.fill)

    def list(self, call):
        name = call.query["name"][0]
        found = [
            image
            for image in self.images.values()
            if image["name"] == name and not image["os_hidden"]
        ]
        return {"images": found}

    def create(self, call):
        number = len(self.images)
        image = {
            "id": f"image-{number}",
            "status": "queued",
            "owner": PROJECT,
            "os_hidden": False,
            "os_hash_algo": None,
            "os_hash_value": None,
            **call.body,
        }
        self.images[image["id"]] = image
        raise Answer(201, image)

    def show(self, call, image_id):
        return self.images[image_id]

    def patch(self, call, image_id):
        for change in call.body:
            key = change["path"][1:].replace("~1", "/")
            self.images[image_id][key] = change["value"]
        return self.images[image_id]

    def delete(self, call, image_id):
        del self.images[image_id]
        raise Answer(204)

    def fill(self, call, image_id):
        self.uploads += 1
        content = b"damaged" if self.damage else self.content
        digest = hashlib.sha512(content).hexdigest()
        self.images[image_id] |= {
            "status": "active",
            "os_hash_algo": "sha512",
            "os_hash_value": digest,
        }
        raise Answer(204)

    content = b"content"


@pytest.fixture
def glance(fake) -> Glance:
    return Glance(fake)


def built(tmp_path, name="web-lxd", content=b"content", **more) -> BuiltImage:
    path = tmp_path / name
    path.write_bytes(content)
    told = {
        "name": name,
        "file": name,
        "sha512": hashlib.sha512(content).hexdigest(),
        "disk_format": "raw",
        "container_format": "bare",
        "min_disk": 1,
        "min_ram": 96,
        "properties": {"img_hv_type": "lxd"},
        "references": {},
        **more,
    }
    return BuiltImage.of(told, tmp_path)


def bring(cloud, *images, **more):
    more = {"project_id": PROJECT, **more}
    return upload.bring(cloud.images, images, **more)


def test_an_image_arrives_with_everything(cloud, glance, tmp_path):
    told = []
    (brought,) = bring(cloud, built(tmp_path), visibility="public", told=told.append)
    assert brought.outcome == "uploaded"
    assert told == [brought]
    image = glance.images[brought.id]
    assert image["visibility"] == "public"
    assert (image["min_disk"], image["min_ram"]) == (1, 96)
    assert image["img_hv_type"] == "lxd"
    assert image["status"] == "active"


def test_a_second_time_nothing_is_sent(cloud, glance, tmp_path, fake):
    (first,) = bring(cloud, built(tmp_path))
    fake.calls.clear()
    (second,) = bring(cloud, built(tmp_path))
    assert (second.id, second.outcome) == (first.id, "present")
    assert glance.uploads == 1
    assert {call.method for call in fake.calls} == {"GET"}


def test_properties_are_mended(cloud, glance, tmp_path):
    (first,) = bring(cloud, built(tmp_path))
    glance.images[first.id]["img_hv_type"] = "docker"
    (second,) = bring(cloud, built(tmp_path), visibility="community")
    assert (second.id, second.outcome) == (first.id, "changed")
    assert glance.images[first.id]["img_hv_type"] == "lxd"
    assert glance.images[first.id]["visibility"] == "community"


def test_one_of_other_content_is_hidden(cloud, glance, tmp_path):
    (first,) = bring(cloud, built(tmp_path))
    glance.content = b"newer"
    (second,) = bring(cloud, built(tmp_path, content=b"newer"))
    assert second.id != first.id
    assert glance.images[first.id]["os_hidden"]
    assert not glance.images[second.id]["os_hidden"]


def test_others_images_are_left_alone(cloud, glance, tmp_path):
    (first,) = bring(cloud, built(tmp_path))
    glance.images[first.id]["owner"] = "others"
    (second,) = bring(cloud, built(tmp_path))
    assert second.id != first.id
    assert not glance.images[first.id]["os_hidden"]


def test_an_upload_that_was_broken_off_is_done_again(cloud, glance, tmp_path):
    (first,) = bring(cloud, built(tmp_path))
    glance.images[first.id] |= {"status": "queued", "os_hash_value": None}
    (second,) = bring(cloud, built(tmp_path))
    assert second.outcome == "uploaded"
    assert [image["status"] for image in glance.images.values()] == ["active"]


def test_damage_is_seen_and_nothing_is_left(cloud, glance, tmp_path):
    glance.damage = True
    with pytest.raises(errors.Invalid, match="damaged on its way"):
        bring(cloud, built(tmp_path))
    assert glance.images == {}


def test_an_older_one_stays_when_the_new_one_fails(cloud, glance, tmp_path):
    (first,) = bring(cloud, built(tmp_path))
    glance.damage = True
    with pytest.raises(errors.Invalid):
        bring(cloud, built(tmp_path, content=b"newer"))
    assert not glance.images[first.id]["os_hidden"]


def test_references_are_the_ids_of_what_was_brought(cloud, glance, tmp_path):
    disk = built(tmp_path, "web-vm", references={"kernel_id": "web-vm-kernel"})
    kernel = built(tmp_path, "web-vm-kernel")
    brought = {each.name: each.id for each in bring(cloud, disk, kernel)}
    assert glance.images[brought["web-vm"]]["kernel_id"] == brought["web-vm-kernel"]


def test_a_reference_to_nothing(cloud, glance, tmp_path):
    with pytest.raises(errors.NotFound, match="needs absent as its kernel_id"):
        bring(cloud, built(tmp_path, references={"kernel_id": "absent"}))
    assert glance.images == {}


def test_what_the_account_may_not(cloud, glance, tmp_path, fake):
    fake.on("image", "POST", "/images", Answer(403, b"no"))
    with pytest.raises(errors.Forbidden):
        bring(cloud, built(tmp_path), visibility="public")
