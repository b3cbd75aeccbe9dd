# SPDX-License-Identifier: Apache-2.0
"""Commands that are run inside of an image while it is made.

They see the image and nothing else: no network, no processes, no devices of the
builder's machine, none of the rights with which a root could get out.
"""

from __future__ import annotations

from pathlib import Path

from nova_multi.domain.recipe import Recipe
from nova_multi.exception import BuildError
from nova_multi.image_build.programs import run

#: What installing and configuring needs; neither mounts, devices nor modules.
_CAPABILITIES = (
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "setfcap",
    "setgid",
    "setuid",
)
_DEVICES = ("full", "null", "random", "urandom", "zero")

_SETUP = """\
set -eu
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o nosuid,noexec,mode=0755 tmpfs "$root/dev"
for device in $devices; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
hostname localhost
exec chroot "$root" setpriv --bounding-set="$rights" --inh-caps="$rights" \\
    --no-new-privs env -i "$@"
"""


def run_inside(recipe: Recipe, root: Path, command: str) -> str:
    """Run one command of a shell in the image; returns its output.

    :raises BuildError: it failed; with its last lines
    """
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "SOURCE_DATE_EPOCH": str(recipe.epoch),
        **recipe.variables,
    }
    rights = ",".join(("-all", *(f"+{name}" for name in _CAPABILITIES)))
    words = [f"{name}={value}" for name, value in environment.items()]
    try:
        return run(
            [
                "unshare",
                *("--mount", "--net", "--pid", "--ipc", "--uts"),
                *("--fork", "--kill-child", "--propagation=private"),
                *("sh", "-c", _SETUP, "sh"),
                *words,
                *("sh", "-eu", "-c", command),
            ],
            cwd=root,
            environment={
                "root": str(root),
                "devices": " ".join(_DEVICES),
                "rights": rights,
            },
        )
    except BuildError as error:
        first = command.strip().splitlines()[0][:80]
        raise BuildError(f"the command {first!r} of the recipe: {error}") from error
