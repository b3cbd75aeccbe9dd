# SPDX-License-Identifier: Apache-2.0
"""From recipes of images, and those that they begin with, to one
:class:`~nova_multi.domain.recipe.Recipe`.

A recipe may say ``from: other.yaml``, and that one may, too: distribution, repository,
profile, image. What is nearer wins; lists are appended, mappings merged.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from nova_multi.domain.errors import Invalid
from nova_multi.domain.recipe import File, Kernel, Recipe
from nova_multi.spec import inputs, problems, yamltree
from nova_multi.spec.context import MISSING, Context
from nova_multi.spec.files import folder_finder
from nova_multi.spec.problems import Problem, shown, suggestion
from nova_multi.spec.recipe_table import FILE, NAME
from nova_multi.spec.tree import Report, Spot

#: Recipes that begin with one another.
MAX_CHAIN = 16
#: Bytes of one file.
_MAX_BYTES = 4 * 2**20

_Find = Callable[[str], pathlib.Path]


def load_recipe(
    path: pathlib.Path,
    *,
    values: Mapping[str, object] | None = None,
    folders: Iterable[pathlib.Path] = (),
    name: str | None = None,
) -> Recipe:
    """Read a recipe and all that it begins with.

    :param path: of the file. What it and the others name is below their own folders.
    :param values: of inputs, of whichever of the files has them.
    :param folders: further folders that files may be named from.
    :param name: in place of the recipe's own.
    :raises Invalid: all that is wrong with a file, each with its line and column; what
        is in another file than `path` begins with its name.
    """
    values, folders = dict(values or {}), tuple(folders)
    chain: list[dict[str, Any]] = []
    wrong: list[Problem] = []
    known: set[str] = set()
    here: pathlib.Path | None = path
    seen: list[pathlib.Path] = []
    while here is not None:
        seen.append(here)
        try:
            one = _One(here, values, folders)
            found, declared = one.read()
        except Invalid as error:
            wrong += _in_file(error, here, first=len(seen) == 1)
            break
        known |= declared
        parent = found.pop("parent", None)
        chain.append(found)
        here = parent
        if here in seen or len(seen) == MAX_CHAIN:
            told = "begins with itself" if here in seen else "begins with too many"
            wrong += _in_file(Invalid(told, field="from"), seen[-1], len(seen) == 1)
            break
    if not wrong:
        for name in sorted(values.keys() - known):
            told = f"there is no input {shown(name)}{suggestion(str(name), known)}"
            wrong.append(Problem(told, f"inputs.{name}", code="unknown_field"))
    if wrong:
        raise problems.together(wrong)
    merged = merge(chain)
    if name is not None:
        if not re.fullmatch(NAME, name, re.ASCII):
            told = f"{shown(name)} is no name of images: small letters, digits, - and ."
            raise problems.together([Problem(told, "name")])
        merged["name"] = name
    if "name" not in merged:
        told = f"{path.name} and what it begins with have no name"
        raise problems.together([Problem(told, "name", code="missing_field")])
    return _recipe(merged)


class _One:
    """One file of the chain."""

    def __init__(
        self,
        path: pathlib.Path,
        values: Mapping[str, object],
        folders: tuple[pathlib.Path, ...],
    ) -> None:
        self._path = path
        self._values = values
        self._find = folder_finder(path.parent, folders)

    def read(self) -> tuple[dict[str, Any], set[str]]:
        """Its values, and the names of its inputs."""
        report = Report()
        root = yamltree.read(self._content(), report)
        if root is None:
            _finish(report)
        declared = set()
        if isinstance(root.value, dict) and "inputs" in root.value:
            section = root.value["inputs"].node.value
            declared = set(section) if isinstance(section, dict) else set()
        given = {key: self._values[key] for key in declared & self._values.keys()}
        ctx = Context(report, given, None)
        spot = Spot(root, ())
        if not declared:
            inputs.take_values(ctx)
        found = ctx.attempt(FILE.read, spot)
        if found is not MISSING:
            self._resolve(ctx, spot, found)
        report.finish()
        assert found is not MISSING
        found.pop("inputs", None)
        return found, declared

    def _content(self) -> bytes:
        try:
            with self._path.open("rb") as stream:
                content = stream.read(_MAX_BYTES + 1)
        except OSError as error:
            told = error.strerror or type(error).__name__
            raise Invalid(f"{self._path} can't be read: {told}") from error
        return content

    def _resolve(self, ctx: Context, spot: Spot, found: dict[str, Any]) -> None:
        """Paths of this file in place of their texts."""
        if "parent" in found:
            found["parent"] = self._path_at(ctx, spot.at("from"), found["parent"])
        for file in found.get("files", {}).values():
            if file.source is not None:
                place = spot.at("files").at(file.path)
                source = place.at("source") if _has(place, "source") else place
                self._path_at(ctx, source, str(file.source), folders=True)
        if "files" in found:
            found["files"] = {
                name: dataclasses.replace(file, source=self._find(str(file.source)))
                if file.source is not None and self._inside(str(file.source))
                else file
                for name, file in found["files"].items()
            }
        repositories = []
        for number, each in enumerate(found.get("repositories", ())):
            node = list(spot.at("repositories").items())[number]
            key = self._path_at(ctx, node.at("key"), str(each.key))
            repositories.append(dataclasses.replace(each, key=key or each.key))
        if repositories:
            found["repositories"] = tuple(repositories)

    def _inside(self, text: str) -> bool:
        try:
            self._find(text)
        except Invalid:
            return False
        return True

    def _path_at(
        self, ctx: Context, spot: Spot, text: str, *, folders: bool = False
    ) -> pathlib.Path | None:
        """The file that a path means, or None, which is reported then."""
        try:
            path = self._find(text)
        except Invalid as error:
            ctx.add(spot, error.message)
            return None
        if not path.is_file() and not (folders and path.is_dir()):
            what = "file or folder" if folders else "file"
            ctx.add(spot, f"there is no {what} {shown(text)}", "not_found")
            return None
        return path


def _has(spot: Spot, key: str) -> bool:
    return isinstance(spot.value, dict) and key in spot.value


def _finish(report: Report) -> NoReturn:
    report.finish()
    raise AssertionError("a tree is missing, and nothing was told")


def _in_file(error: Invalid, path: pathlib.Path, first: bool) -> list[Problem]:
    found = Problem.of(error) or (Problem(error.message, error.field or ""),)
    if first:
        return list(found)
    return [
        dataclasses.replace(each, message=f"{path.name}: {each.message}")
        for each in found
    ]


def merge(chain: list[dict[str, Any]]) -> dict[str, Any]:
    """Values of a file and of those that it begins with, the nearest first."""
    merged: dict[str, Any] = {}
    for values in reversed(chain):
        for key, value in values.items():
            before = merged.get(key)
            if isinstance(value, dict) and isinstance(before, dict):
                merged[key] = {**before, **value}
            elif isinstance(value, tuple) and isinstance(before, tuple):
                # Commands may well be there twice; all else is a set.
                more = value
                if key != "commands":
                    more = tuple(each for each in value if each not in before)
                merged[key] = (*before, *more)
            else:
                merged[key] = value
    return merged


def _recipe(merged: dict[str, Any]) -> Recipe:
    files: dict[str, File] = merged.pop("files", {})
    users = merged.pop("users", {})
    kernel = Kernel(**merged.pop("kernel", {}))
    return Recipe(
        **merged,
        files=tuple(files[path] for path in sorted(files)),
        users=tuple(users.values()),
        kernel=kernel,
    )
