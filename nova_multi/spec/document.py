# SPDX-License-Identifier: Apache-2.0
"""The whole file, and its smaller sections."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from typing import Any

from nova_multi.domain import names
from nova_multi.domain.definition import ImageDefinition, NetworkDefinition
from nova_multi.domain.errors import Invalid
from nova_multi.domain.image import (
    ImageType,
    canonical_architecture,
    check_property,
)
from nova_multi.domain.names import Kind as Noun
from nova_multi.domain.ranges import span_problem
from nova_multi.spec import hours, kinds, templates
from nova_multi.spec.context import Context, Wrong
from nova_multi.spec.inputs import INPUTS
from nova_multi.spec.kinds import Kind
from nova_multi.spec.machines import INSTANCES, PROVISIONERS
from nova_multi.spec.problems import shown
from nova_multi.spec.table import Field, Table, mapping, section
from nova_multi.spec.tree import Node, Spot

_NETWORK_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_IMAGE_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?"

#: Where an image may come from; one of these.
_SOURCES = ("source", "download_url", "file", "instance")
_PROPERTY = kinds.text(r"[^\x00-\x1f\x7f]*", "one line of text")

NETWORK = Table(
    "a network",
    (
        Field(
            "cidr",
            kinds.text("[0-9a-fA-F.:/]*", "a range of addresses", check=kinds.cidr),
            "Its addresses, such as 10.0.0.0/24; the service chooses if left out.",
        ),
        Field(
            "dhcp",
            kinds.text("[0-9.-]*", "a first and a last address", check=kinds.span),
            "The addresses of it that guests get: FIRST-LAST; all of them if left out.",
        ),
        Field(
            "dns",
            kinds.list_of(
                kinds.text("[0-9a-fA-F.:]*", "an IP address", check=kinds.address),
                most=5,
            ),
            "Addresses of name servers.",
        ),
        Field("routed", kinds.FLAG, "Whether the environment's router is on it."),
    ),
)

IMAGE = Table(
    "an image",
    (
        Field(
            "source",
            kinds.name_or_id("an image"),
            "An image that the service knows, for which this is another name.",
        ),
        Field(
            "download_url",
            kinds.text("[!-~]+", "a URL", longest=2048, least=1),
            "Where it is fetched from; the service decides whether it goes there.",
        ),
        Field(
            "file",
            kinds.name_or_id("a file"),
            "A file that the service keeps, of which it is made.",
        ),
        Field(
            "instance",
            kinds.name_or_id("an instance"),
            "An instance of the file, of which it is made once that stands.",
        ),
        Field(
            "type",
            kinds.word(ImageType.parse, ImageType),
            "What the URL gives, or the file is.",
        ),
        Field(
            "checksum",
            kinds.text("sha256:[0-9a-f]{64}", "sha256: and 64 hexadecimal digits"),
            "Of that: sha256: and 64 hexadecimal digits.",
        ),
        Field("os", kinds.LINE, "Distribution, such as debian."),
        Field("version", kinds.LINE, "Of the distribution, such as 12."),
        Field(
            "architecture",
            kinds.text(
                "[A-Za-z0-9_]*", "an architecture", check=canonical_architecture
            ),
            "Such as x86_64 or aarch64.",
        ),
        Field(
            "properties",
            section(check_property, _PROPERTY.read, dict(_PROPERTY.schema), most=100),
            "Further properties in Glance, by name.",
        ),
    ),
)


def _read_network(ctx: Context, spot: Spot) -> NetworkDefinition:
    found = NetworkDefinition(spot.name, **NETWORK.read(ctx, spot))
    if found.cidr:
        # A netmask is another word for the length of a prefix.
        usual = str(ipaddress.ip_network(found.cidr))
        found = dataclasses.replace(found, cidr=usual)
    if found.dhcp and not found.cidr:
        if "cidr" not in mapping(spot):
            ctx.add(spot.at("dhcp"), "dhcp needs a cidr that its addresses are of")
    elif wrong := found.dhcp and span_problem(
        found.dhcp, found.cidr or "", routed=found.routed
    ):
        ctx.add(spot.at("dhcp"), wrong)
    return found


def _read_image(ctx: Context, spot: Spot) -> ImageDefinition:
    if isinstance(spot.value, str):
        source = kinds.name_or_id("an image").read(ctx, spot)
        return ImageDefinition(spot.name, source=source)
    found = IMAGE.read(ctx, spot)
    given = mapping(spot)
    sources = [field for field in _SOURCES if field in given]
    if len(sources) != 1:
        told = f"an image needs one of {', '.join(_SOURCES)}"
        ctx.add(spot.at(sources[1]) if sources else spot, told)
    elif sources[0] in ("source", "instance"):
        fields = ["type", "checksum"]
        # What is there has its own.
        if sources[0] == "source":
            fields += ["os", "version", "architecture", "properties"]
        for field in fields:
            if field in given:
                told = f"{field} needs a download_url or a file"
                if field not in ("type", "checksum"):
                    told += ", or an instance"
                ctx.add(spot.at(field), told)
    elif "type" not in given:
        told = f"an image with a {sources[0]} needs a type"
        ctx.add(spot, told, "missing_field")
    return ImageDefinition(spot.name, **found)


def _check_network_name(name: str) -> None:
    if not re.fullmatch(_NETWORK_NAME, name, re.ASCII) or names.is_id(name):
        raise Invalid(
            f"{shown(name)} is no name of a network: up to 63 letters, digits, '.', '_'"
            " and '-', with a letter or digit at both ends"
        )


def _check_output_name(name: str) -> None:
    if not re.fullmatch(templates.IDENTIFIER, name, re.ASCII):
        raise Invalid(
            f"{shown(name)} is no name of an output: up to 63 letters, digits, '_' and"
            " '-', the first no digit"
        )


def _name(noun: Noun) -> Kind:
    """The name of the file itself; it is never put together."""

    def read(ctx: Context, spot: Spot) -> str:
        if not isinstance(spot.value, str):
            raise Wrong(f"must be a text, not {shown(spot.value)}")
        return names.check_name(noun, spot.value)

    return Kind(read, {"type": "string", "minLength": 1, "maxLength": 63})


def _literal(kind: Kind) -> Kind:
    """A kind whose values never have inputs in them."""

    def read(ctx: Context, spot: Spot) -> Any:
        if isinstance(spot.value, str) and templates.has_references(spot.value):
            value = templates.write_text(spot.value)
            spot = Spot(Node(value, spot.node.place), spot.path)
        return kind.read(ctx, spot)

    return Kind(read, kind.schema["anyOf"][0])


FILE = Table(
    "the file",
    (
        Field("name", _name(Noun.ENVIRONMENT), "The environment's.", required=True),
        # All others may refer to them.
        Field("inputs", INPUTS, "What the file can be given."),
        Field(
            "partition",
            _literal(kinds.name_or_id("a partition")),
            "Where it is; the one that it is in already if left out.",
        ),
        Field("description", _literal(kinds.TEXT), "For people."),
        Field(
            "users",
            kinds.list_of(_literal(kinds.name_or_id("a user")), key="login"),
            "Who may use it; as they are if left out.",
        ),
        Field(
            "schedule",
            hours.FIELD,
            "When it stands; as it is if left out, and {} is always.",
        ),
        Field(
            "networks",
            section(
                _check_network_name,
                _read_network,
                {"$ref": "#/$defs/networks"},
                most=1000,
                names=f"^{_NETWORK_NAME}$",
            ),
            "Networks beside the environment's own.",
        ),
        Field(
            "images",
            section(
                lambda name: names.check_name(Noun.IMAGE, name),
                _read_image,
                {
                    "anyOf": [
                        {"type": "string", "minLength": 1, "maxLength": 255},
                        {"$ref": "#/$defs/images"},
                    ]
                },
                most=1000,
                names=f"^{_IMAGE_NAME}$",
            ),
            "Images by names of the file; a text is a source.",
        ),
        Field("provisioners", PROVISIONERS, "What becomes of an image."),
        Field("instances", INSTANCES, "What stands."),
        Field(
            "outputs",
            section(
                _check_output_name,
                kinds.template,
                kinds.VALUE_SCHEMA,
                most=1000,
                names=f"^{templates.IDENTIFIER}$",
            ),
            "What it tells once it stands; values may refer to others.",
        ),
    ),
)
