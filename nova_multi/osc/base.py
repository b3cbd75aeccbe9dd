# SPDX-License-Identifier: Apache-2.0
"""What all commands share: exit codes, waiting, and the usual verbs of a noun."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from cliff import columns
from osc_lib.cli import format_columns
from osc_lib.command import command

from nova_multi.client import errors
from nova_multi.client.client import Client, Collection
from nova_multi.osc import exits
from nova_multi.osc.options import Field, given
from nova_multi.osc.progress import Progress

LOG = logging.getLogger(__name__)

Row: TypeAlias = tuple[Sequence[str], Sequence[Any]]


class StampColumn(columns.FormattableColumn[dict[str, Any]]):
    """When something was made, and by whom if that is known."""

    def human_readable(self) -> str:
        """One line."""
        by = self._value.get("by")
        return f"{self._value['at']} by {by}" if by else str(self._value["at"])


def cell(value: Any) -> Any:
    """A value as formatters show it: lists and objects for people or for programs."""
    if isinstance(value, dict) and value.keys() == {"at", "by"}:
        return StampColumn(value)
    if isinstance(value, dict):
        return format_columns.DictColumn(value)
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            if all(len(item) == 1 for item in value):  # {"name": ...}
                return format_columns.ListColumn(
                    [str(next(iter(item.values()))) for item in value]
                )
            return format_columns.ListDictColumn(value)
        return format_columns.ListColumn(value)
    return value


def one_row(shown: Mapping[str, Any]) -> Row:
    """An object as ShowOne takes it."""
    return tuple(shown), tuple(cell(value) for value in shown.values())


def task_row(task: Mapping[str, Any], parsed_args: argparse.Namespace) -> Row:
    """A task as ShowOne takes it; for people with a line for each of its states."""
    shown = dict(task)
    if parsed_args.formatter == "table":
        shown["status_history"] = "\n".join(map(_change, shown["status_history"]))
    return one_row(shown)


def _change(change: Mapping[str, Any]) -> str:
    line = f"{change['at']} {change['status']}"
    message = change.get("message")
    return f"{line} ({message})" if message else line


class Common(command.Command):
    """Errors of the service become messages and exit codes."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; a refusal is told in a line and an exit code."""
        try:
            return super().run(parsed_args)
        except errors.ClientError as error:
            return self.tell(error)

    def tell(self, error: errors.ClientError) -> int:
        """Tell an error; its exit code."""
        LOG.debug("The command failed", exc_info=error)
        for line in exits.lines_of(error):
            self.app.stderr.write(f"{line}\n")
        return exits.code_of(error)

    @property
    def client(self) -> Client:
        """The service."""
        manager: Any = self.app.client_manager
        client: Client = manager.multi
        return client


#: Options of fields whose own names ``openstack`` itself would take for options of its
#: own: it takes what they begin with, too.
_FLAGS = {"os": "os-name", "version": "os-version"}


class Noun:
    """What the commands of a noun differ in; mixed into each of them.

    :cvar plural: attribute of the client.
    :cvar key: field that holds the name.
    :cvar columns: of a list; ``long_columns`` with ``--long``.
    :cvar filters: fields that a list can be filtered by.
    :cvar scope_options: what may say where a name is looked up.
    """

    noun: ClassVar[str]
    plural: ClassVar[str]
    key: ClassVar[str] = "name"
    columns: ClassVar[tuple[str, ...]] = ("uuid", "name")
    long_columns: ClassVar[tuple[str, ...]] = ()
    filters: ClassVar[tuple[str, ...]] = ()
    scope_options: ClassVar[tuple[str, ...]] = ()
    create_fields: ClassVar[tuple[Field, ...]] = ()
    set_fields: ClassVar[tuple[Field, ...]] = ()


class Scoped(Common, Noun):
    """Commands for names that are unique within a partition or an environment."""

    def scope_names(self) -> tuple[str, ...]:
        """Options of the command that say where names are looked up."""
        return self.scope_options

    def add_scope(self, parser: argparse.ArgumentParser) -> None:
        """Add the options that say where a name is looked up."""
        for name in self.scope_names():
            parser.add_argument(
                f"--{name}",
                metavar=f"<{name}>",
                help=f"{name.capitalize()} (name or id) in which names are looked up",
            )

    def scope(self, parsed_args: argparse.Namespace) -> dict[str, str]:
        """What was given of them."""
        found = {name: getattr(parsed_args, name) for name in self.scope_names()}
        return {name: value for name, value in found.items() if value}


class Waiting(Scoped):
    """Commands that may start a task and wait for it."""

    def add_waiting(self, parser: argparse.ArgumentParser) -> None:
        """Add ``--wait`` and ``--timeout``."""
        parser.add_argument(
            "--wait",
            action="store_true",
            help="Wait until it is done, and tell how far it has come",
        )
        parser.add_argument(
            "--timeout",
            metavar="<seconds>",
            type=float,
            help="Wait no longer than this; the work goes on (with --wait)",
        )

    def wait(self, answer: Mapping[str, Any], label: str, parsed_args: Any) -> Any:
        """The task after its end, or None if there is none or nobody waits.

        :raises TaskFailed: it ended in error.
        :raises TaskTimeout: it goes on.
        """
        if "task" not in answer or not parsed_args.wait:
            return None
        with Progress(label, self.app.stderr) as progress:
            return self.client.tasks.wait(answer["task"], parsed_args.timeout, progress)


class List(Scoped, command.Lister):
    """List."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Options of the command."""
        parser = super().get_parser(prog_name)
        self.add_scope(parser)
        for name in self.filters:
            flag = _FLAGS.get(name) or name.replace("_", "-")
            parser.add_argument(
                f"--{flag}",
                dest=f"filter_{name}",
                metavar=f"<{flag}>",
                help=f"Only those with this {name.replace('_', ' ')}",
            )
        parser.add_argument(
            "--limit", metavar="<number>", type=int, help="No more than this many"
        )
        if self.long_columns:
            parser.add_argument(
                "--long", action="store_true", help="Show more of each of them"
            )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Columns and rows."""
        filters = {
            name: getattr(parsed_args, f"filter_{name}") for name in self.filters
        }
        rows = self.rows(filters, parsed_args)
        names = self.columns
        if self.long_columns and parsed_args.long:
            names = (*names, *self.long_columns)
        headers = [name.replace("_", " ").title() for name in names]
        return headers, ([cell(row.get(name)) for name in names] for row in rows)

    def rows(
        self, filters: Mapping[str, Any], parsed_args: argparse.Namespace
    ) -> Sequence[Mapping[str, Any]]:
        """The objects themselves."""
        return collection(self).list(
            limit=parsed_args.limit, **filters, **self.scope(parsed_args)
        )


class Show(Scoped, command.ShowOne):
    """Show."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Options of the command."""
        parser = super().get_parser(prog_name)
        self.add_scope(parser)
        _add_name(parser, self.noun)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """The object."""
        return one_row(
            collection(self).show(parsed_args.name, **self.scope(parsed_args))
        )


class Create(Waiting, command.ShowOne):
    """Create."""

    #: Whether the name may be left out.
    optional_name: ClassVar[bool] = False

    def scope_names(self) -> tuple[str, ...]:
        """Those that are no fields of the new object."""
        fields = {field.flag for field in self.create_fields}
        return tuple(name for name in self.scope_options if name not in fields)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Options of the command."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "name",
            metavar="<name>",
            nargs="?" if self.optional_name else None,
            help=f"Name of the new {self.noun}",
        )
        self.add_scope(parser)
        for field in self.create_fields:
            field.add_to(parser)
        self.add_waiting(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """The new object, or the task that makes it."""
        fields = given(self.create_fields, parsed_args)
        if parsed_args.name is not None:
            fields[self.key] = parsed_args.name
        answer = self.send(fields, self.scope(parsed_args), parsed_args)
        return self.outcome(answer, parsed_args.name or self.noun, parsed_args)

    def send(
        self, fields: Mapping[str, Any], scope: Mapping[str, str], parsed_args: Any
    ) -> Any:
        """Ask the service for it."""
        return collection(self).create(fields, **scope)

    def outcome(self, answer: Any, label: str, parsed_args: Any) -> Row:
        """What is shown of an answer: the object if it is there, else the task."""
        if "task" not in answer:
            return one_row(answer)
        task = self.wait(answer, label, parsed_args)
        if task is None:
            return one_row({self.key: label, "task": answer["task"]})
        uuid = task.get("object_uuid")
        if not uuid:
            return task_row(task, parsed_args)
        return one_row(collection(self).show(uuid))


class Set(Waiting):
    """Change."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Options of the command."""
        parser = super().get_parser(prog_name)
        self.add_scope(parser)
        _add_name(parser, self.noun)
        for field in self.set_fields:
            field.add_to(parser)
        self.add_waiting(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change what was given."""
        fields = given(self.set_fields, parsed_args)
        answer = collection(self).set(
            parsed_args.name, fields, **self.scope(parsed_args)
        )
        self.wait(answer, parsed_args.name, parsed_args)


class Several(Waiting):
    """Do one thing with several objects; one that fails doesn't stop the others."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Options of the command."""
        parser = super().get_parser(prog_name)
        self.add_scope(parser)
        parser.add_argument(
            "names",
            metavar=f"<{self.noun}>",
            nargs="+",
            help=f"Name or id of the {self.noun}; more than one if wanted",
        )
        self.add_waiting(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """All of them; the exit code is the first failure's."""
        codes = []
        answers: list[tuple[str, Mapping[str, Any]]] = []
        for name in parsed_args.names:
            try:
                answers.append((name, self.act(name, self.scope(parsed_args))))
            except errors.ClientError as error:
                codes.append(self._tell_of(name, error, parsed_args))
        for name, answer in answers:
            try:
                self.wait(answer, name, parsed_args)
            except errors.ClientError as error:
                codes.append(self._tell_of(name, error, parsed_args))
        return codes[0] if codes else 0

    def _tell_of(
        self, name: str, error: errors.ClientError, parsed_args: argparse.Namespace
    ) -> int:
        if len(parsed_args.names) > 1:
            self.app.stderr.write(f"{name}: ")
        return self.tell(error)

    def act(self, name: str, scope: Mapping[str, str]) -> Mapping[str, Any]:
        """Do it with one of them; the service's answer."""
        raise NotImplementedError

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Not reached: see :meth:`run`."""


class Delete(Several):
    """Delete."""

    def act(self, name: str, scope: Mapping[str, str]) -> Mapping[str, Any]:
        """Delete one of them."""
        return collection(self).delete(name, **scope)


def collection(command_of_noun: Any) -> Collection:
    """The noun's part of the client."""
    found: Collection = getattr(command_of_noun.client, command_of_noun.plural)
    return found


def _add_name(parser: argparse.ArgumentParser, noun: str) -> None:
    parser.add_argument("name", metavar=f"<{noun}>", help=f"Name or id of the {noun}")
