# SPDX-License-Identifier: Apache-2.0
"""From an environment's file to :class:`~nova_multi.domain.definition.Definition`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from nova_multi.domain.definition import Definition, Scalar

#: Gives the text of a file that is named by a path.
ReadFile: TypeAlias = Callable[[str], str]


def load_text(
    text: str | bytes,
    *,
    values: Mapping[str, object] | None = None,
    read_file: ReadFile | None = None,
) -> Definition:
    """Read a file in YAML or JSON.

    :param text: the whole of it; bytes are UTF-8.
    :param values: of inputs, as texts or of the inputs' own types.
    :param read_file: gives the text of a script for a path of the file; it may raise
        Invalid, OSError or ValueError. None takes no paths.
    :raises Invalid: all that is wrong, each with its line and column in ``details``.
    """
    raise NotImplementedError


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
    raise NotImplementedError


def input_values(
    definition: Definition,
    given: Mapping[str, object],
    kept: Collection[str] = (),
) -> dict[str, Scalar]:
    """The values of a definition's inputs: those that are given, then the defaults.

    :param given: texts, or values of the inputs' own types.
    :param kept: names of inputs whose values are there already, such as secrets of an
        earlier apply; those may be left out.
    :return: nothing for what is generated, or kept and not given.
    :raises Invalid: all that is unknown, of another type or not among the choices, and
        secrets that are used, but neither given nor kept.
    """
    raise NotImplementedError
