# SPDX-License-Identifier: Apache-2.0
"""From an environment's file to :class:`~nova_multi.domain.definition.Definition`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nova_multi.domain.definition import (
    Definition,
    InstanceDefinition,
    ProvisionerDefinition,
    Root,
    Scalar,
)
from nova_multi.domain.errors import Invalid
from nova_multi.spec import checks, inputs, plaintree, problems, yamltree
from nova_multi.spec.context import MISSING, Context, ReadFile, is_secret
from nova_multi.spec.document import FILE
from nova_multi.spec.problems import Problem, shown, suggestion
from nova_multi.spec.tree import Node, Report, Spot


def load_text(
    text: str | bytes,
    *,
    values: Mapping[str, object] | None = None,
    read_file: ReadFile | None = None,
) -> Definition:
    """Read a file in YAML or JSON.

    :param text: the whole of it; bytes are UTF-8.
    :param values: of inputs, as texts or of the inputs' own types. Those of secrets are
        checked, and stand nowhere in what is returned.
    :param read_file: gives the text of a script for a path of the file; it may raise
        Invalid, OSError or ValueError. None takes no paths.
    :raises Invalid: all that is wrong, each with its line and column in ``details``.
    """
    report = Report()
    return _load(yamltree.read(text, report), report, values, read_file)


def load_dict(
    data: Mapping[str, Any],
    *,
    values: Mapping[str, object] | None = None,
    read_file: ReadFile | None = None,
) -> Definition:
    """Read what JSON gave, or :func:`~nova_multi.spec.dump`.

    :param data: need not be trusted.
    :param values: as in :func:`load_text`.
    :param read_file: as in :func:`load_text`.
    :raises Invalid: all that is wrong, each with its path (``instances.web.count``).
    """
    report = Report()
    return _load(plaintree.read(data, report), report, values, read_file)


def _load(
    root: Node | None,
    report: Report,
    values: Mapping[str, object] | None,
    read_file: ReadFile | None,
) -> Definition:
    if root is None:
        report.finish()
        raise AssertionError("a tree is missing, and nothing was told")
    ctx = Context(report, dict(values or {}), read_file)
    spot = Spot(root, ())
    if not isinstance(root.value, dict) or "inputs" not in root.value:
        inputs.take_values(ctx)
    found = ctx.attempt(FILE.read, spot)
    if found is not MISSING:
        checks.check(ctx, spot, found)
    report.finish()
    assert found is not MISSING
    return Definition(**found)


def input_values(
    definition: Definition,
    given: Mapping[str, object],
    kept: Collection[str] = (),
) -> dict[str, Scalar]:
    """The values of a definition's inputs: those that are given, then the defaults.

    :param given: texts, or values of the inputs' own types.
    :param kept: names of inputs whose values are there already, such as secrets of an
        earlier apply; those may be left out.
    :return: nothing for what is kept and not given, or generated and not given.
    :raises Invalid: all that is unknown, of another type or not among the choices, and
        secrets that are used, but neither given nor kept.
    """
    found: dict[str, Scalar] = {}
    wrong: list[Problem] = []
    for name, value in given.items():
        entry = definition.inputs.get(name)
        if entry is None:
            told = f"there is no input {shown(name)}"
            told += suggestion(str(name), definition.inputs)
            path = problems.written(("inputs", str(name)))
            wrong.append(Problem(told, path, code="unknown_field"))
            continue
        try:
            found[name] = inputs.convert(entry, value)
        except Invalid as error:
            wrong.append(Problem(error.message, f"inputs.{name}"))
    used = _used_inputs(definition)
    for name, entry in definition.inputs.items():
        if name in given or name in kept or entry.generate:
            continue
        if entry.default is not None:
            found[name] = entry.default
        elif is_secret(entry) and name in used:
            told = "it is secret, is used, and has no value: give it one"
            wrong.append(Problem(told, f"inputs.{name}", code="missing_field"))
    if wrong:
        raise problems.together(wrong)
    return found


def _used_inputs(definition: Definition) -> set[str]:
    owners: list[InstanceDefinition | ProvisionerDefinition]
    owners = [*definition.provisioners.values(), *definition.instances.values()]
    templates = [each for owner in owners for each in owner.variables.values()]
    return {
        reference.name
        for template in [*templates, *definition.outputs.values()]
        for reference in template.references
        if reference.root is Root.INPUTS
    }
