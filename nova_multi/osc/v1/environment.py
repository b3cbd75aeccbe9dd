# SPDX-License-Identifier: Apache-2.0
"""Environments."""

from __future__ import annotations

import argparse

from nova_multi.osc import base
from nova_multi.osc.options import Field
from nova_multi.osc.v1.partition import LIMIT

_DESCRIPTION = Field("description", "Description of the environment")
_USER = Field(
    "user",
    "Login of a user who may use it; repeat it for more",
    "users",
    repeated=True,
    wrap=lambda login: {"login": login},
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
        LIMIT,
    )
    set_fields = (
        Field("name", "New name of the environment"),
        _DESCRIPTION,
        _USER,
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


class DeleteEnvironment(_Noun, base.Delete):
    """Delete environments."""
