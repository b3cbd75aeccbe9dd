# SPDX-License-Identifier: Apache-2.0
"""What the tools share: one error, and one way in which programs are run."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class ToolError(Exception):
    """A tool can't do its work; the text says why and what to do."""


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program and return its output.

    :raises ToolError: it is missing or failed; with its last lines
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolError(
            f"{words[0]} is missing; tools/README.md lists what the tools need"
        ) from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise ToolError(
            f"{words[0]} failed with status {done.returncode}:\n  " + "\n  ".join(lines)
        )
    return done.stdout
