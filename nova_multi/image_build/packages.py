# SPDX-License-Identifier: Apache-2.0
"""Packages, resolved and fetched by apt.

By default sources, keys, pins, proxies and credentials are those that the machine is
configured with; :mod:`~nova_multi.image_build.sources` makes others. None of them gets
into an image.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

from nova_multi.domain.recipe import Recipe, Variant
from nova_multi.exception import BuildError
from nova_multi.image_build.programs import run

# As if nothing were installed here, and without taking apt's locks.
_APT = (
    "-qq",
    "-y",
    "-o=Dir::State::status=/dev/null",
    "-o=Dir::State::extended_states=/dev/null",
    "-o=Debug::NoLocking=1",
    "-o=APT::Install-Recommends=false",
    "-o=APT::Sandbox::User=root",
    "-o=APT::Keep-Downloaded-Packages=true",
)
_NO_LISTS = "apt knows no packages here; run `apt-get update` first"


@dataclasses.dataclass(frozen=True, slots=True)
class Packages:
    """What an image is made of: versions by name, and the kernel's name."""

    versions: dict[str, str]
    kernel: str | None


def architecture() -> str:
    """Debian's name of this machine's architecture."""
    return run(["dpkg", "--print-architecture"]).strip()


def _wanted(recipe: Recipe) -> list[str]:
    patterns = {
        Variant.ESSENTIAL: ["?essential"],
        Variant.MINBASE: ["?essential", "?priority(required)", "apt"],
        Variant.EXTRACT: [],
    }[recipe.variant]
    return [*patterns, *recipe.packages, *(f"{name}-" for name in recipe.unwanted)]


def resolve(recipe: Recipe, *, kernel: bool, options: tuple[str, ...] = ()) -> Packages:
    """Find the versions that apt would install now; downloads nothing.

    :param options: of apt, where its sources are not the machine's own.
    :raises BuildError: a package is unknown, or they don't fit together.
    """
    plan = run(["apt-get", "--simulate", *_APT, *options, "install", *_wanted(recipe)])
    versions = dict(re.findall(r"^Inst (\S+) \((\S+) ", plan, re.MULTILINE))
    if not versions:
        raise BuildError(_NO_LISTS)
    if not kernel:
        return Packages(versions, None)
    package = recipe.kernel.package
    told = ["apt-cache", *options]
    depends = run([*told, "depends", "--important", package])
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    name = found[1] if found else package
    policy = run([*told, "show", "--no-all-versions", name])
    version = re.search(r"^Version: (\S+)", policy, re.MULTILINE)
    if version is None:
        raise BuildError(f"apt does not know {name}: {_NO_LISTS}")
    return Packages({**versions, name: version[1]}, name)


def fetch(recipe: Recipe, folder: Path, options: tuple[str, ...] = ()) -> None:
    """Download the root's packages and make the folder a repository of them."""
    (folder / "partial").mkdir(parents=True)
    cache = f"-o=Dir::Cache::archives={folder}"
    run(
        [
            "apt-get",
            "--download-only",
            *_APT,
            *options,
            cache,
            "install",
            *_wanted(recipe),
        ]
    )
    with (folder / "Packages").open("w") as index:
        for package in sorted(folder.glob("*.deb")):
            content = package.read_bytes()
            index.write(
                run(["dpkg-deb", "--field", package])
                + f"Filename: ./{package.name}\n"
                + f"Size: {len(content)}\n"
                + f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
            )


def fetch_kernel(name: str, folder: Path, options: tuple[str, ...] = ()) -> Path:
    """Download the kernel's package; returns its path."""
    folder.mkdir(parents=True)
    command = ["apt-get", "download", "-qq", "-o=APT::Sandbox::User=root", *options]
    run([*command, name], cwd=folder)
    return next(folder.glob("*.deb"))
