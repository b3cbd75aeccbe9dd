# SPDX-License-Identifier: Apache-2.0
"""User-data of an instance: its provisioner's script in a wrapper that reports.

The wrapper (``guest/report.sh``) is POSIX sh and prints marked lines on the console,
which :mod:`nova_multi.provision.console` reads.
"""

from __future__ import annotations

import functools
import importlib.resources
import secrets
import shlex
from collections.abc import Mapping

from nova_multi.domain.errors import Invalid
from nova_multi.domain.provisioner import Provisioner, check_variables

#: Nova's limit of user-data, in characters of base64.
MAX_ENCODED = 65535
_SHEBANG = "#!"


def new_nonce() -> str:
    """What marks the lines of one instance's boot; nobody can guess it."""
    return secrets.token_hex(8)


def script_of(provisioner: Provisioner) -> str:
    """The script that a provisioner comes down to."""
    if provisioner.script:
        return provisioner.script
    return _clone(provisioner)


def user_data(script: str, variables: Mapping[str, str], nonce: str) -> bytes:
    """User-data that runs a script and reports how it goes.

    :param script: text; one without ``#!`` is run by /bin/sh.
    :param variables: for the script, as environment variables.
    :raises Invalid: it is no text, or too large for Nova.
    """
    if "\0" in script:
        raise Invalid("the script has a NUL character: it must be text", field="script")
    check_variables(variables)
    if not script.startswith(_SHEBANG):
        script = f"#!/bin/sh\n{script}"
    exports = "\n".join(
        f"        export {name}={shlex.quote(value)}"
        for name, value in sorted(variables.items())
    )
    parts = {"%SCRIPT%": script.rstrip("\n"), "%VARIABLES%": exports}
    lines = []
    for line in _wrapper().split("\n"):
        # Whole lines only, and each once: what stands in a script is left as it is.
        lines.append(parts[line] if line in parts else line.replace("%NONCE%", nonce))
    data = "\n".join(lines).encode()
    encoded = (len(data) + 2) // 3 * 4
    if encoded > MAX_ENCODED:
        raise Invalid(
            f"the script with its variables takes {encoded} characters as user-data;"
            f" Nova takes {MAX_ENCODED}",
            field="script",
            code="user_data_too_large",
        )
    return data


@functools.cache
def _wrapper() -> str:
    return (importlib.resources.files("nova_multi.guest") / "report.sh").read_text()


def _clone(provisioner: Provisioner) -> str:
    """A script that clones the builder's repository and runs the executor in it."""
    ref = shlex.quote(provisioner.ref) if provisioner.ref else ""
    return "\n".join(
        [
            "#!/bin/sh",
            "set -e",
            "command -v git >/dev/null || {"
            " echo 'git is missing in this image: a builder needs it' >&2; exit 127; }",
            "here=$(mktemp -d)",
            f'git clone -q -- {shlex.quote(provisioner.builder)} "$here/builder"',
            'cd "$here/builder"',
            f"git checkout -q {ref}" if ref else ":",
            provisioner.executor,
        ]
    )
