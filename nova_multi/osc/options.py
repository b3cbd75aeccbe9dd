# SPDX-License-Identifier: Apache-2.0
"""Options of commands that become fields of requests."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Callable, Iterable
from typing import Any


def size(text: str) -> int | float | str:
    """A number without a unit as a number, anything else as it is."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def content(path: str) -> str:
    """The text of a file of the user's; ``-`` is not taken.

    :raises argparse.ArgumentTypeError: it can't be read.
    """
    try:
        return pathlib.Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"can't read {path}: {error}") from error


def existing(text: str) -> pathlib.Path:
    """A file of the user's that is there.

    :raises argparse.ArgumentTypeError: it isn't.
    """
    path = pathlib.Path(text).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is no file")
    return path


def pair(text: str) -> tuple[str, str]:
    """``name=value``.

    :raises argparse.ArgumentTypeError: there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    return name, value


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """An option that becomes a field of a request if it is given.

    :ivar flag: without dashes.
    :ivar name: of the field; the flag with underscores unless told otherwise.
    :ivar kind: reads the text.
    :ivar repeated: may be given several times and becomes a list.
    :ivar pairs: ``name=value``, several times; becomes an object.
    :ivar wrap: what becomes of each item of a list.
    :ivar switch: takes no value; has this one.
    """

    flag: str
    help: str
    name: str = ""
    metavar: str = ""
    kind: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    repeated: bool = False
    pairs: bool = False
    wrap: Callable[[Any], Any] = lambda item: item
    switch: Any = None
    required: bool = False

    @property
    def field(self) -> str:
        """Name in the request."""
        return self.name or self.flag.replace("-", "_")

    @property
    def dest(self) -> str:
        """Where argparse keeps it: flags of one field are kept apart."""
        return "field_" + self.flag.replace("-", "_")

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add the option to a command."""
        more: dict[str, Any] = {"dest": self.dest, "help": self.help}
        if self.switch is not None:
            more |= {"action": "store_const", "const": self.switch}
        else:
            more |= {
                "metavar": self.metavar or f"<{self.flag}>",
                "type": pair if self.pairs else self.kind,
                "required": self.required,
            }
            if self.repeated or self.pairs:
                more["action"] = "append"
            if self.choices:
                more["choices"] = self.choices
        parser.add_argument(f"--{self.flag}", **more)

    def value_in(self, parsed_args: argparse.Namespace) -> Any:
        """What was given, None if nothing was."""
        value = getattr(parsed_args, self.dest)
        if value is None:
            return None
        if self.pairs:
            return {name: self.wrap(item) for name, item in value}
        if self.repeated:
            return [self.wrap(item) for item in value]
        return value


def given(fields: Iterable[Field], parsed_args: argparse.Namespace) -> dict[str, Any]:
    """The fields of a request for the options that were given."""
    found = {field: field.value_in(parsed_args) for field in fields}
    return {field.field: value for field, value in found.items() if value is not None}
