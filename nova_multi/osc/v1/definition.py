# SPDX-License-Identifier: Apache-2.0
"""Environments as files: plan, apply, destroy."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from osc_lib.command import command

from nova_multi.client import errors
from nova_multi.osc import base, definition, exits
from nova_multi.osc.tree import Tree

#: Exit code of a plan that has something to do.
CHANGES = 2


class _Definition(base.Scoped):
    """What commands for files have in common."""

    noun = "environment"
    plural = "environments"
    scope_options = ("partition",)

    #: The one that the command line names, once it is read.
    file: definition.File | None = None

    def read(self, parsed_args: argparse.Namespace) -> definition.File:
        """The file that the command line names."""
        self.file = definition.read(parsed_args)
        return self.file

    def tell(self, error: errors.ClientError) -> int:
        """Tell an error; a file's with a line for each thing that is wrong."""
        if isinstance(error, definition.BadFile):
            for line in error.lines:
                self.app.stderr.write(f"{line}\n")
            return exits.OTHER
        if isinstance(error, errors.RequestError) and self.file:
            lines = self.file.lines_of(error)
            for line in lines:
                self.app.stderr.write(f"{line}\n")
            if lines:
                return exits.code_of(error)
        return super().tell(error)

    def within(
        self, file: definition.File, parsed_args: argparse.Namespace
    ) -> dict[str, str]:
        """Where the environment is looked up: the command line, then the file."""
        return {**file.scope, **self.scope(parsed_args)}

    def plan_of(
        self, file: definition.File, parsed_args: argparse.Namespace
    ) -> Mapping[str, Any]:
        """What applying a file would do."""
        return self.client.environments.plan(
            file.definition, file.values, **self.within(file, parsed_args)
        )


class PlanEnvironment(_Definition):
    """Tell what applying a file would do; nothing is done.

    The exit code is 0 if there is nothing to do, 2 if there is, 1 after an error.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        definition.add_file(parser)
        self.add_scope(parser)
        parser.add_argument("--json", action="store_true", help="Show the plan as JSON")
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Show the plan; its exit code."""
        try:
            plan = self.plan_of(self.read(parsed_args), parsed_args)
        except errors.ClientError as error:
            self.tell(error)
            return exits.OTHER
        if parsed_args.json:
            self.app.stdout.write(f"{json.dumps(plan, indent=2)}\n")
        else:
            for line in definition.lines_of_plan(plan):
                self.app.stdout.write(f"{line}\n")
        return CHANGES if plan["changes"] else 0

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Not reached: see :meth:`run`."""


class _Doing(_Definition, command.ShowOne):
    """Commands that ask first, and tell how it goes on."""

    def add_doing(self, parser: argparse.ArgumentParser) -> None:
        """Add what applying and destroying have in common."""
        self.add_scope(parser)
        parser.add_argument(
            "--yes", action="store_true", help="Do it without asking first"
        )
        waiting = parser.add_mutually_exclusive_group()
        waiting.add_argument(
            "--wait",
            action="store_true",
            default=True,
            help="Wait until it is done, and tell how far it has come (the default)",
        )
        waiting.add_argument(
            "--no-wait",
            dest="wait",
            action="store_false",
            help="Leave once it is accepted; the work goes on",
        )
        parser.add_argument(
            "--timeout",
            metavar="<seconds>",
            type=float,
            help="Wait no longer than this; the work goes on",
        )
        parser.add_argument(
            "--queue",
            action="store_true",
            help="Where the environment is being applied or destroyed already, do it"
            " afterwards instead of giving up",
        )
        parser.add_argument(
            "--width",
            metavar="<number>",
            type=int,
            help="Do so many steps at the same time",
        )

    def fields(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """What was given of how it is done."""
        found: dict[str, Any] = {"wait": True} if parsed_args.queue else {}
        if parsed_args.width is not None:
            found["width"] = parsed_args.width
        return found

    def ask(self, question: str, parsed_args: argparse.Namespace) -> None:
        """See that the user wants it.

        :raises ClientError: they don't, or can't be asked.
        """
        if parsed_args.yes:
            return
        if not sys.stdin.isatty():
            raise errors.ClientError("nobody is here to be asked: give --yes")
        self.app.stderr.write(f"{question} (yes or no) ")
        self.app.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise errors.ClientError("nothing was done")

    def follow(
        self,
        name: str,
        accepted: Mapping[str, Any],
        steps: list[str],
        parsed_args: argparse.Namespace,
    ) -> Mapping[str, Any] | None:
        """The task after its end; None if nobody waits.

        :raises TaskFailed: it ended in error.
        :raises TaskTimeout: it goes on.
        """
        uuid = accepted["task"]
        if not parsed_args.wait:
            return None

        def children() -> list[dict[str, Any]]:
            return self.client.tasks.list(parent_uuid=uuid)

        with Tree(name, steps, children, self.app.stderr) as tree:
            return self.client.tasks.wait(uuid, parsed_args.timeout, tree)


class ApplyEnvironment(_Doing):
    """Make an environment as its file says.

    Shows the plan and asks before anything is done. With --dry-run the exit code is 0
    if there is nothing to do, 2 if there is, 1 after an error.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        definition.add_file(parser)
        self.add_doing(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="Show the plan, and do nothing"
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Do it; a dry run has the exit codes of a plan."""
        if not parsed_args.dry_run:
            return super().run(parsed_args)
        try:
            plan = self.plan_of(self.read(parsed_args), parsed_args)
        except errors.ClientError as error:
            self.tell(error)
            return exits.OTHER
        for line in definition.lines_of_plan(plan):
            self.app.stdout.write(f"{line}\n")
        return CHANGES if plan["changes"] else 0

    def take_action(self, parsed_args: argparse.Namespace) -> base.Row:
        """What was done, and the outputs."""
        file = self.read(parsed_args)
        plan = self.plan_of(file, parsed_args)
        for line in definition.lines_of_plan(plan):
            self.app.stderr.write(f"{line}\n")
        if plan["changes"]:
            self.ask(f"Apply this to {file.name}?", parsed_args)
        scope = self.within(file, parsed_args)
        fields = {"definition": file.definition, **self.fields(parsed_args)}
        if file.values:
            fields["values"] = dict(file.values)
        accepted = self.client.environments.apply(file.name, fields, **scope)
        steps = [step["name"] for step in plan["steps"]]
        shown: dict[str, Any] = {"environment": file.name, "task": accepted["task"]}
        if self.follow(file.name, accepted, steps, parsed_args):
            counts = ("create", "update", "replace", "delete", "unchanged")
            shown |= {key: plan[key] for key in counts}
            shown["outputs"] = self.client.environments.outputs(file.name, **scope)
        return base.one_row(shown)


class DestroyEnvironment(_Doing):
    """Delete all that files have made in an environment.

    The environment itself goes, too, if an apply has made it and nothing else is in it.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "name",
            metavar="<environment>",
            help="Name or id of the environment, or its file",
        )
        self.add_doing(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Row:
        """What was done."""
        name, scope = parsed_args.name, self.scope(parsed_args)
        if definition.is_file(name):
            name, within = definition.name_in(name)
            scope = {**within, **scope}
        self.client.environments.show(name, **scope)
        self.ask(f"Delete all that the definition of {name} has made?", parsed_args)
        fields = self.fields(parsed_args)
        accepted = self.client.environments.destroy(name, fields, **scope)
        task = self.follow(name, accepted, [], parsed_args)
        shown = {"environment": name, "task": accepted["task"]}
        if task:
            shown["status"] = task["status"]
        return base.one_row(shown)
