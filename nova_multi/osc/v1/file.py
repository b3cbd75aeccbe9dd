# SPDX-License-Identifier: Apache-2.0
"""Files."""

from __future__ import annotations

import argparse
import base64
import contextlib
import pathlib
from typing import BinaryIO

from osc_lib.command import command

from nova_multi.osc import base
from nova_multi.osc.options import Field, existing, given

_FIELDS = (
    Field("folder-name", "Folder to be in", metavar="<folder>"),
    Field("permissions", "Such as rwxr-x---; public unless given"),
)


class _Noun(base.Noun):
    noun = "file"
    plural = "files"
    columns = ("uuid", "name", "folder_name", "size", "permissions")
    long_columns = ("checksum", "created", "modified")
    filters = ("name", "folder_name")
    scope_options = ("partition", "environment")


class CreateFile(_Noun, base.Scoped, command.ShowOne):
    """Send a file."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        self.add_scope(parser)
        parser.add_argument(
            "path", metavar="<path>", type=existing, help="File on this machine"
        )
        parser.add_argument(
            "--name", metavar="<name>", help="Its name there, if another one"
        )
        for field in _FIELDS:
            field.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Row:
        name = parsed_args.name or parsed_args.path.name
        with parsed_args.path.open("rb") as content:
            answer = self.client.files.upload(
                name, content, given(_FIELDS, parsed_args), **self.scope(parsed_args)
            )
        return base.one_row(answer)


class ListFile(_Noun, base.List):
    """List files."""


class ShowFile(_Noun, base.Show):
    """Show a file, not its content."""


class SaveFile(_Noun, base.Scoped):
    """Get the content of a file."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        self.add_scope(parser)
        parser.add_argument("name", metavar="<file>", help="Name or id of the file")
        parser.add_argument(
            "--file",
            metavar="<path>",
            required=True,
            help="Where to write it; one that is there is replaced",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        answer = self.client.files.content(parsed_args.name, **self.scope(parsed_args))
        target = pathlib.Path(parsed_args.file).expanduser()
        target.write_bytes(base64.b64decode(answer["content"]))


class SetFile(_Noun, base.Scoped):
    """Change a file, its content too."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        self.add_scope(parser)
        parser.add_argument("name", metavar="<file>", help="Name or id of the file")
        parser.add_argument(
            "--content", metavar="<path>", type=existing, help="New content"
        )
        Field("name", "New name of the file").add_to(parser)
        for field in _FIELDS:
            field.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        fields = given((Field("name", ""), *_FIELDS), parsed_args)
        with contextlib.ExitStack() as stack:
            content: BinaryIO | None = None
            if parsed_args.content:
                content = stack.enter_context(parsed_args.content.open("rb"))
            self.client.files.replace(
                parsed_args.name, content, fields, **self.scope(parsed_args)
            )


class DeleteFile(_Noun, base.Delete):
    """Delete files."""
