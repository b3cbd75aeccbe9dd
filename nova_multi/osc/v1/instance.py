# SPDX-License-Identifier: Apache-2.0
"""Instances."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, ClassVar

from nova_multi.osc import base
from nova_multi.osc.options import Field, size

_SIZES = (
    Field("memory", "Memory in MB, or with a unit", metavar="<size>", kind=size),
    Field("cpus", "CPUs", metavar="<number>", kind=int),
    Field("hdsize", "Disk in GB, or with a unit", metavar="<size>", kind=size),
)
_REST = (
    Field("description", "Description of the instance"),
    Field("permissions", "Such as rwxr-x---; public unless given"),
    Field(
        "publish",
        "Port to reach from outside: 8080:80, 80, 53:53/udp; repeat it for more",
        metavar="<outside:inside>",
        repeated=True,
    ),
    Field(
        "var",
        "Variable for the script; repeat it for more",
        "variables",
        "<name=value>",
        pairs=True,
    ),
    Field("tag", "Tag; repeat it for more", "tags", repeated=True),
)


class _Noun(base.Noun):
    noun = "instance"
    plural = "instances"
    columns = ("uuid", "name", "environment", "status", "addresses", "published")
    long_columns = ("driver", "host", "provisioner", "memory", "cpus", "hdsize", "tags")
    filters = ("name", "status", "driver", "host", "host_type", "provisioner", "tag")
    scope_options = ("partition", "environment")
    create_fields: ClassVar[tuple[Field, ...]] = (
        Field("environment", "Environment to be in (name or id)"),
        Field("provisioner", "What becomes of it (name or id)"),
        Field("driver", "docker, lxd or libvirt"),
        Field("host-type", "GeneralPurpose, ComputeOptimized, MemoryOptimized..."),
        *_SIZES,
        *_REST,
        Field("node", "Host to be on (for administrators)"),
        Field("count", "How many of them", metavar="<number>", kind=int),
        Field("network", "Network; repeat it for more", "networks", repeated=True),
    )
    set_fields = (Field("name", "New name of the instance"), *_SIZES, *_REST)


class CreateInstance(_Noun, base.Create):
    """Create an instance."""


class ListInstance(_Noun, base.List):
    """List instances."""


class ShowInstance(_Noun, base.Show):
    """Show an instance."""


class SetInstance(_Noun, base.Set):
    """Change an instance."""


class DeleteInstance(_Noun, base.Delete):
    """Delete instances."""


class StartInstance(_Noun, base.Several):
    """Start instances."""

    def act(self, name: str, scope: Mapping[str, str]) -> Mapping[str, Any]:
        return self.client.instances.start(name, **scope)


class StopInstance(_Noun, base.Several):
    """Shut instances down."""

    def act(self, name: str, scope: Mapping[str, str]) -> Mapping[str, Any]:
        return self.client.instances.stop(name, **scope)


class RestartInstance(_Noun, base.Several):
    """Shut instances down and start them."""

    def act(self, name: str, scope: Mapping[str, str]) -> Mapping[str, Any]:
        return self.client.instances.restart(name, **scope)


class CloneInstance(_Noun, base.Create):
    """Make another instance like one that is there."""

    create_fields = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--name",
            dest="new_name",
            metavar="<name>",
            help="Name of the new instance; without it one is made up",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Row:
        answer = self.client.instances.clone(
            parsed_args.name, parsed_args.new_name, **self.scope(parsed_args)
        )
        label = parsed_args.new_name or f"clone of {parsed_args.name}"
        return self.outcome(answer, label, parsed_args)
