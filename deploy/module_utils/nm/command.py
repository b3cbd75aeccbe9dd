# SPDX-License-Identifier: Apache-2.0
"""Runs other programs, and says well what went wrong."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence


class CommandError(Exception):
    """A program failed; the message holds its last words."""


def run(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    timeout: float = 600,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    words: int = 20,
) -> str:
    """Run to the end and return standard output.

    :param timeout: seconds.
    :param environment: added to the present one.
    :param stdin: what it reads; secrets go this way, never as arguments.
    :param words: so many last lines of its output the error tells.
    :raises CommandError: it is not there, exits with an error, or takes too long.
    """
    line = [os.fspath(argument) for argument in arguments]
    shown = shlex.join(line)
    try:
        done = subprocess.run(
            line,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{shown}: took longer than {timeout:g} s") from error
    except OSError as error:
        raise CommandError(f"{shown}: {error.strerror}") from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-words:]
        lines = "\n".join(f"    {word}" for word in said)
        raise CommandError(f"{shown}: exit {done.returncode}\n{lines}")
    return done.stdout
