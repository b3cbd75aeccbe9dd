# SPDX-License-Identifier: Apache-2.0
"""``nova-multi``: the commands that need no service of ours.

Each command's libraries are loaded when it is called: images are also built where
nothing but Python is installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

PROG = "nova-multi"
COMMANDS = {
    "serve": "API and worker in one process, for one user of a cloud",
    "image": "build guest images, and bring them to a cloud",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Hand over to the command that is named."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] == "serve":
        from nova_multi.cmd import serve

        return serve.main(given)
    if given and given[0] == "image":
        from nova_multi.cmd import image

        return image.main(given[1:])
    lines = [f"  {name:<8}{told}" for name, told in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog=PROG,
        usage=f"{PROG} {{{','.join(COMMANDS)}}} ...",
        description="commands:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.parse_args(given)
    return 2


if __name__ == "__main__":
    sys.exit(main())
