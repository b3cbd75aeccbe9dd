# SPDX-License-Identifier: Apache-2.0
"""Files that a file of an environment names: for the command line."""

from __future__ import annotations

import os
import pathlib
import stat
from collections.abc import Callable, Iterable

from nova_multi.domain.errors import Invalid
from nova_multi.spec.context import ReadFile
from nova_multi.spec.kinds import MAX_CONTENT
from nova_multi.spec.problems import shown


def folder_reader(
    folder: str | os.PathLike[str], also: Iterable[str | os.PathLike[str]] = ()
) -> ReadFile:
    """Reads files below a folder, and nothing else.

    Files of environments are passed from hand to hand, and what they name is sent to a
    service: one that names ``../.ssh/id_rsa`` must not get it.

    :param folder: which the file is in; its paths are relative to it.
    :param also: further folders that the user named; what is below them may be named,
        too, also by way of symbolic links or an absolute path.
    """
    find = folder_finder(folder, also)

    def read(path: str) -> str:
        return _content(find(path), path)

    return read


def folder_finder(
    folder: str | os.PathLike[str], also: Iterable[str | os.PathLike[str]] = ()
) -> Callable[[str], pathlib.Path]:
    """Finds files and folders below a folder, and nothing else.

    What it gives has no links in it, and need not exist. Raises Invalid for what is
    elsewhere.

    :param folder: as for :func:`folder_reader`.
    :param also: as for :func:`folder_reader`.
    """
    base = pathlib.Path(folder).resolve()
    allowed = [base, *(pathlib.Path(each).resolve() for each in also)]

    def find(path: str) -> pathlib.Path:
        try:
            found = (base / path).resolve()
        except RuntimeError as error:
            raise Invalid(f"{shown(path)} leads in a circle of links") from error
        if not any(found.is_relative_to(each) for each in allowed):
            raise Invalid(
                f"{shown(path)} is outside of the file's folder; that folder must be"
                " named on the command line, too"
            )
        return found

    return find


def _content(found: pathlib.Path, path: str) -> str:
    def opener(name: str, flags: int) -> int:
        # A pipe would be waited for.
        return os.open(name, flags | os.O_NONBLOCK)

    with open(found, "rb", opener=opener) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise Invalid(f"{shown(path)} is no file")
        # Characters have up to four bytes.
        content = opened.read(4 * MAX_CONTENT + 1)
    if len(content) > 4 * MAX_CONTENT:
        raise Invalid(f"{shown(path)} has over {MAX_CONTENT} characters")
    return content.decode()
