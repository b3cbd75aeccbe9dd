# SPDX-License-Identifier: Apache-2.0
"""From a recipe to a folder of images with a manifest."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from guest_image import containers, debian, disk, kernel, tree
from guest_image import recipe as recipes
from guest_image.recipe import Recipe

FORMATS = ("docker", "lxd", "lxd-unified", "vm")
DEFAULT_FORMATS = ("docker", "lxd", "vm")
MANIFEST = "manifest.json"

Log = Callable[[str], None]
# Glance's view of a file, see `_describe`.
Image = dict[str, Any]


def build(
    recipe: Recipe,
    output: Path,
    *,
    formats: tuple[str, ...] = DEFAULT_FORMATS,
    force: bool = False,
    log: Log = print,
) -> dict[str, Any]:
    """Make the images that `output` does not hold yet.

    Nothing is built where the folder's manifest names the same recipe and
    versions and its files are whole.

    :returns: the manifest
    :raises ToolError: with the reason
    """
    packages = debian.resolve(recipe, kernel="vm" in formats)
    key = _key(recipe, packages, formats)
    output.mkdir(parents=True, exist_ok=True)
    present = _present(output, key)
    if present is not None and not force:
        log(f"{output}: up to date")
        return present
    with tempfile.TemporaryDirectory(prefix=".build-", dir=output) as scratch:
        made = _Builder(recipe, packages, Path(scratch), log).images(formats)
        manifest = {
            "key": key,
            "recipe": recipe.name,
            "packages": dict(sorted(packages.versions.items())),
            "images": made,
        }
        for image in made:
            os.replace(Path(scratch, image["file"]), output / image["file"])
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        Path(scratch, MANIFEST).write_text(text)
        os.replace(Path(scratch, MANIFEST), output / MANIFEST)
    return manifest


class _Builder:
    """One build, in a scratch folder that goes away afterwards."""

    def __init__(
        self, recipe: Recipe, packages: debian.Packages, scratch: Path, log: Log
    ) -> None:
        self._recipe = recipe
        self._packages = packages
        self._scratch = scratch
        self._root = scratch / "root"
        self._log = log
        self._architecture = debian.architecture()

    def images(self, formats: tuple[str, ...]) -> list[Image]:
        """Build all; the packagings at the same time."""
        recipe = self._recipe
        with ThreadPoolExecutor() as pool:
            unpacked = None
            if self._packages.kernel is not None:
                unpacked = pool.submit(self._kernel, self._packages.kernel)
            self._log("fetching packages")
            repository = self._scratch / "packages"
            debian.fetch(recipe, repository)
            self._log("installing the Debian root")
            tree.make(recipe, repository, self._root)
            tree.settle(self._root, recipe.epoch)
            self._log(f"packing: {', '.join(formats)}")
            makers = {
                "docker": self._docker,
                "lxd": self._lxd,
                "lxd-unified": self._lxd_unified,
            }
            packed = [pool.submit(makers[name]) for name in formats if name in makers]
            if unpacked is not None:
                packed.append(pool.submit(self._vm, unpacked.result()))
            return [image for one in packed for image in one.result()]

    def _system(self) -> dict[str, str]:
        """What is in all images, in Glance's words."""
        # base-files has the number of its release before the point.
        release = self._packages.versions["base-files"].partition(".")[0]
        return {"os_type": "linux", "os_distro": "debian", "os_version": release}

    def _container_properties(self, hypervisor: str) -> dict[str, str]:
        return {
            "img_hv_type": hypervisor,
            f"trait:CUSTOM_HYPERVISOR_{hypervisor.upper()}": "required",
            **self._system(),
        }

    def _docker(self) -> list[Image]:
        target = self._scratch / f"{self._recipe.name}-docker.tar"
        containers.docker_archive(
            self._root,
            target,
            tag=f"{self._recipe.name}:latest",
            architecture=self._architecture,
            epoch=self._recipe.epoch,
        )
        return [
            _describe(
                target,
                "docker",
                formats=("raw", "docker"),
                properties=self._container_properties("docker"),
            )
        ]

    def _lxd(self) -> list[Image]:
        target = self._scratch / f"{self._recipe.name}-lxd.squashfs"
        containers.squashfs(self._root, target, self._recipe.epoch)
        return [
            _describe(
                target,
                "lxd",
                properties=self._container_properties("lxd"),
            )
        ]

    def _lxd_unified(self) -> list[Image]:
        target = self._scratch / f"{self._recipe.name}-lxd-unified.tar.gz"
        containers.lxd_unified(
            self._root,
            target,
            architecture=self._architecture,
            epoch=self._recipe.epoch,
        )
        return [
            _describe(
                target,
                "lxd",
                properties=self._container_properties("lxd"),
            )
        ]

    def _vm(self, modules: kernel.Modules) -> list[Image]:
        name = self._recipe.name
        target = self._scratch / f"{name}-vm.qcow2"
        vmlinuz = self._scratch / f"{name}-vm-kernel"
        initramfs = self._scratch / f"{name}-vm-initramfs"
        kernel.initramfs(self._recipe, self._root, modules, initramfs)
        disk.make(self._recipe, self._root, target)
        return [
            _describe(
                target,
                "libvirt",
                formats=("qcow2", "bare"),
                min_disk=-(-self._recipe.disk_mb // 1024),
                min_ram=96,
                properties={
                    "img_hv_type": "qemu",
                    "hw_disk_bus": "virtio",
                    "hw_vif_model": "virtio",
                    **self._system(),
                    "os_command_line": kernel.command_line(self._recipe, modules),
                },
                references={
                    "kernel_id": vmlinuz.name,
                    "ramdisk_id": initramfs.name,
                },
            ),
            _describe(vmlinuz, "libvirt", formats=("aki", "aki")),
            _describe(initramfs, "libvirt", formats=("ari", "ari")),
        ]

    def _kernel(self, package: str) -> kernel.Modules:
        archive = debian.fetch_kernel(package, self._scratch / "kernel")
        return kernel.unpack(archive, self._scratch / f"{self._recipe.name}-vm-kernel")


def _describe(
    path: Path,
    hypervisor: str,
    *,
    formats: tuple[str, str] = ("raw", "bare"),
    min_disk: int = 0,
    min_ram: int = 0,
    properties: dict[str, str] | None = None,
    references: dict[str, str] | None = None,
) -> Image:
    """A file as Glance is to be told of it.

    `references` are properties whose value is the UUID that Glance gives to
    the image of that name.
    """
    return {
        "name": path.name.partition(".")[0],
        "file": path.name,
        "hypervisor": hypervisor,
        "size": path.stat().st_size,
        "sha512": _sha512(path),
        "disk_format": formats[0],
        "container_format": formats[1],
        "min_disk": min_disk,
        "min_ram": min_ram,
        "properties": properties or {},
        "references": references or {},
    }


def _key(recipe: Recipe, packages: debian.Packages, formats: tuple[str, ...]) -> str:
    inputs = [recipes.fingerprint(recipe), sorted(packages.versions.items()), formats]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _present(output: Path, key: str) -> dict[str, Any] | None:
    """The manifest of what was built before, where all of it is still whole."""
    try:
        manifest: dict[str, Any] = json.loads((output / MANIFEST).read_text())
        if manifest["key"] != key:
            return None
        for image in manifest["images"]:
            if _sha512(output / image["file"]) != image["sha512"]:
                return None
    except (OSError, ValueError, KeyError):
        return None
    return manifest


def _sha512(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha512").hexdigest()
