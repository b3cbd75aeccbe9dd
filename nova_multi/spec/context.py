# SPDX-License-Identifier: Apache-2.0
"""What the reading of one file knows and gathers: problems, inputs, references."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

from nova_multi.domain.definition import Generator, Input, Reference, Root, Scalar
from nova_multi.domain.errors import Invalid
from nova_multi.spec import templates
from nova_multi.spec.problems import Path
from nova_multi.spec.tree import BAD, Report, Spot

_T = TypeVar("_T")

#: Gives the text of a file that is named by a path.
ReadFile: TypeAlias = Callable[[str], str]


#: Characters that inputs and script files may add to a file.
MAX_ADDED = 8 * 2**20


class Wrong(Exception):
    """A value can't be taken; who called for it tells where.

    :ivar message: a sentence for people, without the place.
    :ivar code: stable word for programs.
    """

    def __init__(self, message: str, code: str = "invalid") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Told(Exception):
    """A value can't be taken, and that was told already."""


class Missing(enum.Enum):
    """Stands for what could not be read."""

    MISSING = enum.auto()


MISSING = Missing.MISSING


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """A reference, and where it stands.

    :ivar section: ``instances``, ``provisioners`` or ``outputs``.
    :ivar owner: whose variable it is in, or the name of the output.
    """

    reference: Reference
    spot: Spot
    section: str
    owner: str


@dataclasses.dataclass(slots=True)
class Context:
    """What the reading of one file knows and gathers.

    :ivar given: values of inputs from beside the file.
    :ivar inputs: those that could be read.
    :ivar inputs_known: False if their section could not be read at all.
    :ivar bad_inputs: names of those that could not be.
    :ivar values: what the inputs that are no secrets are worth.
    :ivar flawed: paths of things by name of which something could not be read.
    :ivar added: characters of inputs and script files in their places.
    :ivar uses: references that have to wait until all of the file is read.
    :ivar images_used: names of images that must be the file's own, and where.
    """

    report: Report
    given: Mapping[str, object]
    read_file: ReadFile | None = None
    inputs: dict[str, Input] = dataclasses.field(default_factory=dict)
    inputs_known: bool = True
    bad_inputs: set[str] = dataclasses.field(default_factory=set)
    values: dict[str, Scalar] = dataclasses.field(default_factory=dict)
    flawed: set[Path] = dataclasses.field(default_factory=set)
    added: int = 0
    uses: list[Use] = dataclasses.field(default_factory=list)
    images_used: list[tuple[str, Spot]] = dataclasses.field(default_factory=list)

    def attempt(self, read: Callable[[Context, Spot], _T], spot: Spot) -> _T | Missing:
        """What a function reads, or MISSING, which is reported then."""
        try:
            if spot.value is BAD:
                return MISSING
            return read(self, spot)
        except Told:
            pass
        except Wrong as error:
            self.add(spot, error.message, error.code)
        except Invalid as error:
            for entry in error.details or (error.as_detail(),):
                self.add(spot, entry["message"], entry["code"])
        return MISSING

    def add(self, spot: Spot, message: str, code: str = "invalid") -> None:
        """Take down what is wrong with a value."""
        self.report.add(spot.node.place, spot.path, message, code)

    def add_text(self, text: str) -> None:
        """Count a text that is put in its place.

        :raises Wrong: it is one too many.
        """
        within = self.added <= MAX_ADDED
        self.added += len(text)
        if self.added > MAX_ADDED:
            if not within:
                raise Told
            told = f"inputs and script files come to over {MAX_ADDED >> 20} MiB in all"
            raise Wrong(f"with this, {told}")

    # Inputs in place of their names

    def scalar(self, spot: Spot) -> tuple[Any, bool]:
        """A value with the inputs in it, and whether it is an input's own.

        :raises Told: it refers to what can't be known yet, or to nothing.
        """
        text = spot.value
        if not isinstance(text, str) or not templates.has_references(text):
            return text, False
        parts = list(templates.parse(text))
        found = self._each(spot, parts, self._value)
        if len(parts) == 1 and isinstance(parts[0], Reference):
            return found[0], True
        return "".join(as_text(part) for part in found), False

    def parts(self, spot: Spot) -> list[str | Reference]:
        """A text with the inputs in it; all that is not known yet is left.

        :raises Told: it refers to an input that there is not, or to nothing.
        """
        if not templates.has_references(spot.value):
            return [spot.value]
        section, owner = str(spot.path[0]), str(spot.path[1])

        def read(reference: Reference) -> str | Reference:
            kept = self._later(reference)
            if isinstance(kept, Reference):
                # Taken down also where another reference of the text is wrong.
                self.uses.append(Use(kept, spot, section, owner))
            return kept

        return self._each(spot, templates.parse(spot.value), read)

    def _each(
        self,
        spot: Spot,
        parts: Iterable[str | Reference | Invalid],
        read: Callable[[Reference], _T],
    ) -> list[str | _T]:
        """Parts with what becomes of their references; all that is wrong is told.

        :raises Told: something was.
        """
        found: list[str | _T] = []
        fine = True
        for part in parts:
            try:
                if isinstance(part, Invalid):
                    raise Wrong(part.message)
                found.append(part if isinstance(part, str) else read(part))
            except Told:
                fine = False
            except Wrong as error:
                self.add(spot, error.message, error.code)
                fine = False
        if not fine:
            raise Told
        return found

    def _later(self, reference: Reference) -> str | Reference:
        """A reference that is kept, or an input's value."""
        if reference.root is not Root.INPUTS:
            return reference
        entry = self._input(reference)
        if not is_secret(entry):
            return as_text(self._value(reference))
        self._check_attribute(reference, entry)
        return reference

    def _value(self, reference: Reference) -> Scalar:
        if reference.root is not Root.INPUTS:
            raise Wrong(f"{reference} may stand in variables and outputs only")
        entry = self._input(reference)
        if is_secret(entry):
            word = "is generated" if entry.generate else "is secret"
            raise Wrong(f"{reference} {word}: it may stand in variables only")
        self._check_attribute(reference, entry)
        if entry.name not in self.values:
            raise Wrong(
                f"the input {entry.name} has no value: give it one, or a default",
                "missing_field",
            )
        value = self.values[entry.name]
        self.add_text(as_text(value))
        return value

    def _input(self, reference: Reference) -> Input:
        name = reference.name
        if name in self.bad_inputs or not self.inputs_known:
            raise Told
        if name not in self.inputs:
            hint = self.report.suggest(name, self.inputs)
            raise Wrong(f"{reference}: there is no input {name}{hint}")
        return self.inputs[name]

    def _check_attribute(self, reference: Reference, entry: Input) -> None:
        if reference.attribute == "public" and entry.generate is not Generator.KEY:
            raise Wrong(f"{reference}: only a key that is generated has a public half")


def is_secret(entry: Input) -> bool:
    """Whether an input's value is never put in place of its name."""
    return entry.secret or entry.generate is not None


def as_text(value: Scalar | Reference) -> str:
    """A value as it is put into a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
