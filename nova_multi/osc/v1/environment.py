# SPDX-License-Identifier: Apache-2.0
"""Environments."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib.command import command

from nova_multi.osc import base
from nova_multi.osc.definition import schedule
from nova_multi.osc.options import Field
from nova_multi.osc.v1.partition import LIMIT

_TITLES = {
    "instance_hours": "Hours",
    "vcpu_hours": "vCPU Hours",
    "memory_mb_hours": "Memory MB Hours",
    "disk_gb_hours": "Disk GB Hours",
}
_DESCRIPTION = Field("description", "Description of the environment")
_USER = Field(
    "user",
    "Login of a user who may use it; repeat it for more",
    "users",
    repeated=True,
    wrap=lambda login: {"login": login},
)


_SCHEDULE = Field(
    "schedule",
    "When the environment stands: a YAML file with what the section of that name says"
    " in an environment's file, or the same in braces: {days: mon-fri, hours: \"08:00-"
    '18:00"}',
    metavar="<file>",
    kind=schedule,
)


class _Noun(base.Noun):
    noun = "environment"
    plural = "environments"
    columns = ("uuid", "name", "partition", "state", "users")
    long_columns = ("description", "publish_address", "schedule", "limits")
    filters = ("name", "description", "state")
    scope_options = ("partition",)
    create_fields = (
        Field("partition", "Partition to be in (name or id)", required=True),
        _DESCRIPTION,
        _USER,
        _SCHEDULE,
        LIMIT,
    )
    set_fields = (
        Field("name", "New name of the environment"),
        _DESCRIPTION,
        _USER,
        _SCHEDULE,
        LIMIT,
    )


class CreateEnvironment(_Noun, base.Create):
    """Create an environment."""


class ListEnvironment(_Noun, base.List):
    """List environments."""


class ShowEnvironment(_Noun, base.Show):
    """Show an environment, or the outputs of its definition."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--outputs",
            action="store_true",
            help="Show what the outputs of its definition are now",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Row:
        if not parsed_args.outputs:
            return super().take_action(parsed_args)
        scope = self.scope(parsed_args)
        return base.one_row(self.client.environments.outputs(parsed_args.name, **scope))


class SetEnvironment(_Noun, base.Set):
    """Change an environment."""


class UnsetEnvironment(_Noun, base.Scoped):
    """Take something away from an environment."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        self.add_scope(parser)
        parser.add_argument(
            "name", metavar="<environment>", help="Name or id of the environment"
        )
        parser.add_argument(
            "--schedule",
            action="store_true",
            required=True,
            help="It has no working hours any more: it stands always",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Take it away."""
        fields: dict[str, Any] = {"schedule": {}}
        scope = self.scope(parsed_args)
        self.client.environments.set(parsed_args.name, fields, **scope)


class UsageEnvironment(_Noun, base.Scoped, command.Lister):
    """Show what an environment has used, and what its working hours have saved.

    The last line is the sum of all.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        self.add_scope(parser)
        parser.add_argument(
            "name", metavar="<environment>", help="Name or id of the environment"
        )
        parser.add_argument(
            "--from",
            dest="begin",
            metavar="<time>",
            help="Begin of the period, such as 2026-11-01 or 2026-11-01T08:00:00Z; the"
            " environment's own begin if left out",
        )
        parser.add_argument(
            "--to",
            dest="end",
            metavar="<time>",
            help="End of the period; the present if left out",
        )
        parser.add_argument(
            "--long", action="store_true", help="Show memory and disk, too"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Columns and rows."""
        found = self.client.environments.usage(
            parsed_args.name,
            parsed_args.begin,
            parsed_args.end,
            **self.scope(parsed_args),
        )
        kinds = list(_TITLES) if parsed_args.long else list(_TITLES)[:2]
        amounts = [(what, kind) for kind in kinds for what in ("used", "saved")]
        names = [f"{_TITLES[kind]} {what.title()}" for what, kind in amounts]
        rows = [
            (
                each["name"],
                each["driver"],
                *(each[what][kind] for what, kind in amounts),
            )
            for each in found["instances"]
        ]
        rows.append(("(all)", "", *(found[what][kind] for what, kind in amounts)))
        return ("Instance", "Driver", *names), rows


class DeleteEnvironment(_Noun, base.Delete):
    """Delete environments."""
