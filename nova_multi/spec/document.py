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
from nova_multi.domain.image import ImageType
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
            "type",
            kinds.word(ImageType.parse, ImageType),
            "What the URL gives.",
        ),
        Field(
            "checksum",
            kinds.text("sha256:[0-9a-f]{64}", "sha256: and 64 hexadecimal digits"),
            "Of what the URL gives: sha256: and 64 hexadecimal digits.",
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
    if ("source" in given) == ("download_url" in given):
        ctx.add(spot, "an image needs either a source or a download_url")
    elif "source" in given:
        for field in ("type", "checksum"):
            if field in given:
                ctx.add(spot.at(field), f"{field} needs a download_url")
    elif "type" not in given:
        ctx.add(spot, "an image with a download_url needs a type", "missing_field")
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
