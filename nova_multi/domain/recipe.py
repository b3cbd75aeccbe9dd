# SPDX-License-Identifier: Apache-2.0
"""Recipes of guest images: what is to be in one, whatever it is packed for."""

from __future__ import annotations

import dataclasses
import enum
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any

#: Nothing in an image is younger than this, unless its recipe says so: the day of
#: Debian 12. Any fixed moment would do.
DEFAULT_EPOCH = 1_686_355_200
DEFAULT_SIZE_MB = 1024

#: From which the identity of a file system without one is made.
_NAMESPACE = uuid.UUID("7d8b1f0a-6c1e-4b7e-9b0d-1f2a3c4d5e6f")


class Variant(enum.StrEnum):
    """How much of a distribution is installed besides the packages that are named."""

    ESSENTIAL = "essential"
    MINBASE = "minbase"
    #: The packages are unpacked, and nothing of them is run: the one way to an image
    #: of another architecture on a machine that can't run its programs.
    EXTRACT = "extract"


class Init(enum.StrEnum):
    """What a guest begins with."""

    SMALL = "small"
    SYSTEMD = "systemd"
    CLOUD_INIT = "cloud-init"
    #: What the recipe brings itself, or nothing.
    NONE = "none"


class Packaging(enum.StrEnum):
    """What an image is packed as."""

    DOCKER = "docker"
    LXD = "lxd"
    LXD_UNIFIED = "lxd-unified"
    QCOW2 = "qcow2"
    RAW = "raw"

    @property
    def is_disk(self) -> bool:
        """Whether it is for virtual machines, with a kernel beside it."""
        return self in (Packaging.QCOW2, Packaging.RAW)


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """A file, folder or link that is put into an image.

    :ivar path: absolute, without ``..``.
    :ivar content: text of a file.
    :ivar source: a file or folder of the builder's, copied.
    :ivar link: what a symbolic link leads to. One of these three is given.
    :ivar mode: permissions; None is 0644, or the source's own execute permission.
    """

    path: str
    content: str | None = None
    source: pathlib.Path | None = None
    link: str | None = None
    mode: int | None = None
    owner: str = "root"
    group: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """An account of an image.

    :ivar keys: public keys, one line each.
    :ivar sudo: whether it may become root without a password.
    """

    name: str
    keys: tuple[str, ...] = ()
    sudo: bool = False
    shell: str = "/bin/sh"


@dataclasses.dataclass(frozen=True, slots=True)
class Repository:
    """Where packages come from, besides or in place of the machine's own sources.

    :ivar key: file with the keys that it may be signed by.
    """

    url: str
    key: pathlib.Path
    suite: str = ""
    components: tuple[str, ...] = ("main",)


@dataclasses.dataclass(frozen=True, slots=True)
class Kernel:
    """What virtual machines are booted with; empty is the architecture's own default.

    :ivar package: of the kernel, or one that depends on it.
    :ivar modules: loaded in this order by the initial RAM disk, with their options.
    :ivar install_modules: whether the disk holds all modules of the kernel.
    """

    package: str = ""
    modules: tuple[str, ...] = ()
    command_line: str = ""
    install_modules: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """What is in an image.

    :ivar name: of the images, before ``-docker``, ``-lxd`` and ``-vm``.
    :ivar release: code name; empty is the builder's own.
    :ivar architecture: Debian's word; empty is the builder's own.
    :ivar unwanted: packages that are not installed though others ask for them.
    :ivar exclude: patterns of paths that are not unpacked.
    :ivar remove: paths that are removed after the installation.
    :ivar applets: commands of busybox that get a name of their own.
    :ivar commands: of a shell, run in the image without a network.
    :ivar variables: environment of the commands.
    :ivar size_mb: of the disk's file system.
    :ivar epoch: seconds since 1970; nothing in the image is younger.
    :ivar ssh: whether an SSH server is installed, where the init has one to offer.
    :ivar properties: of the images in Glance, besides those that route them.
    :ivar full_names: images are called ``os_name_version_architecture``.
    """

    name: str
    description: str = ""
    distribution: str = "debian"
    release: str = ""
    architecture: str = ""
    variant: Variant = Variant.ESSENTIAL
    repositories: tuple[Repository, ...] = ()
    packages: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    applets: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    users: tuple[User, ...] = ()
    commands: tuple[str, ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    size_mb: int = DEFAULT_SIZE_MB
    uuid: str = ""
    init: Init = Init.SMALL
    ssh: bool = True
    epoch: int = DEFAULT_EPOCH
    kernel: Kernel = Kernel()
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    full_names: bool = False

    @property
    def disk_uuid(self) -> str:
        """The identity of the disk's file system, the same in each build."""
        return self.uuid or str(uuid.uuid5(_NAMESPACE, self.name))

    def as_data(self) -> dict[str, Any]:
        """All of it as plain data; of sources, only their paths."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
        }


def _plain(value: Any) -> Any:
    match value:
        case pathlib.Path():
            return str(value)
        case tuple():
            return [_plain(each) for each in value]
        case Mapping():
            return {key: _plain(each) for key, each in value.items()}
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    return value
