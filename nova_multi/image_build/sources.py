# SPDX-License-Identifier: Apache-2.0
"""Sources of packages for another release, architecture or distribution.

The machine's own sources are read from apt and rewritten: what serves this release and
architecture serves the others. apt gets a folder for them, and nothing of the machine's
own state is touched; its proxies and credentials stay in use.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from nova_multi.domain.recipe import Recipe, Repository
from nova_multi.exception import BuildError
from nova_multi.image_build.packages import architecture
from nova_multi.image_build.plan import Machine
from nova_multi.image_build.programs import run

_KEYRINGS = Path("/usr/share/keyrings")
_FIELDS = ("REPO_URI", "RELEASE", "CODENAME", "COMPONENT", "ORIGIN")


class Source(NamedTuple):
    """One line of what apt has lists of."""

    url: str
    release: str
    codename: str
    component: str
    origin: str


def machine() -> Machine:
    """What this machine is, and what its apt serves."""
    distribution, release = "debian", ""
    for source in listed():
        # The first is the distribution's own; updates and security come after it.
        distribution, release = source.origin.lower(), source.codename
        break
    return Machine(architecture(), distribution, release)


def listed() -> list[Source]:
    """The machine's sources of packages of which apt has lists, in apt's order."""
    form = "|".join(f"$({field})" for field in _FIELDS)
    text = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"])
    found = []
    for line in text.splitlines():
        parts = line.split("|")
        if len(parts) == len(_FIELDS) and parts[4] and parts[2]:
            found.append(Source(*parts))
    return sorted(found, key=lambda source: source.origin != "Debian")


def lines(recipe: Recipe, machine: Machine, known: list[Source]) -> list[str]:
    """Lines of a sources.list for a recipe.

    :raises BuildError: nothing serves its distribution.
    """
    options = f"arch={recipe.architecture}"
    found = [_line(each, recipe.release, options) for each in recipe.repositories]
    keyring = _KEYRINGS / f"{recipe.distribution}-archive-keyring.gpg"
    signed = f"{options} signed-by={keyring}" if keyring.exists() else options
    served: dict[tuple[str, str], list[str]] = {}
    for source in known:
        if source.origin.lower() == recipe.distribution:
            suite = rewritten(source, machine.release, recipe.release)
            served.setdefault((source.url, suite), []).append(source.component)
    for (url, suite), components in served.items():
        words = " ".join(dict.fromkeys(components))
        found.append(f"deb [{signed}] {url} {suite} {words}")
    if not found:
        raise BuildError(
            f"this machine's apt has no source of {recipe.distribution}: give the"
            " recipe `repositories`"
        )
    return found


def rewritten(source: Source, old: str, new: str) -> str:
    """The suite of a source for another release: bookworm-updates, trixie-updates.

    A source by name of a state, such as stable, is taken by its code name.
    """
    name = source.codename if old in source.codename else source.release
    return re.sub(rf"^{re.escape(old)}(?=$|[-/])", new, name) if old else name


def _line(repository: Repository, release: str, options: str) -> str:
    suite = repository.suite or release
    # A suite that is a path has no components.
    components = "" if suite.endswith("/") else " ".join(repository.components)
    words = f"deb [{options} signed-by={repository.key}] {repository.url} {suite}"
    return f"{words} {components}".rstrip()


def prepare(recipe: Recipe, machine: Machine, cache: Path) -> tuple[str, ...]:
    """Make a folder with sources of its own; gives apt's options to use it.

    :param cache: folder in which lists stay, so that they come but once.
    :raises BuildError: nothing serves the recipe, or a source does not answer.
    """
    text = "".join(f"{line}\n" for line in lines(recipe, machine, listed()))
    digest = hashlib.sha256(f"{recipe.architecture}\n{text}".encode()).hexdigest()
    folder = cache / f"{recipe.release}-{recipe.architecture}-{digest[:12]}"
    for name in ("lists/partial", "archives/partial", "parts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(text)
    options = (
        f"-o=Dir::Etc::SourceList={folder}/sources.list",
        f"-o=Dir::Etc::SourceParts={folder}/parts",
        f"-o=Dir::Etc::PreferencesParts={folder}/parts",
        "-o=Dir::Etc::Preferences=/dev/null",
        f"-o=Dir::State::Lists={folder}/lists",
        f"-o=Dir::Cache={folder}",
        f"-o=APT::Architecture={recipe.architecture}",
        f"-o=APT::Architectures={recipe.architecture}",
        "-o=Dir::State::status=/dev/null",
        "-o=APT::Sandbox::User=root",
    )
    run(["apt-get", "-qq", *options, "-o=APT::Update::Error-Mode=any", "update"])
    return options
