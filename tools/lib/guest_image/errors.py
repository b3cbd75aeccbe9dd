# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, and the one way in which programs are run."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class BuildError(Exception):
    """An image can't be built; the text says why and what to do."""


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program and return its output.

    :raises BuildError: it is missing or failed; with its last lines
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
        raise BuildError(
            f"{words[0]} is missing; install mmdebstrap, squashfs-tools, "
            "qemu-utils and e2fsprogs"
        ) from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise BuildError(
            f"{words[0]} failed with status {done.returncode}:\n  " + "\n  ".join(lines)
        )
    return done.stdout
