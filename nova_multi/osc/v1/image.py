# SPDX-License-Identifier: Apache-2.0
"""Images."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_multi.osc import base
from nova_multi.osc.options import Field, content, existing

_PERMISSIONS = Field("permissions", "Such as rwxr-x---; public unless given")
_WORDS = (
    Field("os-name", "Operating system, such as debian", name="os"),
    Field("variant", "Such as server"),
    Field("os-version", "Such as 12", name="version"),
    Field("architecture", "Such as amd64"),
    Field("timezone", "Such as America/Bogota"),
    _PERMISSIONS,
)


class _Noun(base.Noun):
    noun = "image"
    plural = "images"
    columns = ("uuid", "name", "type", "status", "size")
    long_columns = ("os", "variant", "version", "architecture", "permissions")
    filters = ("name", "type", "os", "variant", "version", "architecture", "status")
    scope_options = ("partition", "environment")
    create_fields = (
        Field(
            "type",
            "What it is, or is made from",
            choices=("iso", "docker-container", "lxc-container", "lxd", "disk"),
        ),
        *_WORDS,
        Field("recipe", "Dockerfile or the like", metavar="<file>", kind=content),
        Field("key", "Public key to put in", metavar="<file>", kind=content),
        Field(
            "preseed-url",
            "Answers with which an installer (--type iso) installs a system",
            metavar="<url>",
        ),
        Field(
            "url",
            "Where it is fetched from (also --download-url)",
            name="download_url",
            metavar="<url>",
        ),
        Field("download-url", argparse.SUPPRESS, metavar="<url>"),
        Field(
            "from-instance",
            "Instance (name or id) whose disk it is made of",
            name="instance",
            metavar="<instance>",
        ),
        Field(
            "checksum",
            "sha256:... or sha512:... of what is sent or fetched",
            metavar="<checksum>",
        ),
        Field("container-resource", "Where a container's image is", metavar="<url>"),
    )
    set_fields = (Field("name", "New name of the image"), *_WORDS)


class CreateImage(_Noun, base.Create):
    """Create an image: of a file, from a URL, of an instance, or by installing.

    Without any of these one is taken up that is there already.
    """

    optional_name = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Options of the command."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--file", metavar="<path>", type=existing, help="File on this machine"
        )
        return parser

    def send(
        self, fields: Mapping[str, Any], scope: Mapping[str, str], parsed_args: Any
    ) -> Any:
        """Send it with its content, if there is any."""
        if parsed_args.file is None:
            return super().send(fields, scope, parsed_args)
        with parsed_args.file.open("rb") as source:
            return self.client.images.upload(source, fields, **scope)


class ListImage(_Noun, base.List):
    """List images."""


class ShowImage(_Noun, base.Show):
    """Show an image."""


class SetImage(_Noun, base.Set):
    """Change an image."""


class DeleteImage(_Noun, base.Delete):
    """Delete images."""
