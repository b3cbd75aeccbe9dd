# SPDX-License-Identifier: Apache-2.0
"""The fields of a recipe's file."""

from __future__ import annotations

import pathlib
import posixpath
import re
from collections.abc import Callable
from typing import Any

from nova_multi.domain.errors import Invalid
from nova_multi.domain.recipe import File, Init, Repository, User, Variant
from nova_multi.spec import kinds
from nova_multi.spec.context import Context, Wrong
from nova_multi.spec.inputs import INPUTS
from nova_multi.spec.kinds import Kind
from nova_multi.spec.problems import shown
from nova_multi.spec.table import Field, Table, mapping, section
from nova_multi.spec.tree import Spot, text_problem

NAME = r"[a-z0-9](?:[a-z0-9.-]{0,60}[a-z0-9])?"
_PACKAGE = r"[a-z0-9][a-z0-9+.-]{1,127}"
_VERSION = r"[A-Za-z0-9.+:~-]{1,100}"
_WORD = r"[a-z0-9][a-z0-9.+-]{0,62}"
_ACCOUNT = r"[a-z_][a-z0-9_.-]{0,31}"
_PROPERTY = r"[A-Za-z0-9_:.-]{1,255}"
_KEY_KINDS = ("ssh-", "ecdsa-", "sk-")
_MAX_CONTENT = 2**20
_ARCHITECTURES = {
    "amd64": "amd64",
    "x86_64": "amd64",
    "arm64": "arm64",
    "aarch64": "arm64",
    "armhf": "armhf",
    "i386": "i386",
    "ppc64el": "ppc64el",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
#: What the builder gives itself: an image with another value would go astray.
_ROUTING = ("img_hv_type", "kernel_id", "ramdisk_id")


def _one_of(words: Any, what: str) -> Kind:
    known = {str(each): each for each in words}

    def parse(text: str) -> Any:
        if text not in known:
            raise Invalid(f"there is no {what} {shown(text)}; there are {_list(known)}")
        return known[text]

    return kinds.word(parse, known)


def _list(words: Any) -> str:
    return ", ".join(words)


def _architecture(text: str) -> str:
    if text not in _ARCHITECTURES:
        raise Invalid(
            f"architecture {shown(text)} is unknown; there are {_list(_ARCHITECTURES)}"
        )
    return _ARCHITECTURES[text]


def _literal(longest: int, *, empty: bool = False) -> Kind:
    """A text that is taken as it is: shells and files have a ``${`` of their own."""

    def read(ctx: Context, spot: Spot) -> str:
        value = spot.value
        if not isinstance(value, str):
            quotes = "" if isinstance(value, dict | list) else ": write it in quotes"
            raise Wrong(f"must be a text, not {shown(value)}{quotes}")
        if not empty and not value.strip():
            raise Wrong("is empty")
        if len(value) > longest:
            raise Wrong(f"has {len(value)} characters, at most {longest} are possible")
        if wrong := text_problem(value):
            raise Wrong(wrong)
        return value

    schema: dict[str, Any] = {"type": "string", "maxLength": longest}
    if not empty:
        schema["minLength"] = 1
    return Kind(read, schema)


def _commands() -> Kind:
    """A list, in which the same may be there twice."""
    item = _literal(kinds.MAX_CONTENT)

    def read(ctx: Context, spot: Spot) -> tuple[str, ...]:
        return tuple(each for _, each in kinds.each_of(ctx, spot, item.read, 1000))

    return Kind(read, {"type": "array", "maxItems": 1000, "items": item.schema})


def image_path(path: str) -> str:
    """A path of an image, in the one form that it is known by.

    :raises Invalid: it is not absolute, has ``..``, or is the root itself.
    """
    if not path.startswith("/"):
        raise Invalid(f"{shown(path)} must begin with /: it is a path of the image")
    if ".." in path.split("/"):
        raise Invalid(f"{shown(path)} must not have .. in it")
    if len(path) > 1024 or not path.isprintable():
        raise Invalid(f"{shown(path)} is no path that an image should have")
    clean = "/" + posixpath.normpath(path).lstrip("/")
    if clean == "/" or clean.split("/")[1] in ("proc", "sys", "dev"):
        raise Invalid(f"{shown(path)} is not the image's to have")
    if clean != path:
        raise Invalid(f"write {clean} for {shown(path)}")
    return path


def _path(check: Callable[[str], object] | None = None) -> Kind:
    return kinds.text(r"[^\x00]+", "a path", longest=1024, least=1, check=check)


_FILE = Table(
    "a file",
    (
        Field("content", _literal(_MAX_CONTENT, empty=True), "Its text, as it is."),
        Field("source", _path(), "A file or folder beside the recipe."),
        Field("link", _path(), "What it leads to, as a symbolic link."),
        Field(
            "mode",
            kinds.text("0?[0-7]{3,4}", 'octal permissions such as "0644"'),
            'Permissions in octal, in quotes: "0755".',
        ),
        Field("owner", kinds.text(rf"{_ACCOUNT}|[0-9]{{1,9}}", "a user"), "Its user."),
        Field(
            "group", kinds.text(rf"{_ACCOUNT}|[0-9]{{1,9}}", "a group"), "Its group."
        ),
    ),
)


def _read_file(ctx: Context, spot: Spot) -> File:
    if isinstance(spot.value, str):
        content = _literal(_MAX_CONTENT, empty=True).read(ctx, spot)
        return File(spot.name, content=content)
    found = _FILE.read(ctx, spot)
    given = [name for name in ("content", "source", "link") if name in mapping(spot)]
    if len(given) != 1:
        raise Wrong("needs one of content, source and link")
    if "link" in given and "mode" in found:
        ctx.add(spot.at("mode"), "a link has no mode")
    if "mode" in found:
        found["mode"] = int(found["mode"], 8)
    if "source" in found:
        found["source"] = pathlib.Path(found["source"])
    return File(spot.name, **found)


def _key(text: str) -> None:
    words = text.split()
    if len(words) < 2 or not words[0].startswith(_KEY_KINDS):
        raise Invalid("is no public key: ssh-ed25519 AAAA... comment")


_USER = Table(
    "a user",
    (
        Field(
            "keys",
            kinds.list_of(
                kinds.text(r"[^\x00-\x1f\x7f]*", "one line", longest=16384, check=_key),
                most=100,
            ),
            "Public keys that log in as it.",
        ),
        Field(
            "sudo", kinds.FLAG, "Whether it may become root; needs the package sudo."
        ),
        Field("shell", kinds.text(r"/[!-9;-~]*", "a path"), "Its shell; /bin/sh."),
    ),
)


def _read_user(ctx: Context, spot: Spot) -> User:
    return User(spot.name, **_USER.read(ctx, spot))


_REPOSITORY = Table(
    "a repository",
    (
        Field(
            "url",
            kinds.text(r"(?:https?|file)://[!-~]+", "a URL", longest=2048),
            "Where it is.",
            required=True,
        ),
        Field("key", _path(), "File with the keys that sign it.", required=True),
        Field(
            "suite",
            kinds.text(r"[A-Za-z0-9][A-Za-z0-9./_-]*", "the name of a suite"),
            "Such as bookworm; the recipe's release if left out.",
        ),
        Field(
            "components",
            kinds.list_of(
                kinds.text(r"[A-Za-z0-9][A-Za-z0-9./_-]*", "a name"), most=20
            ),
            "Such as main, which is meant if left out.",
        ),
    ),
)


def _read_repository(ctx: Context, spot: Spot) -> Repository:
    before = len(ctx.report)
    found = _REPOSITORY.read(ctx, spot)
    if len(ctx.report) > before:
        # Told already; it is used for nothing.
        return Repository(found.get("url", ""), pathlib.Path(found.get("key", "")))
    return Repository(**{**found, "key": pathlib.Path(found["key"])})


def _repositories() -> Kind:
    def read(ctx: Context, spot: Spot) -> tuple[Repository, ...]:
        found = kinds.each_of(ctx, spot, _read_repository, 20)
        return tuple(each for _, each in found)

    return Kind(read, {"type": "array", "maxItems": 20, "items": _REPOSITORY.schema()})


_KERNEL = Table(
    "the kernel",
    (
        Field("package", kinds.text(_PACKAGE, "a package"), "Of the kernel."),
        Field(
            "modules",
            kinds.list_of(
                kinds.text(r"[A-Za-z0-9_-]+(?: [!-~]+)*", "a module"), most=200
            ),
            "Loaded by the initial RAM disk, in this order, with their options.",
        ),
        Field("command_line", _literal(1024), "Of the kernel."),
        Field(
            "install_modules",
            kinds.FLAG,
            "Whether the disk has all of the kernel's modules.",
        ),
    ),
)


def _read_kernel(ctx: Context, spot: Spot) -> dict[str, Any]:
    return _KERNEL.read(ctx, spot)


def _check_property(name: str) -> None:
    if not re.fullmatch(_PROPERTY, name, re.ASCII):
        raise Invalid(f"{shown(name)} is no name of a property")
    if name in _ROUTING or name.startswith("trait:CUSTOM_HYPERVISOR_"):
        raise Invalid(f"{name} is given by the builder: it routes the image")


def _check_account(name: str) -> None:
    if not re.fullmatch(_ACCOUNT, name, re.ASCII):
        raise Invalid(f"{shown(name)} is no name of a user")


_PACKAGES = kinds.list_of(
    kinds.text(
        rf"{_PACKAGE}(?:={_VERSION})?",
        "a package, with or without =version",
        longest=255,
    ),
    most=2000,
)
_PATTERN = kinds.text(r"/[!-~]*", "a pattern of paths, beginning with /", longest=1024)

FILE = Table(
    "a recipe",
    (
        Field(
            "inputs", INPUTS, "What the recipe can be given; others may refer to it."
        ),
        Field("from", _path(), "Another recipe that this one begins with.", "parent"),
        Field("name", kinds.text(NAME, "a name in small letters"), "Of the images."),
        Field("description", kinds.LINE, "For people."),
        Field("distribution", kinds.text(_WORD, "a name"), "debian if left out."),
        Field(
            "release",
            kinds.text(_WORD, "a code name"),
            "Such as bookworm; the builder's own if left out.",
        ),
        Field(
            "architecture",
            kinds.word(_architecture, _ARCHITECTURES),
            "The builder's own if left out.",
        ),
        Field(
            "variant",
            _one_of(Variant, "variant"),
            "How much is installed besides the packages that are named.",
        ),
        Field("repositories", _repositories(), "Sources of packages."),
        Field("packages", _PACKAGES, "What is installed."),
        Field(
            "unwanted",
            kinds.list_of(kinds.text(_PACKAGE, "a package"), most=200),
            "Packages that are left out, though another recipe or package wants them.",
        ),
        Field(
            "exclude",
            kinds.list_of(_PATTERN, most=1000),
            "Patterns of paths that are not unpacked.",
        ),
        Field(
            "remove",
            kinds.list_of(_path(image_path), most=1000),
            "Paths that are removed in the end.",
        ),
        Field(
            "applets",
            kinds.list_of(kinds.text(r"[A-Za-z0-9_.\[-]{1,64}", "a command"), most=400),
            "Commands of busybox that get a name of their own.",
        ),
        Field(
            "files",
            section(
                image_path,
                _read_file,
                {"anyOf": [{"type": "string"}, _FILE.schema()]},
                names="^/",
            ),
            "Files by their paths in the image; a text is the content.",
        ),
        Field(
            "users",
            section(
                _check_account,
                _read_user,
                _USER.schema(),
                most=1000,
                names=f"^{_ACCOUNT}$",
            ),
            "Accounts by their names.",
        ),
        Field(
            "commands",
            _commands(),
            "Of a shell, run in the image when all else is there, without a network.",
        ),
        Field(
            "variables",
            section(
                kinds.check_variable,
                kinds.text(longest=kinds.MAX_CONTENT).read,
                {"type": "string"},
                most=1000,
                names="^[A-Za-z_][A-Za-z0-9_]{0,127}$",
            ),
            "Environment of the commands.",
        ),
        Field("size", kinds.size("GB"), "Of the disk.", target="size_mb"),
        Field(
            "uuid",
            kinds.text("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a UUID"),
            "Of the disk's file system; made from the name if left out.",
        ),
        Field("init", _one_of(Init, "init"), "What the guest begins with."),
        Field(
            "ssh",
            kinds.FLAG,
            "Whether there is an SSH server; there is one by default.",
        ),
        Field(
            "epoch",
            kinds.whole(0, 2**32 - 1),
            "Seconds since 1970; nothing in the image is younger.",
        ),
        Field(
            "kernel",
            Kind(_read_kernel, _KERNEL.schema()),
            "Of virtual machines; the architecture's own default if left out.",
        ),
        Field(
            "properties",
            section(
                _check_property,
                kinds.text(longest=4096).read,
                {"type": "string"},
                most=200,
                names=f"^{_PROPERTY}$",
            ),
            "Of the images in Glance, besides those that the builder gives.",
        ),
        Field(
            "full_names",
            kinds.FLAG,
            "Whether images are called os_name_version_architecture in Glance.",
        ),
    ),
)
