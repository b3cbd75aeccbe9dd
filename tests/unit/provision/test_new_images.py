# SPDX-License-Identifier: Apache-2.0
"""Images: uploaded, fetched, of an instance, installed; and what is wrong with them."""

import contextlib
import gzip
import hashlib
import io
import re
import tarfile

import pytest

from nova_multi.domain.errors import Conflict, Forbidden, Invalid, NameTaken
from nova_multi.domain.image import ImageType
from nova_multi.domain.permissions import Permissions
from nova_multi.provision import answers, checking, fetch, housekeeping
from nova_multi.provision.service import Caller, Scope
from tests.fixtures import image_files
from tests.unit.provision.conftest import ADMIN, DISK, NOWHERE
from tests.unit.provision.test_nouns import member_of
from tests.unit.virt.docker import archives

DEV = Scope(environment="dev")
KEY = "ssh-ed25519 " + "A" * 64 + " me@example.org"
PRESEED = (
    b"d-i netcfg/get_hostname string box\n"
    b"d-i preseed/late_command string \\\n  echo mine\n"
)


@pytest.fixture
def built(stage):
    return stage.ready()


def upload(stage, content, kind=ImageType.DISK, caller=None, **fields):
    fields = {"name": "own", "type": kind, **fields}
    caller = caller or member_of(stage)
    return stage.service.images.create(caller, fields, NOWHERE, io.BytesIO(content))


def stored(stage, name="own"):
    (image,) = [each for each in stage.world.images.values() if each.name == name]
    return image, stage.world.contents.get(image.id, b"")


def test_an_upload(built):
    digest = hashlib.sha512(DISK).hexdigest()
    task = built.done(upload(built, DISK, checksum=digest, architecture="amd64"))
    assert task.status == "created", task.history[-1].message
    image, content = stored(built)
    assert content == DISK and image.properties["architecture"] == "x86_64"
    # What was kept until then is nobody's.
    assert "upload" not in {
        k for r in built.store.list_records("image") for k, v in r.data.items() if v
    }
    assert built.tools.files.sweep(set(), older_than=-1) == [
        hashlib.sha256(DISK).hexdigest()
    ]


def test_an_upload_is_kept_until_it_is_in_glance(built, monkeypatch):
    accepted = upload(built, DISK)
    sweep = built.tools.files.sweep
    monkeypatch.setattr(
        built.tools.files, "sweep", lambda used: sweep(used, older_than=-1)
    )
    housekeeping._sweep_files(built.tools)
    assert built.done(accepted).status == "created"


def test_uploads_have_limits(make_stage):
    stage = make_stage(max_file_size=5000, max_project_files=6000).ready()
    upload(stage, DISK)
    with pytest.raises(Conflict, match="would have more"):
        upload(stage, DISK, name="more")
    with pytest.raises(NameTaken):
        upload(stage, DISK)


def zipped(content):
    return gzip.decompress(content)


def test_a_root_tree_is_written_anew(built):
    unified = image_files.tree(
        "rootfs/",
        "rootfs/bin/",
        "rootfs/dev/",
        "rootfs/dev/null chr",
        "templates/x.tpl",
        **{"metadata.yaml": b"templates: {}", "rootfs__bin__sh": b"shell"},
    )
    task = built.done(upload(built, unified, ImageType.LXD))
    assert task.status == "created", task.history[-1].message
    image, content = stored(built)
    assert image.properties["nova_multi_without"] == "git"
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == ["bin", "dev", "bin/sh"]
    # The same tree is the same image.
    assert (
        built.done(upload(built, unified, ImageType.LXD, name="again")).status
        == "created"
    )
    assert stored(built, "again")[1] == content


def test_an_image_with_git(built, tmp_path):
    """By way of links, too."""
    layers = [
        archives.layer(("bin", "=> usr/bin"), ("opt/git", b"x")),
        archives.layer(("usr/bin", None), ("usr/bin/git", "=> /opt/git")),
    ]
    path = archives.image(tmp_path / "a", layers)
    built.done(upload(built, path.read_bytes(), ImageType.DOCKER_CONTAINER))
    assert "nova_multi_without" not in stored(built)[0].properties
    tree = image_files.tree("usr/", "usr/bin/", **{"usr__bin__git": b"x"})
    built.done(upload(built, tree, ImageType.LXD, name="tree"))
    assert "nova_multi_without" not in stored(built, "tree")[0].properties
    # Of a disk nothing is known.
    built.done(upload(built, DISK, name="disk"))
    assert "nova_multi_without" not in stored(built, "disk")[0].properties


def test_a_docker_archive_is_written_anew(built, tmp_path):
    layer = archives.layer(
        ("dev/null", "chr"),
        ("bin", None),
        ("bin/sh", b"x"),
        ("dev/zero", "=> dev/null"),
    )
    path = archives.image(
        tmp_path / "a", [layer], settings={"Volumes": {"/v": {}}, "Cmd": ["/bin/sh"]}
    )
    task = built.done(upload(built, path.read_bytes(), ImageType.DOCKER_CONTAINER))
    assert task.status == "created", task.history[-1].message
    image, content = stored(built)
    assert image.properties["architecture"] == "x86_64"
    assert image.properties["nova_multi_without"] == "git"
    assert b"Volumes" not in content and b"evil" not in content
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        (name,) = [each for each in archive.getnames() if each.endswith(".tar")]
        with tarfile.open(fileobj=archive.extractfile(name)) as inner:
            assert inner.getnames() == ["bin", "bin/sh"]
    # It is a whole one: its digests are right.
    (tmp_path / "b").write_bytes(content)
    with checking.dockerarchive.opened(
        str(tmp_path / "b"), checking.Limits(10**6, 100)
    ) as found:
        assert found.facts.shell


@pytest.mark.parametrize(
    ("kind", "content", "why"),
    [
        (ImageType.DISK, image_files.qcow2(backing=100), "backing file"),
        (ImageType.DISK, b"<html>", "web page"),
        (ImageType.ISO, DISK, "no ISO"),
        (ImageType.LXD, b"junk" * 200, "no whole tar archive"),
        (ImageType.LXD, image_files.tree("../x"), "leads out"),
        (ImageType.LXD, image_files.tree("/x"), "leads out"),
        (ImageType.LXD, image_files.tree("a -> /etc", "a/b"), "no folder"),
        (ImageType.LXD, image_files.tree("sda chr"), "device node"),
        (ImageType.LXD, image_files.tree(*map(str, range(200))), "more than 150"),
        (ImageType.LXD, image_files.tree(big=b"x" * 20000), "larger than"),
        (ImageType.LXD, image_files.tree("a", compress="gz")[:60], "no whole tar"),
        (ImageType.LXD, image_files.tree("a", "b")[:1024], "no whole tar"),
        (ImageType.LXD, image_files.stated("a", size="-1"), "no whole tar"),
        (ImageType.LXD, image_files.stated("a", mtime="inf"), "no whole tar"),
        (ImageType.DOCKER_CONTAINER, image_files.tree("a"), "docker save"),
        (ImageType.DOCKER_CONTAINER, DISK, "docker save"),
    ],
    ids=image_files.word,
)
def test_what_is_not_what_it_says(make_stage, kind, content, why):
    stage = make_stage(max_members=150, max_unpacked=10000).ready()
    before = dict(stage.world.images)
    task = stage.done(upload(stage, content, kind))
    assert task.status == "error"
    assert re.search(why, task.history[-1].message), task.history[-1].message
    assert stage.world.images == before
    assert stage.store.list_records("image") == []


def test_a_wrong_checksum(built):
    task = built.done(upload(built, DISK, checksum="sha256:" + "0" * 64))
    assert task.status == "error" and "sha256 is" in task.history[-1].message
    with pytest.raises(Invalid, match="sha256"):
        upload(built, DISK, checksum="md5:1")


def test_an_empty_one(built):
    assert "empty" in built.done(upload(built, b"")).history[-1].message


def test_one_place_only(built):
    url = {"download_url": "https://e.org/i"}
    for fields, field in (
        (url, "download_url"),
        ({"preseed_url": "https://e.org/p"}, "preseed_url"),
        ({"key": KEY}, "key"),
    ):
        with pytest.raises(Invalid) as caught:
            upload(built, DISK, **fields)
        assert caught.value.field == field
    with pytest.raises(Invalid, match="type is missing"):
        upload(built, DISK, None)


# -- of an instance


def test_of_an_instance(built):
    built.instance(permissions=Permissions("rwxr-x---"))
    member = member_of(built)
    fields = {"name": "golden", "instance": "web", "os": "debian", "version": "12"}
    task = built.done(built.service.images.create(member, fields, NOWHERE))
    assert task.status == "created", task.history[-1].message
    image = built.service.images.show(member, "golden", NOWHERE)
    assert (image.type, image.status) == (ImageType.DISK, "active")
    assert (str(image.permissions), image.owner_id) == ("rwxr-x---", member.user_id)
    kept, _ = stored(built, "golden")
    assert kept.visibility == "shared" and kept.owner == member.project_id
    assert kept.properties["os_distro"] == "debian"
    assert kept.properties["img_hv_type"] == "qemu"
    assert (
        built.done(built.service.images.delete(member, "golden", NOWHERE)).status
        == "deleted"
    )
    assert kept.id not in built.world.images


def test_what_no_image_is_made_of(built):
    built.instance(permissions=Permissions("rwxr--r--"))
    service, member = built.service, member_of(built)
    mate = Caller("user-z", member.project_id, member.roles)
    fields = {"name": "golden", "instance": "web"}
    with pytest.raises(Forbidden):
        service.images.create(mate, fields, NOWHERE)
    with pytest.raises(Invalid, match="of type disk"):
        service.images.create(ADMIN, {**fields, "type": ImageType.LXD}, NOWHERE)
    with pytest.raises(Invalid, match="checksum"):
        service.images.create(ADMIN, {**fields, "checksum": "0" * 64}, NOWHERE)
    built.accept("late")
    with pytest.raises(Conflict, match="being made"):
        service.images.create(ADMIN, {**fields, "instance": "late"}, NOWHERE)


def test_a_snapshot_that_nova_takes_back(built):
    built.instance()
    accepted = built.service.images.create(ADMIN, {"name": "g", "instance": "web"}, DEV)

    def hook(name, when):
        if name == "images.image" and when == "before":
            for key in built.world.snapshots:
                built.world.images.pop(key, None)

    built.world.hook = hook
    task = built.done(accepted)
    assert task.status == "error" and "snapshot failed" in task.history[-1].message
    assert built.store.list_records("image") == []


# -- installed


@pytest.fixture
def sources(monkeypatch):
    found = {"installer": image_files.netboot(), "answers": PRESEED}

    @contextlib.contextmanager
    def opened(url, *args):
        yield iter([found[url.rpartition("/")[2]]])

    monkeypatch.setattr(fetch, "opened", opened)
    return found


def install(stage, **fields):
    fields = {
        "name": "sys",
        "type": ImageType.ISO,
        "download_url": "https://e.org/installer",
        "preseed_url": "https://e.org/answers",
        "timezone": "America/Bogota",
        "key": KEY,
        **fields,
    }
    return stage.service.images.create(ADMIN, fields, DEV)


class Installer:
    """What an installer's console shows, and when it switches the server off."""

    def __init__(self, stage, status=0, off=True, text="Installing... 40%"):
        self.stage, self.status, self.off, self.text = stage, status, off, text
        stage.world.consoles["sys-installer"] = self.speak

    def speak(self, user_data):
        world = self.stage.world
        (work,) = [t for t in self.stage.store.tasks(None, limit=9) if not t.is_final]
        nonce = nonce_in(world)
        said = f"Loading\n{self.text}\r\n"
        if self.status is not None:
            said += f"\n@nova-multi {nonce} 1 exit {self.status}\n"
        if self.off:
            for key, server in list(world.servers.items()):
                if server.name == "sys-installer":
                    import dataclasses

                    world.servers[key] = dataclasses.replace(server, status="SHUTOFF")
        assert work
        return said


def nonce_in(world):
    (ramdisk,) = [
        world.contents[key]
        for key, each in world.images.items()
        if each.name == "sys-ramdisk"
    ]
    return re.search(rb"@nova-multi %s 1 exit %s\\n' '([0-9a-f]+)'", ramdisk)[
        1
    ].decode()


@pytest.mark.parametrize(
    "line", ["a " + "/" * answers.MAX_SIZE, "a/" * (answers.MAX_SIZE // 2), "a b/c"]
)
def test_answers_of_nobody_come_to_an_end(line):
    with pytest.raises(Invalid, match="neither a preseed"):
        answers.style_of(line)


@pytest.mark.parametrize(
    "line",
    [
        "d-i netcfg/get_hostname string box",
        "  tzdata tzdata/Zones/Etc select UTC",
        "d-i debian-installer/add-kernel-opts string",
    ],
)
def test_answers_of_debconf(line):
    assert answers.style_of(f"# of mine\n{line}\n") is answers.Style.PRESEED


def test_an_installation(built, sources, monkeypatch):
    monkeypatch.setattr(
        "tests.fixtures.fake_cloud.compute.FakeServers.console_log", console
    )
    left = built.world.counts()
    Installer(built)
    task = built.done(install(built))
    assert task.status == "created", task.history[-1].message
    image = built.service.images.show(ADMIN, "sys", NOWHERE)
    assert (image.type, image.status, image.timezone) == (
        ImageType.DISK,
        "active",
        "America/Bogota",
    )
    kept, _ = stored(built, "sys")
    assert kept.visibility == "shared"
    assert built.world.counts() == {**left, "images": 1}


def console(self, server_id, lines=None):
    server = self._get("servers", server_id)
    speak = self.world.consoles.get(server.name)
    return speak(b"") if speak else ""


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"status": 3}, r"exit status 3.*Installing"),
        ({"status": None}, "before its end.*Installing"),
        ({"status": None, "off": False}, "written nothing|not ended within"),
    ],
)
def test_an_installation_that_fails(built, sources, monkeypatch, more, why):
    monkeypatch.setattr(
        "tests.fixtures.fake_cloud.compute.FakeServers.console_log", console
    )
    left = built.world.counts()
    Installer(built, **more)
    accepted = install(built)
    built.work(turns=3000)
    task = built.store.task(accepted.task_uuid)
    assert task.status == "error"
    assert re.search(why, task.history[-1].message), task.history[-1].message
    assert built.world.counts() == left
    assert built.store.list_records("image") == []


def test_an_installation_whose_worker_dies(built, sources, monkeypatch):
    monkeypatch.setattr(
        "tests.fixtures.fake_cloud.compute.FakeServers.console_log", console
    )
    left = built.world.counts()
    Installer(built)
    calls = 0
    while True:
        accepted = install(built)
        died = built.die_before(calls)
        if died:
            built.forget_leases()
        task = built.done(accepted)
        assert task.status == "created", (calls, task.history[-1].message)
        assert built.world.counts() == {**left, "images": 1}, calls
        built.done(built.service.images.delete(ADMIN, "sys", NOWHERE))
        if not died:
            break
        calls += 3
    assert calls > 30


def test_what_is_not_installed(built, sources):
    for fields, field in (
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"key": "ssh-rsa nope; rm -rf /"}, "key"),
        ({"key": f'command="x" {KEY}'}, "key"),
        ({"download_url": ""}, "download_url"),
    ):
        with pytest.raises(Invalid) as caught:
            install(built, **fields)
        assert caught.value.field == field
    with pytest.raises(Invalid) as caught:
        fields = {"name": "s", "type": ImageType.ISO, "preseed_url": "https://e.org/p"}
        built.service.images.create(ADMIN, fields, NOWHERE)
    assert caught.value.code == "no_environment"
    sources["answers"] = b"hello"
    task = built.done(install(built))
    assert "neither a preseed" in task.history[-1].message


# -- answers


def test_a_preseed_file():
    found = answers.rendered(PRESEED, nonce="n0", key=KEY, timezone="America/Bogota")
    text = found.files["preseed.cfg"][0].decode()
    assert text.count("late_command") == 1 and "sh /nova-multi/late" in text
    assert "time/zone string America/Bogota" in text and "poweroff boolean true" in text
    assert b"echo mine" in found.files["nova-multi/late-command"][0]
    assert found.files["nova-multi/authorized_keys"][0].decode() == KEY + "\n"
    assert b"'n0'" in found.files["nova-multi/late"][0]


def test_a_kickstart_file():
    text = b"lang en_US\ntimezone Europe/Rome\nreboot\n%packages\nreboot\n%end\n"
    found = answers.rendered(text, nonce="n0", key=KEY, timezone="America/Bogota")
    content = found.files["ks.cfg"][0].decode()
    assert "Europe/Rome" not in content and "timezone America/Bogota" in content
    assert content.count("\nreboot") == 1 and "\npoweroff\n" in content
    assert f'sshkey --username=root "{KEY}"' in content
    assert "@nova-multi n0 1 exit 0" in content and "inst.ks" in found.command_line


def test_an_autoinstall_file_that_is_too_large():
    text = b"autoinstall:\n  late-commands: [" + b"x" * 60_000 + b"]\n"
    with pytest.raises(Invalid, match="no room"):
        answers.rendered(text, nonce="n0", media="https://images.example/x.iso")


def test_an_autoinstall_file():
    text = b"#cloud-config\nautoinstall:\n  version: 1\n  late-commands: [mine]\n"
    media = "https://e.org/u.iso"
    found = answers.rendered(text, nonce="n0", key=KEY, media=media)
    assert (
        found.user_data.startswith(b"#cloud-config\n")
        and b"poweroff" in found.user_data
    )
    assert b'"mine", "echo' in found.user_data and media in found.command_line
    with pytest.raises(Invalid, match="guests can reach"):
        answers.rendered(text, nonce="n0")
    with pytest.raises(Invalid, match="shorter URL"):
        answers.rendered(text, nonce="n0", media=media + "x" * 300)
    with pytest.raises(Invalid):
        answers.rendered(b"autoinstall:\n  - : [", nonce="n0", media=media)


@pytest.mark.parametrize("text", [b"\xff\xfe", b"d-i a/b string \0", b""])
def test_what_no_answers_are(text):
    with pytest.raises(Invalid):
        answers.rendered(text, nonce="n0")
