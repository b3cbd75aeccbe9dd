# SPDX-License-Identifier: Apache-2.0
"""From a recipe to a folder of images with a manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nova_multi.domain.image import found_missing
from nova_multi.domain.recipe import Init, Packaging, Recipe
from nova_multi.exception import BuildError
from nova_multi.image_build import (
    containers,
    contents,
    disk,
    kernel,
    packages,
    programs,
    sources,
    tree,
)
from nova_multi.image_build import plan as plans
from nova_multi.image_build.manifest import (
    MANIFEST,
    Image,
    describe,
    fingerprint,
    present,
)
from nova_multi.image_build.plan import Plan

DEFAULT_PACKAGINGS = (Packaging.DOCKER, Packaging.LXD, Packaging.QCOW2)
#: Lists of packages of other releases and architectures.
CACHE = Path("/var/cache/nova-multi/apt")
#: What an init needs at least, in MB.
_MEMORY = {Init.SMALL: 96, Init.SYSTEMD: 192, Init.CLOUD_INIT: 384}

#: Links behind one another that are followed, as the kernel does.
_MAX_LINKS = 40

Log = Callable[[str], None]


def needed_programs(packagings: tuple[Packaging, ...], recipe: Recipe) -> set[str]:
    """Programs that a build runs."""
    found = {"apt-get", "dpkg-deb", "mmdebstrap", "tar"}
    if Packaging.LXD in packagings:
        found.add("mksquashfs")
    if any(each.is_disk for each in packagings):
        found |= {"mkfs.ext4", "debugfs"}
        if recipe.kernel.install_modules:
            found.add("depmod")
    if Packaging.QCOW2 in packagings:
        found.add("qemu-img")
    if recipe.commands:
        found |= {"unshare", "setpriv"}
    return found


def prepare(
    recipe: Recipe, packagings: tuple[Packaging, ...] = DEFAULT_PACKAGINGS
) -> Plan:
    """See whether a recipe can be built here, and decide how; downloads nothing.

    :raises BuildError: it can't, with all reasons
    """
    programs.check(needed_programs(packagings, recipe))
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        if not epoch.isdigit():
            raise BuildError(f"SOURCE_DATE_EPOCH is no number of seconds: {epoch!r}")
        recipe = dataclasses.replace(recipe, epoch=int(epoch))
    return plans.plan(recipe, sources.machine(), packagings)


def build(
    recipe: Recipe,
    output: Path,
    *,
    packagings: tuple[Packaging, ...] = DEFAULT_PACKAGINGS,
    force: bool = False,
    cache: Path = CACHE,
    log: Log = print,
) -> dict[str, Any]:
    """Make the images that `output` does not hold yet.

    Nothing is built where the folder's manifest names the same recipe and versions and
    its files are whole.

    :returns: the manifest
    :raises BuildError: with the reason
    """
    plan = prepare(recipe, packagings)
    options: tuple[str, ...] = ()
    if plan.own_sources:
        log(f"sources of {plan.recipe.release} for {plan.recipe.architecture}")
        options = sources.prepare(plan.recipe, sources.machine(), cache)
    found = packages.resolve(plan.recipe, kernel=plan.needs_kernel, options=options)
    key = _key(plan, found)
    output.mkdir(parents=True, exist_ok=True)
    there = present(output, key)
    if there is not None and not force:
        log(f"{output}: up to date")
        return there
    with tempfile.TemporaryDirectory(prefix=".build-", dir=output) as scratch:
        builder = _Builder(plan, found, options, Path(scratch), log)
        made = builder.images()
        manifest = {
            "key": key,
            "recipe": plan.recipe.name,
            "packages": dict(sorted(found.versions.items())),
            "images": made,
        }
        for image in made:
            os.replace(Path(scratch, image["file"]), output / image["file"])
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        Path(scratch, MANIFEST).write_text(text)
        os.replace(Path(scratch, MANIFEST), output / MANIFEST)
    return manifest


def _key(plan: Plan, found: packages.Packages) -> str:
    inputs = [
        fingerprint(plan.recipe),
        sorted(found.versions.items()),
        [str(each) for each in plan.packagings],
    ]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


class _Builder:
    """One build, in a scratch folder that goes away afterwards."""

    def __init__(
        self,
        plan: Plan,
        found: packages.Packages,
        options: tuple[str, ...],
        scratch: Path,
        log: Log,
    ) -> None:
        self._plan = plan
        self._recipe = plan.recipe
        self._packages = found
        self._options = options
        self._scratch = scratch
        self._root = scratch / "root"
        self._log = log
        self._system: dict[str, str] = {}

    def images(self) -> list[Image]:
        """Build all; the packagings at the same time."""
        recipe = self._recipe
        with ThreadPoolExecutor() as pool:
            unpacked = None
            if self._packages.kernel is not None:
                unpacked = pool.submit(self._kernel, self._packages.kernel)
            self._log("fetching packages")
            repository = self._scratch / "packages"
            packages.fetch(recipe, repository, self._options)
            self._log("installing the root")
            tree.make(recipe, repository, self._root)
            tree.settle(self._root, recipe.epoch)
            self._system = self._release_properties() | found_missing(self._has)
            names = self._plan.packagings
            self._log(f"packing: {', '.join(names)}")
            makers = {
                Packaging.DOCKER: self._docker,
                Packaging.LXD: self._lxd,
                Packaging.LXD_UNIFIED: self._lxd_unified,
            }
            packed = [pool.submit(makers[name]) for name in names if name in makers]
            if unpacked is not None:
                packed.append(pool.submit(self._vm, unpacked.result(), list(packed)))
            return [image for one in packed for image in one.result()]

    def _release_properties(self) -> dict[str, str]:
        """What is in all images, in Glance's words."""
        release = self._root / "usr/lib/os-release"
        told = dict(
            line.split("=", 1)
            for line in (release.read_text() if release.is_file() else "").splitlines()
            if "=" in line
        )
        told = {key: value.strip("\"'") for key, value in told.items()}
        # A release that is still being made has no number.
        version = told.get("VERSION_ID") or self._recipe.release
        return {
            "os_type": "linux",
            "os_distro": told.get("ID", self._recipe.distribution),
            "os_version": version,
        }

    def _has(self, path: str) -> bool:
        """Whether the root has a file; links lead where they would in the guest."""
        for _ in range(_MAX_LINKS):
            try:
                found = contents.below(self._root, path)
            except BuildError:
                return False
            if not found.is_symlink():
                return found.is_file()
            folder = found.parent.relative_to(self._root)
            target = os.readlink(found)
            path = target if target.startswith("/") else f"{folder}/{target}"
        return False

    def _glance_name(self, file: str) -> str:
        stem = file.partition(".")[0]
        if not self._recipe.full_names:
            return stem
        system, version = self._system["os_distro"], self._system["os_version"]
        return f"{system}_{stem}_{version}_{self._recipe.architecture}"

    def _container_properties(self, hypervisor: str) -> dict[str, str]:
        return {
            "img_hv_type": hypervisor,
            f"trait:CUSTOM_HYPERVISOR_{hypervisor.upper()}": "required",
            **self._common_properties(),
        }

    def _common_properties(self) -> dict[str, str]:
        return {**self._system, **self._recipe.properties}

    def _docker(self) -> list[Image]:
        target = self._scratch / f"{self._recipe.name}-docker.tar"
        # No systemd runs in an ordinary container of Docker's: the driver keeps one up
        # whose command is a shell, and runs its user-data.
        command = "/sbin/init" if self._recipe.init is Init.SMALL else "/bin/sh"
        containers.docker_archive(
            self._root,
            target,
            tag=f"{self._recipe.name}:latest",
            architecture=self._recipe.architecture,
            epoch=self._recipe.epoch,
            command=[command],
        )
        return [
            self._describe(
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
            self._describe(target, "lxd", properties=self._container_properties("lxd"))
        ]

    def _lxd_unified(self) -> list[Image]:
        target = self._scratch / f"{self._recipe.name}-lxd-unified.tar.gz"
        containers.lxd_unified(
            self._root,
            target,
            architecture=self._recipe.architecture,
            epoch=self._recipe.epoch,
            distribution=self._recipe.distribution,
            description=self._recipe.description or self._recipe.name,
        )
        return [
            self._describe(target, "lxd", properties=self._container_properties("lxd"))
        ]

    def _vm(
        self, unpacked: tuple[Path, kernel.Modules], others: list[Future[Any]]
    ) -> list[Image]:
        archive, modules = unpacked
        recipe, name = self._recipe, self._recipe.name
        vmlinuz = self._scratch / f"{name}-vm-kernel"
        initramfs = self._scratch / f"{name}-vm-initramfs"
        kernel.initramfs(recipe, self._root, modules, initramfs)
        if recipe.kernel.install_modules:
            # They are for the disk alone: no container loads a module.
            for other in others:
                other.result()
            kernel.install_modules(archive, self._root)
            tree.settle(self._root, recipe.epoch)
        raw = self._scratch / f"{name}-vm-raw.img"
        disk.make(recipe, self._root, raw)
        made = []
        if Packaging.QCOW2 in self._plan.packagings:
            target = self._scratch / f"{name}-vm.qcow2"
            disk.qcow2(raw, target)
            made.append(
                self._disk(target, ("qcow2", "bare"), modules, vmlinuz, initramfs)
            )
        if Packaging.RAW in self._plan.packagings:
            made.append(self._disk(raw, ("raw", "bare"), modules, vmlinuz, initramfs))
        return [
            *made,
            self._describe(vmlinuz, "libvirt", formats=("aki", "aki")),
            self._describe(initramfs, "libvirt", formats=("ari", "ari")),
        ]

    def _disk(
        self,
        target: Path,
        formats: tuple[str, str],
        modules: kernel.Modules,
        vmlinuz: Path,
        initramfs: Path,
    ) -> Image:
        recipe = self._recipe
        return self._describe(
            target,
            "libvirt",
            formats=formats,
            min_disk=-(-recipe.size_mb // 1024),
            min_ram=_MEMORY.get(recipe.init, 0),
            properties={
                "img_hv_type": "qemu",
                "hw_disk_bus": "virtio",
                "hw_vif_model": "virtio",
                **plans.machine_properties(recipe.architecture, self._plan.foreign),
                "os_command_line": kernel.command_line(recipe, modules),
                **self._common_properties(),
            },
            references={
                "kernel_id": self._glance_name(vmlinuz.name),
                "ramdisk_id": self._glance_name(initramfs.name),
            },
        )

    def _kernel(self, package: str) -> tuple[Path, kernel.Modules]:
        folder = self._scratch / "kernel"
        archive = packages.fetch_kernel(package, folder, self._options)
        vmlinuz = self._scratch / f"{self._recipe.name}-vm-kernel"
        return archive, kernel.unpack(archive, vmlinuz)

    def _describe(self, path: Path, hypervisor: str, **more: Any) -> Image:
        return describe(path, hypervisor, name=self._glance_name(path.name), **more)
