# SPDX-License-Identifier: Apache-2.0
"""Images of a definition: made, used, changed, mended, taken away."""

import contextlib
import dataclasses
import hashlib
import io

import pytest

from nova_multi.domain.errors import Conflict, Invalid
from nova_multi.domain.task import TaskType
from nova_multi.provision import fetch
from nova_multi.provision.service import Query, Scope
from tests.fixtures import image_files
from tests.unit.provision import shop
from tests.unit.provision.callers import names
from tests.unit.provision.conftest import ADMIN, DISK, NOWHERE

URL = "https://images.example/"
TREE = image_files.tree("bin/", bin__sh=b"shell")
GOLDEN = {"download_url": f"{URL}tree", "type": "lxd", "os": "debian"}
CO = Scope(partition="dev_co")


@pytest.fixture
def built(built, monkeypatch):
    """The shop's service; URLs give what ``contents`` has."""
    built.contents = {"tree": TREE, "disk": DISK}

    @contextlib.contextmanager
    def opened(url, *args):
        if not url.startswith(URL):
            raise Invalid(f"{url} is not fetched", field="download_url")
        yield iter([built.contents[url.removeprefix(URL)]])

    monkeypatch.setattr(fetch, "opened", opened)
    return built


def imaged(images=None, **instances):
    """The shop, whose database is made of an image of the file."""
    found = shop.shop(db={"image": "golden"}, web={"count": 1})
    for name, fields in instances.items():
        found["instances"].setdefault(name, {}).update(fields)
    return found | {"images": {"golden": GOLDEN} if images is None else images}


def golden(stage, name="golden"):
    (found,) = (each for each in stage.world.images.values() if each.name == name)
    return found


def image_of(stage, name):
    """Id of the image that a server was asked to be made of."""
    return stage.world.requests[shop.server(stage, name).id].image_id


def told(plan):
    return {step.name: [str(d) for d in step.differences] for step in plan.steps}


def keep_file(stage, content, name="golden.tar"):
    stage.service.files.create(ADMIN, {"name": name}, io.BytesIO(content), CO)


def test_from_nothing_to_nothing(built):
    before = built.world.left()
    definition = imaged(db={"image": "${images.golden}"})
    found = shop.plan(built, definition)
    assert shop.steps(found) == [
        "create shop",
        "create golden",
        "create db",
        "create web",
    ]
    assert found.widths == (1, 1, 1, 1)
    shop.apply(built, definition)
    made = golden(built)
    assert image_of(built, "db") == made.id
    assert made.properties["img_hv_type"] == "lxd"
    assert made.properties["os_distro"] == "debian"
    # It is the environment's own, and nobody else's.
    assert made.visibility == "shared"
    assert made.owner == shop.server(built, "db").project_id
    within = Scope(environment="shop")
    listed = built.service.images.show(ADMIN, "golden", within)
    assert "golden" in names(built.service.images.list(ADMIN, Query(scope=within)))
    assert "golden" not in names(built.service.images.list(ADMIN, Query(scope=CO)))
    assert listed.uuid == made.id

    # By its name it is the same.
    assert shop.plan(built, definition).is_empty
    assert shop.plan(built, imaged()).is_empty
    built.world.calls.clear()
    shop.apply(built, imaged())
    assert set(shop.cloud_calls(built)) <= shop.READS
    shop.destroy(built)
    assert built.world.left() == before
    assert not built.store.list_records("image")


def test_another_name_for_an_image(built):
    definition = imaged({"golden": "debian-12", "web": {"source": "debian-12"}})
    definition["provisioners"]["site"]["image"] = "web"
    del definition["instances"]["web"]["image"]
    found = shop.plan(built, definition)
    assert shop.steps(found) == ["create shop", "create db", "create web"]
    shop.apply(built, definition)
    assert shop.plan(built, definition).is_empty
    # It is what it means that counts.
    assert shop.plan(built, shop.shop(web={"count": 1})).is_empty
    built.world.add_image("alpine-lxd", "lxd")
    definition["images"]["golden"] = "alpine-lxd"
    assert told(shop.plan(built, definition))["db"] == [
        "image debian-12 -> alpine-lxd: replaced"
    ]


def test_in_place(built):
    shop.apply(built, imaged())
    before, servers = golden(built).id, shop.server_ids(built)
    changed = {**GOLDEN, "os": "devuan", "properties": {"hw_x": "1"}}
    definition = imaged({"golden": changed})
    assert told(shop.plan(built, definition)) == {
        "golden": [
            "property os_distro debian -> devuan: in place",
            "property hw_x none -> 1: in place",
        ]
    }
    shop.apply(built, definition)
    assert golden(built).id == before and shop.server_ids(built) == servers
    assert golden(built).properties["os_distro"] == "devuan"
    assert golden(built).properties["hw_x"] == "1"
    assert shop.plan(built, definition).is_empty
    shop.apply(built, imaged({"golden": {**GOLDEN, "os": ""}}))
    assert not {"hw_x", "os_distro"} & golden(built).properties.keys()


def test_made_anew(built):
    shop.apply(built, imaged())
    before, servers = golden(built).id, shop.server_ids(built)
    built.contents["more"] = image_files.tree("bin/", "etc/")
    changed = imaged({"golden": {**GOLDEN, "download_url": f"{URL}more"}})
    found = shop.plan(built, changed)
    assert shop.steps(found) == ["replace golden", "replace db", "replace web"]
    assert told(found)["db"] == ["image golden made anew: replaced"]
    shop.apply(built, changed)
    assert golden(built).id != before
    assert image_of(built, "db") == golden(built).id
    assert shop.server_ids(built)["db"] != servers["db"]
    assert shop.plan(built, changed).is_empty


def test_one_that_is_needed_no_more(built):
    shop.apply(built, imaged())
    changed = imaged({}, db={"image": "debian-12"})
    found = shop.plan(built, changed)
    assert shop.steps(found)[0] == "replace db"
    assert "delete golden" in shop.steps(found)
    groups = [step.group for step in found.steps]
    assert groups.index("make db") < groups.index("delete image golden")
    shop.apply(built, changed)
    assert not built.store.list_records("image")
    assert shop.plan(built, changed).is_empty


def test_one_of_the_service_takes_its_place(built):
    shop.apply(built, imaged())
    built.world.add_image("golden-lxd", "lxd")
    for key, each in list(built.world.images.items()):
        if each.name == "golden-lxd":
            built.world.images[key] = dataclasses.replace(each, name="golden")
    changed = imaged({})
    found = shop.plan(built, changed)
    assert "image golden made anew: replaced" in told(found)["db"]
    shop.apply(built, changed)
    assert shop.plan(built, changed).is_empty


# -- of files and instances


def test_of_a_file_of_the_service(built):
    keep_file(built, TREE)
    definition = imaged({"golden": {"file": "golden.tar", "type": "lxd"}})
    shop.apply(built, definition)
    assert golden(built).status == "active"
    # Once it is made, the file is needed no more.
    built.service.files.delete(ADMIN, "golden.tar", CO)
    assert shop.plan(built, definition).is_empty
    # Another content is another image.
    keep_file(built, image_files.tree("etc/"))
    found = shop.plan(built, definition)
    digests = [
        hashlib.sha256(each).hexdigest()[:12]
        for each in (TREE, image_files.tree("etc/"))
    ]
    assert told(found)["golden"] == [f"content {digests[0]} -> {digests[1]}: replaced"]
    shop.apply(built, definition)
    assert shop.plan(built, definition).is_empty
    shop.destroy(built)
    # It is not the environment's.
    assert built.service.files.show(ADMIN, "golden.tar", CO)


def test_of_an_instance_of_the_file(built):
    definition = shop.shop(
        db={"image": "debian-12"},
        web={"image": "golden", "driver": "lxd", "count": 2, "variables": {}},
    )
    definition["images"] = {"golden": {"instance": "db", "version": "2"}}
    before = built.world.left()
    found = shop.plan(built, definition)
    assert shop.steps(found) == [
        "create shop",
        "create db",
        "create golden",
        "create web-1",
        "create web-2",
    ]
    shop.apply(built, definition)
    made = golden(built)
    assert made.properties["img_hv_type"] == "lxd"
    assert made.properties["os_version"] == "2"
    assert image_of(built, "web-1") == image_of(built, "web-2") == made.id
    assert shop.plan(built, definition).is_empty
    # Another script makes another image, and that other instances.
    definition["provisioners"]["database"]["script"] = "echo other\n"
    found = shop.plan(built, definition)
    assert shop.steps(found) == [
        "replace db",
        "replace golden",
        "replace web-1",
        "replace web-2",
    ]
    assert told(found)["golden"] == ["instance db made anew: replaced"]
    shop.apply(built, definition)
    assert shop.plan(built, definition).is_empty
    # What it was made of may go; then nobody can make it again.
    definition["instances"]["db"]["count"] = 0
    definition["outputs"] = {}
    assert shop.steps(shop.plan(built, definition))[0] == "delete db"
    del built.world.images[golden(built).id]
    with pytest.raises(Invalid, match="golden: the definition makes no inst") as caught:
        shop.plan(built, definition)
    assert caught.value.field == "images.golden.instance"
    shop.destroy(built)
    assert built.world.left() == before


def test_an_image_of_an_instance_of_an_image(built):
    definition = shop.shop(
        db={"image": "golden"}, web={"image": "second", "driver": "lxd", "count": 1}
    )
    definition["images"] = {"second": {"instance": "db"}, "golden": GOLDEN}
    # What runs it is seen from the first of all.
    del (
        definition["instances"]["db"]["driver"],
        definition["instances"]["web"]["driver"],
    )
    found = shop.plan(built, definition)
    assert shop.steps(found)[1:] == [
        "create golden",
        "create db",
        "create second",
        "create web",
    ]
    shop.apply(built, definition)
    assert golden(built, "second").properties["img_hv_type"] == "lxd"
    assert shop.plan(built, definition).is_empty


# -- drift


@pytest.mark.parametrize("how", ["gone", "killed", "record", "property"])
def test_drift_is_shown_and_mended(built, how):
    shop.apply(built, imaged())
    world, made = built.world, golden(built)
    if how == "gone":
        del world.images[made.id]
    elif how == "killed":
        world.images[made.id] = dataclasses.replace(made, status="killed")
    elif how == "record":
        scope = Scope(environment="shop")
        built.done(built.service.images.delete(ADMIN, "golden", scope))
    else:
        other = {**made.properties, "os_distro": "arch"}
        world.images[made.id] = dataclasses.replace(made, properties=other)
    found = shop.plan(built, imaged())
    if how == "property":
        assert told(found) == {
            "golden": ["property os_distro arch -> debian: in place"]
        }
    else:
        action = "create" if how == "record" else "replace"
        assert shop.steps(found)[:2] == [f"{action} golden", "replace db"]
    assert found.steps[0].drift == (how != "record")
    shop.apply(built, imaged())
    assert shop.plan(built, imaged()).is_empty
    assert golden(built).properties["os_distro"] == "debian"
    assert image_of(built, "db") == golden(built).id


# -- what is refused when planning


@pytest.mark.parametrize(
    ("image", "message", "field"),
    [
        ({"file": "nothing.tar", "type": "lxd"}, "no file nothing.tar", "file"),
        ({"download_url": "ftp://e.org/x", "type": "lxd"}, "only http", "download_url"),
        ({"download_url": "http://127.0.0.1/", "type": "lxd"}, "127", "download_url"),
        ({"instance": "nobody"}, "no instance", "instance"),
        ({"instance": "log", "type": "lxd"}, "type needs a download_url", "type"),
        ({"source": "debian-12", "os": "debian"}, "os needs a download", "os"),
        ({**GOLDEN, "architecture": "z80"}, "z80", "architecture"),
        ({**GOLDEN, "properties": {"img_hv_type": "x"}}, "not for a def", "properties"),
        ({**GOLDEN, "properties": {"a b": "x"}}, "no name of a prop", "properties"),
    ],
)
def test_images_that_can_not_be(built, image, message, field):
    with pytest.raises(Invalid, match=message) as caught:
        more = {"log": {"driver": "lxd", "image": "debian-12"}}
        shop.accept(built, imaged({"golden": image}, **more))
    places = [each["field"] for each in caught.value.details] or [caught.value.field]
    assert places[0].startswith(f"images.golden.{field}"), places


def test_what_names_no_image_of_the_file(built):
    with pytest.raises(Invalid, match="no image gloden in the file; did you mean gold"):
        shop.plan(built, imaged(db={"image": "${images.gloden}"}))
    with pytest.raises(Invalid, match="for lxd, not for docker"):
        shop.plan(built, imaged(web={"image": "golden", "driver": "docker"}))


def test_an_instance_of_an_image_of_itself(built):
    definition = imaged({"golden": {"instance": "web"}}, db={"driver": "docker"})
    with pytest.raises(Invalid, match="circle: db → web → db") as caught:
        shop.plan(built, definition)
    assert caught.value.details[0]["code"] == "dependency_circle"


def test_an_instance_that_is_too_small_for_it(built):
    """How large a disk is, is known when the image is there."""
    built.contents["disk"] = image_files.qcow2(5)
    images = {"golden": {"download_url": f"{URL}disk", "type": "disk"}}
    definition = imaged(images, db={"driver": "libvirt", "hdsize": 2})
    task = shop.apply(built, definition, end="error")
    assert "image golden needs at least 5 GB" in task.history[-1].message
    with pytest.raises(Invalid, match="needs at least 5 GB"):
        shop.plan(built, definition)
    del definition["instances"]["db"]["hdsize"]
    shop.apply(built, definition)
    assert shop.plan(built, definition).is_empty


def test_two_environments_have_images_of_one_name(built):
    shop.apply(built, imaged())
    other = {**imaged(), "name": "other", "outputs": {}}
    other["instances"] = {"cache": {**other["instances"]["db"]}}
    built.speak("cache", "made")
    shop.apply(built, other)
    assert len([e for e in built.world.images.values() if e.name == "golden"]) == 2
    assert shop.plan(built, other).is_empty and shop.plan(built, imaged()).is_empty


def test_an_environment_with_images_is_not_deleted(built):
    definition = imaged(db={"count": 0}, web={"count": 0, "variables": {}})
    definition["outputs"] = {}
    shop.apply(built, definition)
    with pytest.raises(Conflict, match="images of its definition: golden"):
        built.service.environments.delete(ADMIN, "shop", NOWHERE)


# -- failures


def test_an_image_that_fails_stops_its_branch_only(built):
    built.contents["tree"] = b"junk" * 200
    before = built.world.left()
    definition = imaged(log={"driver": "lxd", "image": "debian-12"})
    built.speak("log", "made")
    task = shop.apply(built, definition, end="error")
    assert "golden: " in task.history[-1].message
    assert "no whole tar archive" in task.history[-1].message
    assert shop.names(built) == ["log"]
    assert not built.store.list_records("image")
    built.contents["tree"] = TREE
    shop.apply(built, definition)
    assert shop.plan(built, definition).is_empty
    shop.destroy(built)
    assert built.world.left() == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_whatever_fails_is_gone_on_with(built, when):
    definition = imaged()
    definition["instances"] = {"db": definition["instances"]["db"]}
    definition["outputs"] = {}

    def is_meant(name, moment):
        return name.startswith("images.") and moment == when

    assert shop.fails_once(built, definition, is_meant) > 3


def test_a_worker_that_dies_in_the_middle(built):
    built.contents["more"] = image_files.tree("etc/")
    in_place = imaged({"golden": {**GOLDEN, "os": "devuan"}})
    replaced = imaged({"golden": {**GOLDEN, "download_url": f"{URL}more", "os": ""}})
    number, types = shop.dies_anywhere(built, imaged(), in_place, replaced)
    assert number > 3
    assert TaskType.UPDATE_IMAGE in types
