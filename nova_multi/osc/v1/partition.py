# SPDX-License-Identifier: Apache-2.0
"""Partitions."""

from __future__ import annotations

import argparse

from nova_multi.osc import base
from nova_multi.osc.options import Field, size

_DESCRIPTION = Field("description", "Description of the partition")

LIMIT = Field(
    "limit",
    "What may be used at most: instances, cpus or memory (MB, or with a unit); repeat"
    " it for each",
    "limits",
    metavar="<name=amount>",
    pairs=True,
    wrap=size,
)


class _Noun(base.Noun):
    noun = "partition"
    plural = "partitions"
    columns = ("uuid", "name", "description", "hosts")
    long_columns = ("limits",)
    filters = ("name", "description")
    create_fields = (_DESCRIPTION, LIMIT)
    set_fields = (Field("name", "New name of the partition"), _DESCRIPTION, LIMIT)


class CreatePartition(_Noun, base.Create):
    """Create a partition."""


class ListPartition(_Noun, base.List):
    """List partitions."""


class ShowPartition(_Noun, base.Show):
    """Show a partition."""


class SetPartition(_Noun, base.Set):
    """Change a partition."""


class DeletePartition(_Noun, base.Delete):
    """Delete partitions."""


class _Host(base.Waiting):
    """Something with one partition and one of its hosts."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "partition", metavar="<partition>", help="Name or id of the partition"
        )
        parser.add_argument("host", metavar="<host>", help="Name or id of the host")
        self.add_waiting(parser)
        return parser


class AddHost(_Host):
    """Put a host into a partition."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        answer = self.client.partitions.add_host(
            parsed_args.partition, parsed_args.host
        )
        self.wait(answer, parsed_args.host, parsed_args)


class RemoveHost(_Host):
    """Take a host out of a partition."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        answer = self.client.partitions.remove_host(
            parsed_args.partition, parsed_args.host
        )
        self.wait(answer, parsed_args.host, parsed_args)
