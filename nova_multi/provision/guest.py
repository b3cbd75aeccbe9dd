# SPDX-License-Identifier: Apache-2.0
"""User-data of an instance: its provisioner's script in a wrapper that reports.

The wrapper (``guest/report.sh``) is POSIX sh and prints marked lines on the console,
which :mod:`nova_multi.provision.console` reads. With it go the commands with which a
script reports (``guest/commands.sh``), and, as far as there is room, a library that
makes it run on several families of systems (``guest/lib*.sh``).
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import gzip
import hashlib
import importlib.resources
import re
import secrets
import shlex
import textwrap
from collections.abc import Mapping, Sequence

from nova_multi.domain.errors import Invalid, Unsupported
from nova_multi.domain.provisioner import Provisioner, Ways, check_variables

#: Nova's limit of user-data, in characters of base64.
MAX_ENCODED = 65535
#: Characters that a guest fetches at most, as :func:`encoded` writes them.
MAX_PAYLOAD = 1024 * 1024
#: Seconds that a script may take where nobody says otherwise.
DEFAULT_TIMEOUT = 14400
_SHEBANG = "#!"
_NO_WAYS = Ways()
_LIBRARY = ("lib.sh", "lib_service.sh", "lib_system.sh")
#: Its part for Puppet and Ansible, of no use to most scripts.
_APPLY = "lib_apply.sh"
_AS_IT_IS = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\=')
#: Commands of the library that do all of an executor's work.
_APPLIERS = re.compile(r"(?:^|[\s;&|(])(manifest|playbook)(?=\s|$)", re.MULTILINE)
#: What scripts have in them that may call these, also from what they clone.
_MAY_APPLY = re.compile(r"\b(?:manifest|playbook|git clone)\b")
#: In scripts that are nothing without the library.
_NEEDS_LIBRARY = (
    '[ -n "${NOVA_MULTI_LIB:-}" ] || {'
    " echo 'the helper library is not in this guest' >&2; exit 127; }"
)
#: Names of the script's variables.
_NAMES = "NOVA_MULTI_VARIABLES"
_LEFT_OUT = (
    "nm_say log '[the helper library is left out: with the script it is too large"
    " for user-data]'"
)


def new_nonce() -> str:
    """What marks the lines of one instance's boot; nobody can guess it."""
    return secrets.token_hex(8)


def script_of(provisioner: Provisioner) -> str:
    """The script that a provisioner comes down to."""
    if provisioner.builder:
        return _clone(provisioner)
    if provisioner.executor:
        return _given_to(provisioner.executor, provisioner.script)
    return provisioner.script


def room_of(value: str) -> int:
    """Bytes that a text takes within a variable, which is quoted."""
    return len(value.encode()) + 4 * value.count("'")


@dataclasses.dataclass(frozen=True, slots=True)
class Composed:
    """What runs a script in a guest.

    :ivar user_data: as Nova takes it, not encoded yet.
    :ivar payload: what the guest fetches besides, as :func:`encoded` writes it; empty
        for nothing.
    :ivar secret: whether that is to be handed out only once.
    """

    user_data: bytes = dataclasses.field(repr=False)
    payload: str = dataclasses.field(default="", repr=False)
    secret: bool = False


def user_data(
    script: str,
    variables: Mapping[str, str],
    nonce: str,
    timeout: int = DEFAULT_TIMEOUT,
) -> bytes:
    """User-data that runs a script and reports how it goes, with all that it takes.

    :raises Invalid: as for :func:`compose`.
    """
    return compose(script, variables, nonce, timeout).user_data


def check(
    script: str,
    variables: Mapping[str, str],
    ways: Ways,
    secrets: Mapping[str, str] | None = None,
) -> None:
    """See that a script can come to a guest with its variables.

    :raises Invalid: as for :func:`compose`.
    :raises Unsupported: as for :func:`compose`.
    """
    compose(script, variables, new_nonce(), secrets=secrets, ways=ways)


def compose(
    script: str,
    variables: Mapping[str, str],
    nonce: str,
    timeout: int = DEFAULT_TIMEOUT,
    *,
    secrets: Mapping[str, str] | None = None,
    ways: Ways = _NO_WAYS,
) -> Composed:
    """What runs a script and reports how it goes.

    User-data has all of it, if there is room and nothing is secret. Else the guest
    fetches secrets, and what there is no room for, from the metadata address.

    :param script: text; one without ``#!`` is run by /bin/sh.
    :param variables: for the script, as environment variables.
    :param timeout: seconds after which the guest ends the script.
    :param secrets: further variables, which go before the others.
    :param ways: how anything may come to a guest here.
    :raises Invalid: it is no text, or too large.
    :raises Unsupported: there are secrets, and no way for them.
    """
    if "\0" in script:
        raise Invalid("the script has a NUL character: it must be text", field="script")
    secrets = dict(secrets or {})
    check_variables({**variables, **secrets})
    variables = {name: each for name, each in variables.items() if name not in secrets}
    if secrets and not ways.metadata:
        if not ways.secrets_in_user_data:
            raise Unsupported(
                f"{', '.join(sorted(secrets))}: secrets come to guests through Nova's"
                " dynamic vendordata, which is not set up here; the operator may set it"
                " up, or allow them in user-data",
                field="variables",
                code="no_way_for_secrets",
            )
        variables, secrets = {**variables, **secrets}, {}
    more = bool(_MAY_APPLY.search(script))
    if more:
        variables[_NAMES] = " ".join(sorted({*variables, *secrets}))
    if not script.startswith(_SHEBANG):
        script = f"#!/bin/sh\n{script}"
    script_lines = _lines_of_script(script, nonce)
    told = _exports(variables)
    fetch = _stripped("fetch.sh") if secrets else ""
    # The library as it is needs nothing of the guest; packed it needs two programs.
    libraries = [_plain_library(more), _packed_library(more), _LEFT_OUT]
    if ways.metadata or _NEEDS_LIBRARY in script:
        # There is a better way than leaving it out, or none.
        libraries.pop()
    size = 0
    for library in libraries:
        data = _filled(fetch, library, script_lines, told, nonce, timeout)
        size = (len(data) + 2) // 3 * 4
        if size <= MAX_ENCODED:
            payload = encoded(_payload([], secrets, nonce)) if secrets else ""
            return Composed(data, _limited(payload), bool(secrets))
    if not ways.metadata:
        raise Invalid(
            f"the script with its variables takes {size} characters as user-data;"
            f" Nova takes {MAX_ENCODED}",
            field="script",
            code="user_data_too_large",
        )
    data = _filled(_stripped("fetch.sh"), "", "", "", nonce, timeout)
    parts = [_words(_plain_library(more), nonce, timeout), script_lines]
    text = _payload(parts, {**variables, **secrets}, nonce)
    return Composed(data, _limited(encoded(text)), bool(secrets))


def encoded(text: str) -> str:
    """A text in characters that JSON, ``sed`` and a shell leave as they are.

    Any other byte is ``=`` and three octal digits, so that a guest needs nothing but
    ``sed`` and ``printf`` to have it back.
    """
    return "".join(
        chr(byte) if byte in _AS_IT_IS else f"={byte:03o}" for byte in text.encode()
    )


def _limited(payload: str) -> str:
    if len(payload) > MAX_PAYLOAD:
        raise Invalid(
            f"the script with its variables takes {len(payload)} characters on its way"
            f" to the guest; {MAX_PAYLOAD} are the most",
            field="script",
            code="user_data_too_large",
        )
    return payload


def _payload(parts: Sequence[str], variables: Mapping[str, str], nonce: str) -> str:
    """What the guest runs once it has fetched it, as a part of the wrapper.

    Its first line tells a guest that it is meant for this boot.
    """
    lines = [f"# {_mark(nonce)}", *filter(None, parts)]
    if variables:
        lines.append(_here("variables", _exports(variables), nonce))
    return "\n".join([*lines, "nm_whole=yes", ""])


def _exports(variables: Mapping[str, str]) -> str:
    return "\n".join(
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(variables.items())
    )


def _lines_of_script(script: str, nonce: str) -> str:
    return _here("script", script.rstrip("\n"), nonce)


def _here(name: str, text: str, nonce: str) -> str:
    """Lines that write a file into the wrapper's own folder."""
    begin = f"(umask 077 && cat > \"$nm_dir/{name}\") <<'{nonce}-END'"
    return f"{begin}\n{text}\n{nonce}-END"


def _words(text: str, nonce: str, timeout: int) -> str:
    """Lines of ours with what is known only now."""
    for word, value in (
        ("%NONCE%", nonce),
        ("%MARK%", _mark(nonce)),
        ("%TIMEOUT%", str(timeout)),
    ):
        text = text.replace(word, value)
    return text


@functools.lru_cache(maxsize=64)
def _mark(nonce: str) -> str:
    # From it nobody comes to the nonce.
    return hashlib.sha256(nonce.encode()).hexdigest()[:16]


def _filled(
    fetch: str, library: str, script: str, variables: str, nonce: str, timeout: int
) -> bytes:
    """The wrapper with what belongs into it."""
    parts = {
        "%FETCH%": _words(fetch, nonce, timeout),
        "%COMMANDS%": _words(_stripped("commands.sh"), nonce, timeout),
        "%LIBRARY%": _words(library, nonce, timeout),
        # What stands in a script and in variables is left as it is.
        "%SCRIPT%": script,
        "%VARIABLES%": variables,
    }
    lines = []
    for line in _stripped("report.sh").split("\n"):
        if line in parts:
            lines += [parts[line]] if parts[line] else []
        else:
            lines.append(_words(line, nonce, timeout))
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
def _library(more: bool) -> str:
    """The library, which is several files here and one in the guest.

    :param more: with its part for Puppet and Ansible.
    """
    names = [*_LIBRARY, _APPLY] if more else _LIBRARY
    first, *others = map(_stripped, names)
    return "\n".join([first, *(each.removeprefix("#!/bin/sh\n") for each in others)])


@functools.cache
def _plain_library(more: bool) -> str:
    return "\n".join(
        [
            "cat > \"$nm_dir/lib.sh\" <<'%NONCE%-END'",
            _library(more),
            "%NONCE%-END",
        ]
    )


@functools.cache
def _packed_library(more: bool) -> str:
    packed = gzip.compress(_library(more).encode(), mtime=0)
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


def _given_to(executor: str, script: str) -> str:
    """A script that gives another text, which is in a file, to a command."""
    # No line of the text ends it before its end.
    end = hashlib.sha256(script.encode()).hexdigest()[:16]
    return "\n".join(
        [
            "#!/bin/sh",
            *_library_check(executor),
            # The wrapper's own folder, which nobody else sees and which it removes.
            "given=${0%/*}/given",
            f"(umask 077 && cat > \"$given\") <<'{end}' || exit",
            script.rstrip("\n"),
            end,
            f'{executor} "$given"',
        ]
    )


def _library_check(executor: str) -> list[str]:
    return [_NEEDS_LIBRARY] if _APPLIERS.search(executor) else []


def _clone(provisioner: Provisioner) -> str:
    """A script that clones the builder's repository and runs the executor in it."""
    ref = shlex.quote(provisioner.ref) if provisioner.ref else ""
    return "\n".join(
        [
            "#!/bin/sh",
            "set -e",
            *_library_check(provisioner.executor),
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
