# SPDX-License-Identifier: Apache-2.0
"""Provisioners."""

from __future__ import annotations

from nova_multi.osc import base
from nova_multi.osc.options import Field, content, size

_FIELDS = (
    Field("description", "Description of the provisioner"),
    Field("launch", "Instances that it makes", metavar="<number>", kind=int),
    Field("memory", "Memory in GB, or with a unit", metavar="<size>", kind=size),
    Field("cpus", "CPUs", metavar="<number>", kind=int),
    Field("hdsize", "Disk in GB, or with a unit", metavar="<size>", kind=size),
    Field("image", "Image to start from (name or id)"),
    Field("driver", "docker, lxd or libvirt"),
    Field("builder", "Git repository that the guest clones", metavar="<url>"),
    Field("ref", "Branch, tag or commit of it"),
    Field("script", "Script that the guest runs", metavar="<file>", kind=content),
    Field(
        "executor",
        "Command that is run in the clone, or that the script's file is given to:"
        " manifest for Puppet, playbook for Ansible",
        metavar="<command>",
    ),
    # --timeout is that of --wait.
    Field(
        "script-timeout",
        "Seconds after which the script is ended",
        "timeout",
        "<seconds>",
        kind=int,
    ),
    Field("tag", "Tag of its instances"),
    Field(
        "depends",
        "Provisioner that must stand in the environment before; repeat it for more",
        metavar="<provisioner>",
        repeated=True,
        wrap=lambda name: {"provisioner_name": name},
    ),
    Field(
        "var",
        "Variable for the script; repeat it for more",
        "variables",
        "<name=value>",
        pairs=True,
    ),
    Field("permissions", "Such as rwxr-x---; public unless given"),
)


class _Noun(base.Noun):
    noun = "provisioner"
    plural = "provisioners"
    columns = ("uuid", "name", "image", "driver", "tag")
    long_columns = (
        *("description", "memory", "cpus", "hdsize", "timeout"),
        *("depends", "permissions"),
    )
    filters = ("name", "description", "image", "driver", "tag", "builder")
    scope_options = ("partition", "environment")
    create_fields = _FIELDS
    set_fields = (Field("name", "New name of the provisioner"), *_FIELDS)


class CreateProvisioner(_Noun, base.Create):
    """Create a provisioner."""


class ListProvisioner(_Noun, base.List):
    """List provisioners."""


class ShowProvisioner(_Noun, base.Show):
    """Show a provisioner."""


class SetProvisioner(_Noun, base.Set):
    """Change a provisioner."""


class DeleteProvisioner(_Noun, base.Delete):
    """Delete provisioners."""
