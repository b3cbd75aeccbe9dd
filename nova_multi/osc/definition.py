# SPDX-License-Identifier: Apache-2.0
"""Files of environments on the command line: reading them, and showing plans."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nova_multi import spec
from nova_multi.client import errors
from nova_multi.domain.errors import Invalid
from nova_multi.osc.options import content as content_of
from nova_multi.osc.options import pair
from nova_multi.spec import yamltree
from nova_multi.spec.tree import Report

_SIGNS = {"create": "+", "update": "~", "replace": "-/+", "delete": "-"}
_WORDS = {
    "create": "to create",
    "update": "to change in place",
    "replace": "to replace",
    "delete": "to delete",
}
#: Ends of names that files of environments have.
_SUFFIXES = (".yaml", ".yml", ".json")


def schedule(text: str) -> dict[str, Any]:
    """A schedule of the command line, as the service takes it.

    :param text: YAML in braces, or the path of a file with a schedule in it.
    :raises argparse.ArgumentTypeError: it can't be read, or is none; with each place.
    """
    where = "" if text.lstrip().startswith("{") else f"{text}:"
    content = text if not where else content_of(text)
    try:
        return spec.dump_schedule(spec.load_schedule_text(content))
    except Invalid as error:
        lines = [
            f"{where}{each['line']}:{each['column']}: {each['message']}"
            if each.get("line")
            else each["message"]
            for each in error.details or (error.as_detail(),)
        ]
        raise argparse.ArgumentTypeError("\n".join(lines)) from error


class BadFile(errors.ClientError):
    """A file of an environment that can't be used.

    :ivar lines: one for each thing that is wrong, with its place.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """A file of an environment, read and checked.

    :ivar definition: as the service takes it; contents instead of paths.
    :ivar values: of inputs, as they were given.
    :ivar path: of the file; ``text`` is what it says.
    """

    name: str
    definition: Mapping[str, Any]
    values: Mapping[str, str]
    path: str = ""
    text: bytes = dataclasses.field(default=b"", repr=False)

    @property
    def scope(self) -> dict[str, str]:
        """Where the environment's name is looked up."""
        partition = self.definition.get("partition")
        return {"partition": partition} if partition else {}

    def lines_of(self, error: errors.RequestError) -> list[str]:
        """What the service refuses, each with the place in the file where that stands.

        Empty if nothing of it has a place there.
        """
        told: list[Mapping[str, Any]] = [*error.details]
        if not any(each.get("field") for each in told):
            return []
        return [self._placed(each) for each in told]

    def _placed(self, detail: Mapping[str, Any]) -> str:
        place = spec.place_of(self.text, str(detail.get("field") or ""))
        where = f":{place.line}:{place.column}" if place else ""
        return f"{self.path}{where}: {detail.get('message') or ''}"


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add the file and what it is given."""
    parser.add_argument("file", metavar="<file>", help="File of the environment")
    parser.add_argument(
        "-i",
        "--input",
        dest="inputs",
        metavar="<name=value>",
        type=pair,
        action="append",
        default=[],
        help="Value of an input; repeat it for more",
    )
    parser.add_argument(
        "--input-from",
        dest="input_files",
        metavar="<name=file>",
        type=pair,
        action="append",
        default=[],
        help="The same, read from a file, so that a secret is in no list of processes;"
        " - is standard input",
    )
    parser.add_argument(
        "--scripts-from",
        dest="folders",
        metavar="<folder>",
        action="append",
        default=[],
        help="Further folder that scripts may be read from, beside the file's own",
    )


def read(parsed_args: argparse.Namespace) -> File:
    """The file that the command line names, with its values.

    :raises BadFile: all that is wrong with it.
    """
    values = dict(parsed_args.inputs)
    for name, path in parsed_args.input_files:
        values[name] = _content(path)
    return load(parsed_args.file, values, parsed_args.folders)


def load(path: str, values: Mapping[str, str], folders: Sequence[str] = ()) -> File:
    """A file of an environment.

    :raises BadFile: all that is wrong with it.
    """
    folder = pathlib.Path(path).expanduser().parent
    text = _bytes(path)
    try:
        definition = spec.load_text(
            text, values=values, read_file=spec.folder_reader(folder, folders)
        )
    except Invalid as error:
        raise _bad(path, error) from error
    return File(definition.name, spec.dump(definition), values, path, text)


def name_in(path: str) -> tuple[str, dict[str, str]]:
    """The environment that a file is of, and where its name is looked up.

    Inputs need no values for that: what stands is destroyed, whatever it was given.

    :raises BadFile: all that is wrong with it.
    """
    report = Report()
    root = yamltree.read(_bytes(path), report)
    try:
        report.finish()
    except Invalid as error:
        raise _bad(path, error) from error
    entries = root.value if root and isinstance(root.value, dict) else {}
    found = {
        key: entries[key].node.value
        for key in ("name", "partition")
        if key in entries and isinstance(entries[key].node.value, str)
    }
    if "name" not in found:
        raise BadFile([f"{path}: the environment's name is missing"])
    name = found.pop("name")
    return name, found


def is_file(text: str) -> bool:
    """Whether a word means a file, and not an environment's name."""
    return text.endswith(_SUFFIXES) or "/" in text


def _bytes(path: str) -> bytes:
    try:
        return pathlib.Path(path).expanduser().read_bytes()
    except OSError as error:
        raise BadFile([f"{path}: {error.strerror or error}"]) from error


def _bad(path: str, error: Invalid) -> BadFile:
    return BadFile([_line(path, each) for each in spec.Problem.of(error)])


def _line(path: str, problem: spec.Problem) -> str:
    """As compilers tell it, so that editors find the place."""
    place = f":{problem.line}:{problem.column}" if problem.line is not None else ""
    where = f"{problem.path}: " if problem.path and problem.line is None else ""
    return f"{path}{place}: {where}{problem.message}"


def _content(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.read().rstrip("\n")
        return pathlib.Path(path).expanduser().read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile([f"{path}: {error}"]) from error


# -- plans


def lines_of_plan(plan: Mapping[str, Any]) -> Iterator[str]:
    """A plan for people."""
    name = plan["environment"]
    if not plan["changes"]:
        yield f"{name}: nothing to do; {_instances(plan['unchanged'])} as it is to be"
        return
    yield f"{name}:"
    for step in plan["steps"]:
        yield f"  {_SIGNS[step['action']]:>3} {_thing(step)}{_reason(step)}"
        for change in step["changes"]:
            yield f"        {change_line(change)}"
    yield summary(plan)


def summary(plan: Mapping[str, Any]) -> str:
    """How much a plan does, in a line."""
    counts = [f"{plan[key]} {word}" for key, word in _WORDS.items() if plan[key]]
    counts.append(f"{plan['unchanged']} unchanged")
    return ", ".join(counts)


def _instances(count: int) -> str:
    return f"{count} instance{'' if count == 1 else 's'}"


def _thing(step: Mapping[str, Any]) -> str:
    kind, name = step["kind"], step["name"]
    return str(name) if kind == "instance" else f"{kind} {name}"


def _reason(step: Mapping[str, Any]) -> str:
    return (
        "" if step["changes"] or step["action"] == "create" else f" ({step['reason']})"
    )


def change_line(change: Mapping[str, Any]) -> str:
    """One difference, as in ``memory 256 -> 512: replaced``."""
    values = ""
    if change["before"] or change["after"]:
        values = f" {change['before']} -> {change['after']}"
    by = " (changed by other hands)" if change["drift"] else ""
    end = "in place" if change["in_place"] else "replaced"
    return f"{change['field']}{values}: {end}{by}"
