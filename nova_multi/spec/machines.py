# SPDX-License-Identifier: Apache-2.0
"""Provisioners and instances of a file."""

from __future__ import annotations

import re
from typing import Any

from nova_multi.domain import names, provisioner
from nova_multi.domain.definition import (
    InstanceDefinition,
    ProvisionerDefinition,
)
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid
from nova_multi.domain.host import HostType
from nova_multi.domain.names import Kind as Noun
from nova_multi.domain.provisioner import Provisioner
from nova_multi.spec import kinds, templates
from nova_multi.spec.context import MISSING, Context, Told, Wrong
from nova_multi.spec.kinds import Kind
from nova_multi.spec.problems import shown
from nova_multi.spec.table import Field, Table, mapping, section
from nova_multi.spec.tree import BAD, Spot, text_problem

MAX_COUNT = 1000
#: Seconds; a script that takes longer than a day hangs.
MAX_TIMEOUT = 86_400
_DRIVERS = ("docker", "lxd", "lxc", "libvirt", "kvm", "qemu")
_WORD = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
_LATER = re.compile(r"\$\{(inputs|instances|environment)[.\[]")


VARIABLES = section(
    kinds.check_variable,
    kinds.template,
    kinds.VALUE_SCHEMA,
    most=1000,
    names="^[A-Za-z_][A-Za-z0-9_]{0,127}$",
)


def _script(ctx: Context, spot: Spot) -> str:
    """Its text as it is: a shell has a ``${`` of its own."""
    if isinstance(spot.value, dict):
        return _script_file(ctx, spot)
    value = spot.value
    if not isinstance(value, str):
        raise Wrong(f"must be a text or {{file: path}}, not {shown(value)}")
    return _checked_script(value)


def _checked_script(value: str) -> str:
    if not value.strip():
        raise Wrong("is empty")
    if len(value) > kinds.MAX_CONTENT:
        told = f"at most {kinds.MAX_CONTENT} are possible"
        raise Wrong(f"the script has {len(value)} characters, {told}")
    if wrong := text_problem(value):
        raise Wrong(f"the script: {wrong}")
    return value


def _script_file(ctx: Context, spot: Spot) -> str:
    if list(spot.value) != ["file"]:
        raise Wrong("must be a text, or a mapping with file alone")
    inner = spot.at("file")
    if inner.value is BAD:
        raise Told
    path = ctx.attempt(_PATH.read, inner)
    if path is MISSING:
        raise Told
    if ctx.read_file is None:
        ctx.add(
            inner,
            "the service takes contents only: the command line reads files, and sends"
            " what is in them",
        )
        raise Told
    try:
        script = _checked_script(ctx.read_file(path))
        ctx.add_text(script)
        return script
    except Invalid as error:
        ctx.add(inner, error.message)
    except Wrong as error:
        ctx.add(inner, error.message)
    except UnicodeDecodeError:
        ctx.add(inner, f"the file {shown(path)} is not UTF-8: a script must be text")
    except OSError as error:
        told = error.strerror or type(error).__name__
        ctx.add(inner, f"the file {shown(path)} can't be read: {told}", "not_found")
    except ValueError as error:
        ctx.add(inner, f"the file {shown(path)} can't be read: {error}")
    raise Told


_PATH = kinds.text(r"[^\x00]+", "a path", longest=4096, least=1)
SCRIPT = Kind(
    _script,
    {
        "anyOf": [
            {"type": "string", "minLength": 1, "maxLength": kinds.MAX_CONTENT},
            {
                "type": "object",
                "properties": {"file": {"type": "string", "minLength": 1}},
                "required": ["file"],
                "additionalProperties": False,
            },
        ]
    },
)


def _executor(ctx: Context, spot: Spot) -> str:
    """A command as it is: what it needs reaches it as variables."""
    value = spot.value
    if not isinstance(value, str):
        raise Wrong(f"must be a text, not {shown(value)}")
    if len(value) > 255 or not re.fullmatch(r"[^\x00-\x1f\x7f]*", value):
        raise Wrong("must be one line of at most 255 characters")
    if found := _LATER.search(value):
        raise Wrong(
            f"{found[0]}...}}: a command is taken as it is; give it the value as one of"
            " its variables"
        )
    return value


EXECUTOR = Kind(_executor, {"type": "string", "maxLength": 255})

_ANY_IMAGE = kinds.name_or_id("an image")


def _image(ctx: Context, spot: Spot) -> str:
    """A name; ``${images.NAME}`` is that of an image of the file, which must be there.

    :raises Wrong: it is none.
    """
    found = templates.image_named(spot.value) if isinstance(spot.value, str) else None
    if found is None:
        return str(_ANY_IMAGE.read(ctx, spot))
    ctx.images_used.append((found, spot))
    return found


IMAGE_NAME = Kind(_image, _ANY_IMAGE.schema)

_SIZES = (
    Field("cpus", kinds.whole(1, 4096), "Virtual CPUs."),
    Field("memory", kinds.size("MB"), "Memory.", target="memory_mb"),
    Field("hdsize", kinds.size("GB"), "Disk.", target="disk_mb"),
    Field("disk", kinds.size("GB"), "The same as hdsize.", target="disk_mb"),
)
_DRIVER = Field(
    "driver",
    kinds.word(Driver.parse, _DRIVERS),
    "What runs it; lxc means lxd, kvm and qemu mean libvirt.",
)
_DESCRIPTION = Field("description", kinds.TEXT, "For people.")
_VARIABLES = Field(
    "variables",
    VARIABLES,
    "What the script gets as environment variables; values may refer to others.",
)

PROVISIONER = Table(
    "a provisioner",
    (
        _DESCRIPTION,
        Field(
            "image",
            IMAGE_NAME,
            "What it begins with: of the file, or one that the service knows.",
        ),
        _DRIVER,
        *_SIZES,
        Field("script", SCRIPT, "What is run: a text, or a file beside this one."),
        Field(
            "builder",
            kinds.text("[!-~]*", "a URL", longest=2048),
            "In place of a script: URL of a git repository that the guest clones.",
        ),
        Field("ref", kinds.LINE, "Branch, tag or commit of the builder."),
        Field(
            "executor",
            EXECUTOR,
            "The command that is run in the clone, or that the script is given to:"
            " manifest for Puppet, playbook for Ansible.",
        ),
        Field("tag", kinds.LINE, "For people and filters."),
        Field(
            "depends",
            kinds.list_of(
                kinds.name_or_id("a provisioner"), key="provisioner_name", most=100
            ),
            "Provisioners of the file whose instances must stand before.",
        ),
        _VARIABLES,
        Field(
            "timeout", kinds.whole(1, MAX_TIMEOUT), "Seconds that the script may take."
        ),
    ),
)

INSTANCE = Table(
    "an instance",
    (
        Field(
            "count",
            kinds.whole(0, MAX_COUNT),
            "How many; more than one are name-1, name-2 and so on.",
        ),
        _DRIVER,
        Field(
            "image",
            IMAGE_NAME,
            "Of the file, or one that the service knows.",
        ),
        *_SIZES,
        Field("hdspace", kinds.size("GB"), "The same as hdsize.", target="disk_mb"),
        Field(
            "provisioner",
            kinds.name_or_id("a provisioner"),
            "Of the file, or one that the service knows.",
        ),
        _DESCRIPTION,
        Field(
            "host_type",
            kinds.word(HostType.parse, HostType),
            "What the machine that it is on must be good at.",
        ),
        Field(
            "publish",
            kinds.PORTS,
            "Ports that are reachable at the environment's address: outside:inside,"
            " or inside for a free one outside; with /udp for UDP.",
        ),
        Field(
            "networks",
            kinds.list_of(kinds.name_or_id("a network"), key="name", most=100),
            "Of the file, or such as there are; the environment's own if left out.",
        ),
        Field(
            "tags",
            kinds.list_of(
                kinds.text(r"[^,/\x00-\x1f\x7f]+", "a tag", longest=60, least=1),
                most=40,
            ),
            "Words that pick instances; neither ',' nor '/' may be in them.",
        ),
        _VARIABLES,
        Field(
            "depends_on",
            kinds.list_of(kinds.name_or_id("an instance"), most=MAX_COUNT),
            "Instances of the file that must stand before.",
        ),
    ),
)


def _read_provisioner(ctx: Context, spot: Spot) -> ProvisionerDefinition:
    found = PROVISIONER.read(ctx, spot)
    _check_provisioner(ctx, spot, found)
    return ProvisionerDefinition(spot.name, **found)


def _check_provisioner(ctx: Context, spot: Spot, found: dict[str, Any]) -> None:
    """See that its fields go together, by the rules of every provisioner."""
    given = mapping(spot)
    fields = ("builder", "ref", "script", "executor", "depends")
    domain = Provisioner(
        "", spot.name, **{name: found[name] for name in fields if name in found}
    )
    try:
        provisioner.check(domain)
    except Invalid as error:
        # What could not be read was told; that it is missing would be told wrongly.
        unread = {name for name in fields if name in given and name not in found}
        what_runs = {"builder", "script", "ref", "executor"}
        for entry in error.details or (error.as_detail(),):
            field = entry["field"]
            if unread & what_runs and field in what_runs:
                continue
            place = spot.at(field) if field in given else spot
            message = entry["message"].removeprefix(f"provisioner {spot.name}: ")
            ctx.add(place, message, entry["code"])


def _read_instance(ctx: Context, spot: Spot) -> InstanceDefinition:
    instance = InstanceDefinition(spot.name, **INSTANCE.read(ctx, spot))
    taken = [str(port) for port in instance.publish if port.outside is not None]
    if taken and instance.count > 1:
        ctx.add(
            spot.at("publish"),
            f"{', '.join(taken)} can't be published for {instance.count} instances:"
            " leave the outside numbers out",
        )
    longest = f"{instance.name}-{instance.count}"
    if instance.count > 1 and len(longest) > 63:
        told = f"{longest!r:.40}... has {len(longest)} characters, at most 63"
        ctx.add(spot.at("count"), f"the name {told} are possible")
    return instance


def _name(noun: Noun) -> Any:
    return lambda name: names.check_name(noun, name)


PROVISIONERS = section(
    _name(Noun.PROVISIONER),
    _read_provisioner,
    {"$ref": "#/$defs/provisioners"},
    names=_WORD,
)
INSTANCES = section(
    _name(Noun.INSTANCE),
    _read_instance,
    {"$ref": "#/$defs/instances"},
    most=50_000,
    names=_WORD,
)
