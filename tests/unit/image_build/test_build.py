# SPDX-License-Identifier: Apache-2.0
"""The pure parts of tools/build-image."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from guest_image import build, containers, cpio, debian, kernel, recipe, tree
from toolbox import ToolError, run

RECIPE = Path(__file__).parents[3] / "tools" / "image"
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
        with pytest.raises(ToolError, match="no module e1000"):
            kernel.load_order(["e1000"], self.MODULES)


def test_options_of_what_the_kernel_holds_go_to_its_command_line() -> None:
    told = recipe.read(RECIPE)
    held = kernel.Modules({}, frozenset({"virtio_net"}))
    assert kernel.command_line(told, held).endswith(
        " virtio_net.csum=0 virtio_net.gso=0"
    )
    assert kernel.command_line(told, kernel.Modules({}, frozenset())) == (
        told.command_line
    )


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


@pytest.mark.parametrize("version", ["12.4+deb12u11", "12.13"])
def test_an_image_tells_which_system_it_has(version: str, tmp_path: Path) -> None:
    packages = debian.Packages({"base-files": version}, None)
    builder = build._Builder(recipe.read(RECIPE), packages, tmp_path, lambda _: None)
    assert builder._container_properties("lxd") == {
        "img_hv_type": "lxd",
        "trait:CUSTOM_HYPERVISOR_LXD": "required",
        "os_type": "linux",
        "os_distro": "debian",
        "os_version": "12",
    }


class TestPresent:
    """An output folder is reused only when whole and of the same inputs."""

    @pytest.fixture
    def built(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Replace apt and the build proper; gives the log of builds."""
        builds: list[str] = []
        versions = debian.Packages({"busybox": "1:1"}, None)
        monkeypatch.setattr(debian, "resolve", lambda *_, **__: versions)
        monkeypatch.setattr(debian, "architecture", lambda: "amd64")

        def images(builder: Any, formats: tuple[str, ...]) -> list[build.Image]:
            builds.append(",".join(formats))
            target = builder._scratch / "debian-lxd.squashfs"
            target.write_bytes(b"content")
            return [build._describe(target, "lxd")]

        monkeypatch.setattr(build._Builder, "images", images)
        return builds

    def make(self, output: Path, *formats: str) -> dict[str, Any]:
        return build.build(
            recipe.read(RECIPE), output, formats=formats, log=lambda _: None
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
    with pytest.raises(ToolError, match="status 3:\n  because"):
        run(["sh", "-c", "echo because >&2; exit 3"])


def test_missing_program_is_named() -> None:
    with pytest.raises(ToolError, match="no-such-program is missing"):
        run(["no-such-program"])
