# SPDX-License-Identifier: Apache-2.0
"""User-data of an instance: its provisioner's script in a wrapper that reports.

The wrapper (``guest/report.sh``) is POSIX sh and prints marked lines on the console,
which :mod:`nova_multi.provision.console` reads. With it go the commands with which a
script reports (``guest/commands.sh``), and, as far as there is room, a library that
makes it run on several families of systems (``guest/lib*.sh``).
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import importlib.resources
import secrets
import shlex
import textwrap
from collections.abc import Mapping

from nova_multi.domain.errors import Invalid
from nova_multi.domain.provisioner import Provisioner, check_variables

#: Nova's limit of user-data, in characters of base64.
MAX_ENCODED = 65535
#: Seconds that a script may take where nobody says otherwise.
DEFAULT_TIMEOUT = 14400
_SHEBANG = "#!"
_LEFT_OUT = (
    "nm_say log '[the helper library is left out: with the script it is too large"
    " for user-data]'"
)


def new_nonce() -> str:
    """What marks the lines of one instance's boot; nobody can guess it."""
    return secrets.token_hex(8)


def script_of(provisioner: Provisioner) -> str:
    """The script that a provisioner comes down to."""
    if provisioner.script:
        return provisioner.script
    return _clone(provisioner)


def room_of(value: str) -> int:
    """Bytes that a text takes within a variable, which is quoted."""
    return len(value.encode()) + 4 * value.count("'")


def user_data(
    script: str,
    variables: Mapping[str, str],
    nonce: str,
    timeout: int = DEFAULT_TIMEOUT,
) -> bytes:
    """User-data that runs a script and reports how it goes.

    :param script: text; one without ``#!`` is run by /bin/sh.
    :param variables: for the script, as environment variables.
    :param timeout: seconds after which the guest ends the script.
    :raises Invalid: it is no text, or too large for Nova.
    """
    if "\0" in script:
        raise Invalid("the script has a NUL character: it must be text", field="script")
    check_variables(variables)
    if not script.startswith(_SHEBANG):
        script = f"#!/bin/sh\n{script}"
    exports = "\n".join(
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(variables.items())
    )
    encoded = 0
    # The library as it is needs nothing of the guest; packed it needs two programs.
    for library in (_plain_library(), _packed_library(), _LEFT_OUT):
        data = _filled(
            {
                "%SCRIPT%": script.rstrip("\n"),
                "%VARIABLES%": exports,
                "%COMMANDS%": _stripped("commands.sh"),
                "%LIBRARY%": library,
            },
            {
                "%NONCE%": nonce,
                # From it nobody comes to the nonce.
                "%MARK%": hashlib.sha256(nonce.encode()).hexdigest()[:16],
                "%TIMEOUT%": str(timeout),
            },
        )
        encoded = (len(data) + 2) // 3 * 4
        if encoded <= MAX_ENCODED:
            return data
    raise Invalid(
        f"the script with its variables takes {encoded} characters as user-data;"
        f" Nova takes {MAX_ENCODED}",
        field="script",
        code="user_data_too_large",
    )


def _filled(parts: Mapping[str, str], words: Mapping[str, str]) -> bytes:
    """The wrapper with what belongs into it.

    :param parts: for lines; what stands in a script is left as it is.
    :param words: for places within lines of ours.
    """
    lines = []
    for line in _stripped("report.sh").split("\n"):
        text = parts.get(line, line)
        if line not in ("%SCRIPT%", "%VARIABLES%"):
            for word, value in words.items():
                text = text.replace(word, value)
        lines.append(text)
    return "\n".join([*lines, ""]).encode()


@functools.cache
def _stripped(name: str) -> str:
    """A file for guests without comments, indentation and empty lines."""
    source = importlib.resources.files("nova_multi.guest") / name
    lines = [line.strip() for line in source.read_text().splitlines()]
    kept = (
        line
        for line in lines
        if line and (not line.startswith("#") or line.startswith(_SHEBANG))
    )
    return "\n".join(kept)


@functools.cache
def _library() -> str:
    """The library, which is several files here and one in the guest."""
    first, *others = map(_stripped, ("lib.sh", "lib_service.sh", "lib_system.sh"))
    return "\n".join([first, *(each.removeprefix("#!/bin/sh\n") for each in others)])


@functools.cache
def _plain_library() -> str:
    return "\n".join(
        [
            "cat > \"$nm_dir/lib.sh\" <<'%NONCE%-END'",
            _library(),
            "%NONCE%-END",
        ]
    )


@functools.cache
def _packed_library() -> str:
    packed = gzip.compress(_library().encode(), mtime=0)
    text = base64.b64encode(packed).decode()
    return "\n".join(
        [
            '{ base64 -d | gzip -d > "$nm_dir/lib.sh"; } 2> /dev/null'
            " <<'%NONCE%-END' || {",
            *textwrap.wrap(text, 1000),
            "%NONCE%-END",
            'rm -f "$nm_dir/lib.sh"',
            "nm_say log '[the helper library is left out: unpacking it takes base64 and"
            " gzip]'",
            "}",
        ]
    )


def _clone(provisioner: Provisioner) -> str:
    """A script that clones the builder's repository and runs the executor in it."""
    ref = shlex.quote(provisioner.ref) if provisioner.ref else ""
    return "\n".join(
        [
            "#!/bin/sh",
            "set -e",
            "command -v git >/dev/null || {"
            " echo 'git is missing in this image: a builder needs it' >&2; exit 127; }",
            # Not the URL, which may have a password in it.
            "phase clone",
            "here=$(mktemp -d)",
            f'git clone -q -- {shlex.quote(provisioner.builder)} "$here/builder"',
            'cd "$here/builder"',
            f"git checkout -q {ref}" if ref else ":",
            "phase run",
            provisioner.executor,
        ]
    )
