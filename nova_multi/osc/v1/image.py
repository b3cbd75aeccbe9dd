# SPDX-License-Identifier: Apache-2.0
"""Images."""

from __future__ import annotations

from nova_multi.osc import base
from nova_multi.osc.options import Field, content

_PERMISSIONS = Field("permissions", "Such as rwxr-x---; public unless given")
_WORDS = (
    Field("os", "Operating system, such as debian"),
    Field("variant", "Such as server"),
    Field("version", "Such as 12"),
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
            required=True,
        ),
        *_WORDS,
        Field("recipe", "Dockerfile or the like", metavar="<file>", kind=content),
        Field("key", "Public key to put in", metavar="<file>", kind=content),
        Field("preseed-url", "Answers for an installation", metavar="<url>"),
        Field("download-url", "Where it is fetched from", metavar="<url>"),
        Field("container-resource", "Where a container's image is", metavar="<url>"),
    )
    set_fields = (Field("name", "New name of the image"), *_WORDS)


class CreateImage(_Noun, base.Create):
    """Create an image."""

    optional_name = True


class ListImage(_Noun, base.List):
    """List images."""


class ShowImage(_Noun, base.Show):
    """Show an image."""


class SetImage(_Noun, base.Set):
    """Change an image."""


class DeleteImage(_Noun, base.Delete):
    """Delete images."""
