# SPDX-License-Identifier: Apache-2.0
"""Building images: what needs no packages."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from nova_multi import cpio
from nova_multi.domain.image import ImageName, found_missing
from nova_multi.domain.recipe import Kernel, Packaging, Recipe
from nova_multi.exception import BuildError
from nova_multi.image_build import (
    build,
    containers,
    kernel,
    manifest,
    packages,
    plan,
    programs,
    sources,
    tree,
)
from nova_multi.image_build.programs import run

MACHINE = plan.Machine("amd64", "debian", "bookworm")
EPOCH = 1_000_000_000


def module(*needs: str) -> bytes:
    """What a module file says about its dependencies."""
    return b"\x7fELF\0name=x\0depends=" + ",".join(needs).encode() + b"\0more\0"


class TestLoadOrder:
    """Modules come after what they need."""

    MODULES = kernel.Modules(
        files={
            "virtio": module(),
            "virtio_ring": module(),
            "virtio_pci": module("virtio", "virtio-ring"),
            "virtio_net": module("virtio_ring", "virtio"),
        },
        built_in=frozenset({"vfat"}),
    )

    def test_dependencies_come_first_and_once(self) -> None:
        order = kernel.load_order(["virtio_pci", "virtio_net csum=0"], self.MODULES)
        assert order == ["virtio", "virtio_ring", "virtio_pci", "virtio_net"]

    def test_what_the_kernel_holds_is_not_loaded(self) -> None:
        assert kernel.load_order(["vfat"], self.MODULES) == []

    def test_unknown_module(self) -> None:
        with pytest.raises(BuildError, match="no module e1000"):
            kernel.load_order(["e1000"], self.MODULES)


def test_options_of_what_the_kernel_holds_go_to_its_command_line() -> None:
    told = Recipe("web", kernel=Kernel("", ("virtio_net csum=0 gso=0",), "quiet"))
    held = kernel.Modules({}, frozenset({"virtio_net"}))
    assert kernel.command_line(told, held).endswith(
        " virtio_net.csum=0 virtio_net.gso=0"
    )
    assert kernel.command_line(told, kernel.Modules({}, frozenset())) == "quiet"


def test_cpio_is_readable(tmp_path: Path) -> None:
    """GNU cpio or busybox's reads what was written."""
    archive = tmp_path / "archive"
    with archive.open("wb") as stream, cpio.Writer(stream, EPOCH) as writer:
        writer.folder("bin")
        writer.file("bin/tool", b"content", 0o755)
        writer.link("bin/other", "tool")
    content = archive.read_bytes()
    assert content[:6] == b"070701"
    assert content.count(b"070701") == 4
    assert b"TRAILER!!!" in content
    assert len(content) % 4 == 0
    # The size of the file in the second entry's header, at its 7th field.
    second = content.index(b"070701", 6)
    assert int(content[second + 6 + 6 * 8 : second + 6 + 7 * 8], 16) == len("content")


@pytest.fixture
def small_root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/hostname").write_text("debian\n")
    (root / "sbin").symlink_to("usr/sbin")
    return root


def test_settle_clamps_folders_files_and_links(small_root: Path) -> None:
    tree.settle(small_root, EPOCH)
    for path in (small_root, *small_root.rglob("*")):
        assert path.lstat().st_mtime == EPOCH


def test_docker_archive(small_root: Path, tmp_path: Path) -> None:
    """The layer's digest is the one that the configuration names."""
    target = tmp_path / "image.tar"
    for _ in range(2):
        containers.docker_archive(
            small_root, target, tag="debian:latest", architecture="amd64", epoch=EPOCH
        )
    with tarfile.open(target) as archive:
        [entry] = json.load(member(archive, "manifest.json"))
        config = json.load(member(archive, entry["Config"]))
        layer = member(archive, entry["Layers"][0]).read()
    assert entry["RepoTags"] == ["debian:latest"]
    digest = hashlib.sha256(layer).hexdigest()
    assert config["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as content:
        assert "./etc/hostname" in content.getnames()


def test_archives_are_reproducible(small_root: Path, tmp_path: Path) -> None:
    digests = set()
    for name in ("one.tar", "two.tar"):
        containers.root_tar(small_root, tmp_path / name, EPOCH)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
        # As in a second build, at another time.
        (small_root / "etc/hostname").write_text("debian\n")
    assert len(digests) == 1


def member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found is not None
    return found


def builder(recipe: Recipe, scratch: Path, *formats: Packaging) -> build._Builder:
    planned = plan.plan(recipe, MACHINE, formats or (Packaging.LXD,))
    made = build._Builder(
        planned, packages.Packages({}, None), (), scratch, lambda _: None
    )
    (scratch / "root/usr/lib").mkdir(parents=True, exist_ok=True)
    return made


RELEASES = {
    'ID=debian\nVERSION_ID="12"\n': ("debian", "12"),
    "ID='ubuntu'\nVERSION_ID=\"24.04\"\n": ("ubuntu", "24.04"),
    # A release that is still being made has no number.
    "ID=debian\n": ("debian", "bookworm"),
}


@pytest.mark.parametrize("told", RELEASES)
def test_an_image_tells_which_system_it_has(told: str, tmp_path: Path) -> None:
    made = builder(Recipe("web", properties={"os_admin_user": "debian"}), tmp_path)
    (tmp_path / "root/usr/lib/os-release").write_text(told)
    made._system = made._release_properties()
    system, version = RELEASES[told]
    assert made._container_properties("lxd") == {
        "img_hv_type": "lxd",
        "trait:CUSTOM_HYPERVISOR_LXD": "required",
        "os_type": "linux",
        "os_distro": system,
        "os_version": version,
        "os_admin_user": "debian",
    }


@pytest.mark.parametrize(
    "target", [None, "git.real", "/usr/bin/git.real", "../../opt/git"]
)
def test_an_image_tells_what_it_lacks(target: str | None, tmp_path: Path) -> None:
    made = builder(Recipe("web"), tmp_path)
    folder = tmp_path / "root/usr/bin"
    folder.mkdir(parents=True)
    assert found_missing(made._has) == {"nova_multi_without": "git"}
    (folder / "git").symlink_to("/usr/bin/git")  # around in a circle
    assert found_missing(made._has) == {"nova_multi_without": "git"}
    (folder / "git").unlink()
    (tmp_path / "root/bin").symlink_to("/usr/bin")  # which is not the builder's own
    assert found_missing(made._has) == {"nova_multi_without": "git"}
    if target is None:
        (folder / "git").write_text("")
    else:
        (folder / "git").symlink_to(target)
        assert found_missing(made._has) == {"nova_multi_without": "git"}
        (tmp_path / "root/opt").mkdir()
        (tmp_path / "root/opt/git").write_text("")
        (folder / "git.real").write_text("")
    assert found_missing(made._has) == {}


def test_full_names_are_read_as_such(tmp_path: Path) -> None:
    made = builder(Recipe("web", full_names=True), tmp_path)
    made._system = {"os_distro": "debian", "os_version": "12"}
    name = made._glance_name("web-vm.qcow2")
    assert ImageName.parse(name) == ImageName("debian", "web-vm", "12", "amd64")


def test_a_disk_names_its_kernel_as_glance_knows_it(tmp_path: Path) -> None:
    made = builder(Recipe("web", full_names=True), tmp_path, Packaging.QCOW2)
    made._system = {"os_distro": "debian", "os_version": "12"}
    for name in ("web-vm.qcow2", "web-vm-kernel", "web-vm-initramfs"):
        (tmp_path / name).write_bytes(b"content")
    told = made._disk(
        tmp_path / "web-vm.qcow2",
        ("qcow2", "bare"),
        kernel.Modules({}, frozenset()),
        tmp_path / "web-vm-kernel",
        tmp_path / "web-vm-initramfs",
    )
    assert told["references"] == {
        "kernel_id": "debian_web-vm-kernel_12_amd64",
        "ramdisk_id": "debian_web-vm-initramfs_12_amd64",
    }
    assert told["min_disk"] == 1
    assert told["min_ram"] == 96
    assert told["properties"]["img_hv_type"] == "qemu"


class TestPresent:
    """An output folder is reused only when whole and of the same inputs."""

    @pytest.fixture
    def built(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Replace apt and the build proper; gives the log of builds."""
        builds: list[str] = []
        versions = packages.Packages({"busybox": "1:1"}, None)
        monkeypatch.setattr(packages, "resolve", lambda *_, **__: versions)
        monkeypatch.setattr(sources, "machine", lambda: MACHINE)
        monkeypatch.setattr(programs, "check", lambda _: None)

        def images(builder: Any) -> list[manifest.Image]:
            builds.append(",".join(builder._plan.packagings))
            target = builder._scratch / "debian-lxd.squashfs"
            target.write_bytes(b"content")
            return [manifest.describe(target, "lxd")]

        monkeypatch.setattr(build._Builder, "images", images)
        return builds

    def make(self, output: Path, *formats: str) -> dict[str, Any]:
        return build.build(
            Recipe("debian"),
            output,
            packagings=tuple(map(Packaging, formats)),
            log=lambda _: None,
        )

    def test_second_build_does_nothing(self, built: list[str], tmp_path: Path) -> None:
        first = self.make(tmp_path / "out", "lxd")
        assert self.make(tmp_path / "out", "lxd") == first
        assert built == ["lxd"]
        assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
            "debian-lxd.squashfs",
            "manifest.json",
        ]

    def test_damaged_file_is_rebuilt(self, built: list[str], tmp_path: Path) -> None:
        self.make(tmp_path / "out", "lxd")
        (tmp_path / "out/debian-lxd.squashfs").write_bytes(b"conten")
        self.make(tmp_path / "out", "lxd")
        assert built == ["lxd", "lxd"]

    def test_other_formats_are_other_inputs(
        self, built: list[str], tmp_path: Path
    ) -> None:
        self.make(tmp_path / "out", "lxd")
        self.make(tmp_path / "out", "docker")
        assert built == ["lxd", "docker"]


def test_failing_program_tells_its_last_lines() -> None:
    with pytest.raises(BuildError, match="status 3:\n  because"):
        run(["sh", "-c", "echo because >&2; exit 3"])


def test_missing_program_is_named() -> None:
    with pytest.raises(BuildError, match="no-such-program is missing"):
        run(["no-such-program"])
