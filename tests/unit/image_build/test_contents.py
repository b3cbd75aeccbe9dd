# SPDX-License-Identifier: Apache-2.0
"""What a recipe puts into an image, and that nothing gets beside it."""

from __future__ import annotations

import os
import pathlib
import stat

import pytest

from nova_multi.domain.recipe import File, Init, Recipe, User
from nova_multi.exception import BuildError
from nova_multi.image_build import contents, extracted, manifest, tree

EPOCH = 1_000_000_000


@pytest.fixture
def root(tmp_path, monkeypatch) -> pathlib.Path:
    """An image's root; changes of owners are only taken down."""
    root = tmp_path / "root"
    for folder in ("etc", "usr/bin", "usr/sbin", "usr/lib", "root", "home"):
        (root / folder).mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/sh\nbob:x:1000:7::/:/x\n"
    )
    (root / "etc/group").write_text("root:x:0:\nwww-data:x:33:\nstaff:x:50:\n")
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    owners: dict[str, tuple[int, int]] = {}

    def chown(path, user, group, follow_symlinks=True):
        owners["/" + str(pathlib.Path(path).relative_to(root))] = (user, group)

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(contents, "OWNERS", owners, raising=False)
    return root


def owners() -> dict[str, tuple[int, int]]:
    return contents.OWNERS  # type: ignore[attr-defined]


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


class TestBelow:
    """Links of the image are followed inside of it."""

    def test_absolute_links_stay_inside(self, root):
        (root / "srv").symlink_to("/usr/lib")
        assert contents.below(root, "/srv/x") == root / "usr/lib/x"

    def test_links_do_not_lead_out(self, root):
        (root / "out").symlink_to("../../../../etc")
        assert contents.below(root, "/out/x") == root / "etc/x"

    def test_the_last_part_is_not_followed(self, root):
        (root / "etc/link").symlink_to("/etc/passwd")
        assert contents.below(root, "/etc/link") == root / "etc/link"

    def test_a_circle(self, root):
        (root / "a").symlink_to("b")
        (root / "b").symlink_to("a")
        with pytest.raises(BuildError, match="circle"):
            contents.below(root, "/a/x")

    def test_through_a_file(self, root):
        with pytest.raises(BuildError, match="/etc/passwd, a file"):
            contents.below(root, "/etc/passwd/x")


class TestFiles:
    """Files, folders, links; modes and owners."""

    def put(self, root, *files):
        contents.put_files(Recipe("a", files=files), root)

    def test_a_text(self, root):
        self.put(root, File("/srv/deep/x", content="hällo\r\n"))
        assert (root / "srv/deep/x").read_bytes() == "hällo\r\n".encode()
        assert mode(root / "srv/deep/x") == 0o644
        assert mode(root / "srv/deep") == 0o755
        assert owners()["/srv/deep/x"] == (0, 0)

    def test_modes_and_owners(self, root):
        self.put(
            root,
            File("/a", content="", mode=0o4750, owner="www-data"),
            File("/b", content="", owner="root", group="staff"),
            File("/c", content="", owner="12", group="13"),
            File("/d", content="", owner="bob"),
        )
        assert mode(root / "a") == 0o4750
        assert owners() == {
            "/a": (33, 33),
            "/b": (0, 50),
            "/c": (12, 13),
            "/d": (1000, 7),
        }

    @pytest.mark.parametrize("more", [{"owner": "nobody"}, {"group": "wheel"}])
    def test_an_unknown_owner(self, root, more):
        with pytest.raises(BuildError, match="/a: the image has no"):
            self.put(root, File("/a", content="", **more))

    def test_a_link_is_replaced_not_followed(self, root, tmp_path):
        outside = tmp_path / "outside"
        outside.write_text("kept")
        (root / "etc/x").symlink_to(outside)
        self.put(root, File("/etc/x", content="new"))
        assert outside.read_text() == "kept"
        assert (root / "etc/x").read_text() == "new"

    def test_a_link(self, root):
        self.put(root, File("/etc/x", link="/nowhere"))
        assert os.readlink(root / "etc/x") == "/nowhere"

    def test_a_folder_stands_in_the_way(self, root):
        with pytest.raises(BuildError, match="/etc is a folder"):
            self.put(root, File("/etc", content=""))

    def test_a_source_keeps_whether_it_can_be_run(self, root, tmp_path):
        script = tmp_path / "script"
        script.write_text("x")
        script.chmod(0o770)
        self.put(root, File("/a", source=script), File("/b", source=script, mode=0o600))
        assert mode(root / "a") == 0o755
        assert mode(root / "b") == 0o600

    def test_a_whole_folder(self, root, tmp_path):
        site = tmp_path / "site"
        (site / "sub").mkdir(parents=True)
        (site / "sub/page").write_text("page")
        (site / "link").symlink_to("sub/page")
        self.put(root, File("/lib/site", source=site, owner="www-data"))
        assert (root / "usr/lib/site/sub/page").read_text() == "page"
        assert os.readlink(root / "usr/lib/site/link") == "sub/page"
        assert owners()["/usr/lib/site/sub/page"] == (33, 33)
        assert owners()["/usr/lib/site"] == (33, 33)

    def test_a_pipe_is_no_file(self, root, tmp_path):
        (tmp_path / "site").mkdir()
        os.mkfifo(tmp_path / "site/pipe")
        with pytest.raises(BuildError, match="neither a file"):
            self.put(root, File("/site", source=tmp_path / "site"))


class TestUsers:
    """Accounts, made without running anything."""

    def put(self, root, *users):
        contents.put_users(Recipe("a", users=users, epoch=EPOCH), root)

    def test_a_user(self, root):
        self.put(root, User("alice", ("ssh-ed25519 AAAA",), sudo=True))
        line = "alice:x:1001:1001::/home/alice:/bin/sh\n"
        assert line in (root / "etc/passwd").read_text()
        assert "alice:x:1001:\n" in (root / "etc/group").read_text()
        days = EPOCH // 86_400
        assert f"alice:*:{days}:" in (root / "etc/shadow").read_text()
        keys = root / "home/alice/.ssh/authorized_keys"
        assert keys.read_text() == "ssh-ed25519 AAAA\n"
        assert (mode(keys), mode(keys.parent)) == (0o600, 0o700)
        assert owners()["/home/alice/.ssh"] == (1001, 1001)
        assert mode(root / "etc/sudoers.d/alice") == 0o440

    def test_root_gets_keys_alone(self, root):
        before = (root / "etc/passwd").read_text()
        self.put(root, User("root", ("ssh-ed25519 AAAA",)))
        assert (root / "etc/passwd").read_text() == before
        assert (root / "root/.ssh/authorized_keys").exists()

    def test_one_that_is_there(self, root):
        with pytest.raises(BuildError, match="bob is in the image already"):
            self.put(root, User("bob"))

    def test_an_image_without_accounts(self, root):
        (root / "etc/passwd").unlink()
        with pytest.raises(BuildError, match="no /etc/passwd"):
            self.put(root, User("alice"))


class TestInit:
    """What each init adds to the image."""

    def test_small(self, root):
        contents.put_init(Recipe("a", applets=("vi",)), root)
        for path in contents.SMALL.rglob("*"):
            if path.is_file():
                put = root / path.relative_to(contents.SMALL)
                assert put.read_bytes() == path.read_bytes()
                # A package that was installed may have lost that.
                assert mode(put) == 0o755
        assert os.readlink(root / "usr/local/bin/vi") == "/bin/busybox"

    def test_systemd(self, root):
        contents.put_init(Recipe("a", init=Init.SYSTEMD), root)
        unit = root / "etc/systemd/system/nova-multi-guest.service"
        assert mode(unit) == 0o644
        setup = root / "usr/lib/guest/systemd-setup"
        assert mode(setup) == 0o755
        assert f"ExecStart=/{setup.relative_to(root)}\n" in unit.read_text()
        wants = root / "etc/systemd/system/multi-user.target.wants" / unit.name
        assert os.readlink(wants) == "/etc/systemd/system/nova-multi-guest.service"
        # The small init itself is not there.
        assert not (root / "usr/sbin/init").exists()

    def test_host_keys_are_the_guest_s_own(self, root):
        contents.put_init(Recipe("a", init=Init.CLOUD_INIT), root)
        (settings,) = (root / "etc/systemd/system/ssh.service.d").iterdir()
        lines = settings.read_text().splitlines()
        assert lines[1:3] == ["ExecStartPre=", "ExecStartPre=/usr/bin/ssh-keygen -A"]
        assert (root / "etc/cloud/cloud.cfg.d/90-nova-multi.cfg").exists()

    def test_none(self, root):
        before = sorted(root.rglob("*"))
        contents.put_init(Recipe("a", init=Init.NONE), root)
        assert sorted(root.rglob("*")) == before


def test_remove(root):
    (root / "etc/link").symlink_to("/usr")
    for path in ("/etc/link", "/lib/../../etc/shadow", "/usr/bin", "/absent"):
        contents.remove(root, path)
    assert not (root / "etc/link").is_symlink()
    assert not (root / "etc/shadow").exists()
    assert not (root / "usr/bin").exists()
    assert (root / "usr").is_dir()
    with pytest.raises(BuildError):
        contents.remove(root, "/etc/..")


def test_scrub_takes_what_differs(root):
    for name in (
        "etc/ssh/ssh_host_rsa_key",
        "var/log/dpkg.log",
        "var/lib/apt/lists/x/y",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    (root / "etc/machine-id").write_text("0123\n")
    (root / "etc/apt").mkdir()
    (root / "etc/apt/sources.list").write_text("deb [trusted=yes] copy:///x ./\n")
    tree.scrub(root, EPOCH)
    assert not (root / "etc/ssh/ssh_host_rsa_key").exists()
    assert not (root / "var/log/dpkg.log").exists()
    assert list((root / "var/lib/apt/lists").iterdir()) == []
    assert (root / "etc/machine-id").read_text() == ""
    assert (root / "etc/apt/sources.list").read_text() == ""
    days = EPOCH // 86_400
    assert (root / "etc/shadow").read_text() == f"root:*:{days}:0:99999:7:::\n"


def test_sources_of_a_recipe_stay(root):
    (root / "etc/apt").mkdir()
    (root / "etc/apt/sources.list").write_text("deb http://packages.example x main\n")
    tree.scrub(root, EPOCH)
    assert "packages.example" in (root / "etc/apt/sources.list").read_text()


def test_what_is_unpacked_gets_accounts_and_commands(root):
    master = root / "usr/share/base-passwd"
    master.mkdir(parents=True)
    (root / "etc/passwd").unlink()
    (master / "passwd.master").write_text("root:*:0:0:root:/root:/bin/bash\n")
    (root / "usr/bin/busybox").touch()
    (root / "usr/sbin/blkid").touch()
    extracted.complete(root)
    assert (root / "etc/passwd").read_text() == "root:*:0:0:root:/root:/bin/sh\n"
    assert os.readlink(root / "usr/bin/sh") == "busybox"
    # What a package brought is not replaced.
    assert not (root / "usr/bin/blkid").exists()
    assert mode(root / "tmp") == 0o1777


class TestFingerprint:
    """The same recipe is the same, wherever it lies."""

    def test_content_and_mode_of_sources(self, tmp_path):
        source = tmp_path / "script"
        source.write_text("one")
        source.chmod(0o644)
        recipe = Recipe("a", files=(File("/x", source=source),))
        first = manifest.fingerprint(recipe)
        source.chmod(0o640)
        assert manifest.fingerprint(recipe) == first
        moved = source.rename(tmp_path / "elsewhere")
        assert (
            manifest.fingerprint(Recipe("a", files=(File("/x", source=moved),)))
            == first
        )
        moved.chmod(0o755)
        recipe = Recipe("a", files=(File("/x", source=moved),))
        assert manifest.fingerprint(recipe) != first

    def test_folders(self, tmp_path):
        (tmp_path / "site").mkdir()
        (tmp_path / "site/page").write_text("one")
        recipe = Recipe("a", files=(File("/x", source=tmp_path / "site"),))
        first = manifest.fingerprint(recipe)
        (tmp_path / "site/page").write_text("two")
        assert manifest.fingerprint(recipe) != first

    def test_fields(self):
        assert manifest.fingerprint(Recipe("a")) != manifest.fingerprint(Recipe("b"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": [{}]}'])
def test_what_is_no_manifest(tmp_path, content):
    (tmp_path / manifest.MANIFEST).write_text(content)
    with pytest.raises(BuildError):
        manifest.read(tmp_path)
