# SPDX-License-Identifier: Apache-2.0
"""Images are really built, as root, from the packages that this machine's apt gives."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from nova_multi.domain.recipe import File, Init, Packaging, Recipe, User, Variant
from nova_multi.exception import BuildError
from nova_multi.image_build import build
from nova_multi.inspection import roottree
from nova_multi.inspection.unpacking import Limits

DOCS = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


def make(recipe: Recipe, output: pathlib.Path, *formats: Packaging) -> dict[str, str]:
    """Build; checksums by the images' names."""
    manifest = build.build(
        recipe,
        output,
        packagings=formats,
        cache=output.parent / "cache",
        log=lambda _: None,
    )
    return {image["name"]: image["sha512"] for image in manifest["images"]}


def test_every_format_is_the_same_a_second_time(tmp_path: pathlib.Path) -> None:
    recipe = Recipe(
        "tiny",
        variant=Variant.EXTRACT,
        exclude=DOCS,
        files=(File("/etc/motd", content="hello\n"),),
        users=(User("alice", ("ssh-ed25519 AAAA alice",)),),
        size_mb=256,
    )
    first = make(recipe, tmp_path / "one", *Packaging)
    assert first == make(recipe, tmp_path / "two", *Packaging)
    assert set(first) == {
        "tiny-docker",
        "tiny-lxd",
        "tiny-lxd-unified",
        "tiny-vm",
        "tiny-vm-raw",
        "tiny-vm-kernel",
        "tiny-vm-initramfs",
    }
    lxd = str(tmp_path / "one" / "tiny-lxd.squashfs")
    # The provisioning service takes it: it holds no device nodes.
    found = roottree.squashfs_tree(lxd, Limits(1 << 30, 10_000), 1 << 30)
    assert not found.devices
    raw = tmp_path / "one" / "tiny-vm-raw.img"
    for name, words in (
        ("e2fsck", ["e2fsck", "-fn", str(raw)]),
        ("motd", ["debugfs", "-R", "cat /etc/motd", str(raw)]),
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    assert done.stdout == "hello\n"


def test_commands_see_the_image_alone(tmp_path: pathlib.Path) -> None:
    recipe = Recipe(
        "jailed",
        exclude=DOCS,
        init=Init.NONE,
        packages=("usr-is-merged",),
        unwanted=("usrmerge",),
        variables={"GREETING": "it's $HOME"},
        commands=(
            'echo "$GREETING" >/etc/greeting',
            'test "$(id -u)" = 0',
            f"test ! -e {sys.executable}",
            'test "$(grep -c : /proc/net/dev)" = 1',
            "! mknod /tmp/null c 1 3",
            "! mount -t tmpfs tmpfs /mnt",
            "! chroot / true",
            'test "$(ls -d /proc/[0-9]* | wc -l)" -lt 6',
        ),
    )
    made = make(recipe, tmp_path / "out", Packaging.LXD)
    assert set(made) == {"jailed-lxd"}
    image = tmp_path / "out" / "jailed-lxd.squashfs"
    words = ["unsquashfs", "-cat", str(image), "etc/greeting"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "it's $HOME\n"


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (Recipe("bad", packages=("no-such-package",)), "no-such-package"),
        (Recipe("bad", variant=Variant.EXTRACT, size_mb=8), "needs about"),
        (
            Recipe("bad", variant=Variant.EXTRACT, files=(File("/etc", content=""),)),
            "is a folder",
        ),
    ],
)
def test_a_failure_leaves_nothing(
    tmp_path: pathlib.Path, recipe: Recipe, told: str
) -> None:
    with pytest.raises(BuildError, match=told):
        make(recipe, tmp_path / "out", Packaging.RAW)
    assert not list((tmp_path / "out").glob("*")) or not (tmp_path / "out").exists()


def test_a_command_that_fails_is_named(tmp_path: pathlib.Path) -> None:
    recipe = Recipe(
        "bad",
        exclude=DOCS,
        init=Init.NONE,
        packages=("usr-is-merged",),
        unwanted=("usrmerge",),
        commands=("echo because; echo of-this >&2; exit 3",),
    )
    with pytest.raises(BuildError, match="'echo because.*status 3:\n  of-this"):
        make(recipe, tmp_path / "out", Packaging.DOCKER)
