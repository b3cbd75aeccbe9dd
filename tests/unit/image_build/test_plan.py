# SPDX-License-Identifier: Apache-2.0
"""What a recipe comes to on a machine."""

from __future__ import annotations

import pathlib

import pytest

from nova_multi.domain.recipe import (
    Init,
    Kernel,
    Packaging,
    Recipe,
    Repository,
    Variant,
)
from nova_multi.exception import BuildError
from nova_multi.image_build import build, programs
from nova_multi.image_build.plan import (
    KERNELS,
    Machine,
    machine_properties,
    plan,
)

MACHINE = Machine("amd64", "debian", "bookworm")
QCOW2 = (Packaging.QCOW2,)
DOCKER = (Packaging.DOCKER,)


def test_defaults_are_the_machine_s():
    made = plan(Recipe("web"), MACHINE, (*QCOW2, *QCOW2))
    assert made.packagings == QCOW2
    assert (made.recipe.release, made.recipe.architecture) == ("bookworm", "amd64")
    assert made.recipe.kernel == KERNELS["amd64"]
    assert not made.foreign
    assert not made.own_sources
    assert made.needs_kernel
    assert not plan(Recipe("web"), MACHINE, DOCKER).needs_kernel


def test_the_small_init_brings_its_packages():
    made = plan(Recipe("web", packages=("sudo",)), MACHINE, DOCKER).recipe
    assert made.packages == (
        "busybox",
        "dropbear-bin",
        "sudo",
        "udhcpc",
        "usr-is-merged",
    )
    assert made.unwanted == ("usrmerge",)
    assert "wget" in made.applets


@pytest.mark.parametrize(
    ("init", "server"),
    [
        (Init.SMALL, "dropbear-bin"),
        (Init.SYSTEMD, "openssh-server"),
        (Init.CLOUD_INIT, "openssh-server"),
    ],
)
def test_an_ssh_server_is_a_choice(init, server):
    assert server in plan(Recipe("a", init=init), MACHINE, DOCKER).recipe.packages
    without = plan(Recipe("a", init=init, ssh=False), MACHINE, DOCKER).recipe
    assert not {"dropbear-bin", "openssh-server"} & set(without.packages)


def test_an_init_of_one_s_own_brings_nothing():
    made = plan(Recipe("a", init=Init.NONE, packages=("nginx",)), MACHINE, DOCKER)
    assert made.recipe.packages == ("nginx",)
    assert made.recipe.applets == ()


def test_what_is_unwanted_is_not_installed():
    recipe = Recipe("a", packages=("less", "curl=1"), unwanted=("less", "curl"))
    packages = plan(recipe, MACHINE, DOCKER).recipe.packages
    assert not {"less", "curl=1"} & set(packages)


def test_a_version_that_is_named_is_the_only_one():
    recipe = Recipe("a", packages=("busybox=1:1.35.0-4",))
    packages = plan(recipe, MACHINE, DOCKER).recipe.packages
    assert "busybox=1:1.35.0-4" in packages
    assert "busybox" not in packages


@pytest.mark.parametrize(
    "more",
    [
        {"release": "trixie"},
        {"distribution": "devuan"},
        {"repositories": (Repository("https://x.example", pathlib.Path("k")),)},
        {"architecture": "arm64", "variant": Variant.EXTRACT},
    ],
)
def test_when_the_machine_s_own_sources_will_not_do(more):
    assert plan(Recipe("a", **more), MACHINE, DOCKER).own_sources


def test_a_foreign_architecture_is_unpacked():
    recipe = Recipe("a", architecture="arm64", variant=Variant.EXTRACT)
    made = plan(recipe, MACHINE, QCOW2)
    assert made.foreign
    assert made.recipe.kernel == KERNELS["arm64"]
    assert "busybox-static" in made.recipe.packages
    assert "busybox" not in made.recipe.packages


def test_32_bits_are_not_foreign():
    assert not plan(Recipe("a", architecture="i386"), MACHINE, DOCKER).foreign


@pytest.mark.parametrize(
    ("recipe", "formats", "told"),
    [
        (Recipe("a", architecture="arm64"), DOCKER, "variant: extract"),
        (Recipe("a"), (), "no format"),
        (
            Recipe("a", variant=Variant.EXTRACT, commands=("true",)),
            DOCKER,
            "commands need",
        ),
        (Recipe("a", variant=Variant.EXTRACT, init=Init.SYSTEMD), DOCKER, "systemd"),
        (Recipe("a", init=Init.NONE), QCOW2, "needs an init"),
        (
            Recipe("a", architecture="riscv64", variant=Variant.EXTRACT),
            QCOW2,
            "no kernel is known for riscv64",
        ),
    ],
)
def test_what_can_not_be_built(recipe, formats, told):
    with pytest.raises(BuildError, match=told):
        plan(recipe, MACHINE, formats)


def test_all_reasons_at_once():
    recipe = Recipe("a", architecture="arm64", init=Init.NONE)
    with pytest.raises(BuildError) as caught:
        plan(recipe, MACHINE, QCOW2)
    assert "variant: extract" in str(caught.value)
    assert "needs an init" in str(caught.value)


def test_without_a_release():
    with pytest.raises(BuildError, match="apt-get update"):
        plan(Recipe("a"), Machine("amd64", "debian", ""), DOCKER)


def test_a_kernel_of_one_s_own():
    kernel = Kernel("linux-image-riscv64", ("virtio_blk",), "root=/dev/vda")
    recipe = Recipe("a", architecture="riscv64", variant=Variant.EXTRACT, kernel=kernel)
    assert plan(recipe, MACHINE, QCOW2).recipe.kernel == kernel


def test_properties_of_machines():
    assert machine_properties("amd64", False) == {}
    foreign = machine_properties("arm64", True)
    assert foreign["hw_emulation_architecture"] == "aarch64"
    assert foreign["hw_machine_type"] == "virt"
    assert "hw_architecture" not in foreign
    assert machine_properties("arm64", False)["hw_architecture"] == "aarch64"


class TestPrograms:
    """What is missing is told with the packages that bring it."""

    def test_missing(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(programs, "_SEARCHED", ())
        with pytest.raises(BuildError) as caught:
            build.prepare(Recipe("a"), tuple(Packaging))
        told = str(caught.value)
        for program in ("mmdebstrap", "mksquashfs", "qemu-img", "mkfs.ext4"):
            assert program in told
        assert told.endswith(
            "apt-get install apt dpkg e2fsprogs mmdebstrap qemu-utils"
            " squashfs-tools tar"
        )

    def test_only_what_is_used(self):
        assert build.needed_programs(DOCKER, Recipe("a")) == {
            "apt-get",
            "dpkg-deb",
            "mmdebstrap",
            "tar",
        }
        more = Recipe("a", commands=("true",), kernel=Kernel(install_modules=True))
        found = build.needed_programs(QCOW2, more)
        assert {"unshare", "depmod", "qemu-img"} <= found
        assert "mksquashfs" not in found

    def test_every_one_is_of_a_package(self):
        more = Recipe("a", commands=("true",), kernel=Kernel(install_modules=True))
        assert build.needed_programs(tuple(Packaging), more) <= set(programs.PACKAGES)


def test_the_epoch_of_the_environment_wins(monkeypatch):
    monkeypatch.setattr(programs, "check", lambda _: None)
    monkeypatch.setattr(build.sources, "machine", lambda: MACHINE)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000")
    assert build.prepare(Recipe("a"), DOCKER).recipe.epoch == 1000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(BuildError, match="SOURCE_DATE_EPOCH"):
        build.prepare(Recipe("a"), DOCKER)
