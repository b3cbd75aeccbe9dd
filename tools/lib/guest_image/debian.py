# SPDX-License-Identifier: Apache-2.0
"""Debian's packages, resolved and fetched by the machine's own apt.

Sources, keys, pins, proxies and credentials are thus the ones that the
machine is configured with; none of them gets into an image.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from toolbox import ToolError, run

from guest_image.recipe import Recipe

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


@dataclass(frozen=True)
class Packages:
    """What an image is made of: versions by name, and the kernel's name."""

    versions: dict[str, str]
    kernel: str | None


def architecture() -> str:
    """Debian's name of this machine's architecture."""
    return run(["dpkg", "--print-architecture"]).strip()


def _wanted(recipe: Recipe) -> list[str]:
    return ["?essential", *recipe.packages, *(f"{name}-" for name in recipe.unwanted)]


def resolve(recipe: Recipe, *, kernel: bool) -> Packages:
    """Find the versions that apt would install now; downloads nothing."""
    plan = run(["apt-get", "--simulate", *_APT, "install", *_wanted(recipe)])
    versions = dict(re.findall(r"^Inst (\S+) \((\S+) ", plan, re.MULTILINE))
    if not versions:
        raise ToolError(_NO_LISTS)
    if not kernel:
        return Packages(versions, None)
    if architecture() != recipe.kernel_architecture:
        raise ToolError(
            f"the virtual machine's image is made on {recipe.kernel_architecture} "
            f"only, this is {architecture()}; build with --formats docker,lxd"
        )
    depends = run(["apt-cache", "depends", "--important", recipe.kernel_package])
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if found is None:
        raise ToolError(f"apt does not know {recipe.kernel_package}: {_NO_LISTS}")
    policy = run(["apt-cache", "show", "--no-all-versions", found[1]])
    version = re.search(r"^Version: (\S+)", policy, re.MULTILINE)
    if version is None:
        raise ToolError(f"apt does not know {found[1]}: {_NO_LISTS}")
    return Packages({**versions, found[1]: version[1]}, found[1])


def fetch(recipe: Recipe, folder: Path) -> None:
    """Download the root's packages and make the folder a repository of them."""
    (folder / "partial").mkdir(parents=True)
    cache = f"-o=Dir::Cache::archives={folder}"
    run(["apt-get", "--download-only", *_APT, cache, "install", *_wanted(recipe)])
    with (folder / "Packages").open("w") as index:
        for package in sorted(folder.glob("*.deb")):
            content = package.read_bytes()
            index.write(
                run(["dpkg-deb", "--field", package])
                + f"Filename: ./{package.name}\n"
                + f"Size: {len(content)}\n"
                + f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
            )


def fetch_kernel(name: str, folder: Path) -> Path:
    """Download the kernel's package; returns its path."""
    folder.mkdir(parents=True)
    run(["apt-get", "download", "-qq", "-o=APT::Sandbox::User=root", name], cwd=folder)
    return next(folder.glob("*.deb"))
