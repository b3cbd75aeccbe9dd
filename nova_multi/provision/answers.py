# SPDX-License-Identifier: Apache-2.0
"""Answer files of unattended installations: preseed, kickstart, autoinstall.

What the user wrote is kept; time zone, public key, the end (switching off) and a marked
line on the console, which tells that the installer came to its end, are ours. Nothing
of a key or a time zone is ever part of a command: they are checked, and travel as data.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import importlib.resources
import json
import re
import zoneinfo
from collections.abc import Iterable, Mapping
from typing import Any

from nova_multi import spec
from nova_multi.domain.errors import Invalid

#: Bytes of an answer file.
MAX_SIZE = 1024**2
#: Public keys of one image.
_MAX_KEYS = 16
#: Nova's limit of user-data in its encoding.
_MAX_USER_DATA = 65_535
#: Glance's limit of a property's value.
_MAX_COMMAND_LINE = 255

_KEY = re.compile(
    r"(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" [A-Za-z0-9+/]{32,16000}={0,3}(?: [A-Za-z0-9@._+:-]{1,200})?",
    re.ASCII,
)
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,64}(?:/[A-Za-z0-9_+-]{1,64}){0,2}", re.ASCII)

_CONSOLE = "console=ttyS0,115200n8"
#: Types of debconf's questions.
_TYPES = frozenset(
    ("string", "boolean", "select", "multiselect", "note", "password", "text", "seen")
)
_LATE = re.compile(r"\s*d-i\s+preseed/late_command\s+string\s?(.*)", re.DOTALL)
_KICKSTART = re.compile(
    r"(?:%(?:packages|post|pre|include)\b|rootpw\b|clearpart\b|autopart\b|part\b"
    r"|ignoredisk\b|zerombr\b|bootloader\b|ostreesetup\b|url\b|lang\b)"
)
#: Commands of a kickstart file that are ours to give.
_ENDS = ("reboot", "poweroff", "shutdown", "halt", "graphical", "text", "cmdline")


class Style(enum.StrEnum):
    """Whose answers they are."""

    PRESEED = "preseed"
    KICKSTART = "kickstart"
    AUTOINSTALL = "autoinstall"


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """How an installer is told what to do.

    :ivar files: content and mode by path, for its initial RAM file system.
    :ivar command_line: of its kernel.
    :ivar user_data: for an installer that reads it, else None.
    """

    style: Style
    files: Mapping[str, tuple[bytes, int]]
    command_line: str
    user_data: bytes | None = None


def public_key(text: str) -> str:
    """Public keys, one a line, without what is around them.

    :raises Invalid: one is none, or has options before it.
    """
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    for line in keys:
        if not _KEY.fullmatch(line):
            raise Invalid(
                f"{line[:40]!r} is no public key of OpenSSH: type, base64 and perhaps a"
                " comment, without options",
                field="key",
            )
    if len(keys) > _MAX_KEYS:
        raise Invalid(f"there may be {_MAX_KEYS} keys", field="key")
    return "\n".join(keys)


def time_zone(text: str) -> str:
    """The name of a time zone.

    :raises Invalid: there is none of that name.
    """
    if not text:
        return ""
    known = zoneinfo.available_timezones()
    if not _ZONE.fullmatch(text) or (known and text not in known):
        raise Invalid(
            f"{text!r:.80} is no time zone such as America/Bogota", field="timezone"
        )
    return text


def _is_preseed(line: str) -> bool:
    """Whether it is debconf's: owner, question, type, and perhaps a value."""
    words = line.split(None, 3)
    return len(words) > 2 and "/" in words[1].strip("/") and words[2] in _TYPES


def style_of(text: str) -> Style:
    """Whose answers a text holds.

    :raises Invalid: nobody's that is known.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if any(line.rstrip() == "autoinstall:" for line in lines):
        return Style.AUTOINSTALL
    told = [line for line in lines if not line.lstrip().startswith("#")]
    if any(map(_is_preseed, told)):
        return Style.PRESEED
    if any(_KICKSTART.match(line) for line in told):
        return Style.KICKSTART
    raise Invalid(
        "the answers are neither a preseed file of Debian's installer, nor kickstart,"
        " nor autoinstall",
        field="preseed_url",
    )


def rendered(
    content: bytes, *, nonce: str, key: str = "", timezone: str = "", media: str = ""
) -> Answers:
    """Answers with what is ours.

    :param content: as they were fetched.
    :param nonce: marks the line that tells of the end.
    :param key: as :func:`public_key` gives it.
    :param media: URL of the installer, for those that fetch the rest of it.
    :raises Invalid: they can't be read, or there is no room for what they come to.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Invalid("the answers are not UTF-8", field="preseed_url") from error
    if "\0" in text:
        raise Invalid("the answers hold a NUL character", field="preseed_url")
    text = text.replace("\r\n", "\n")
    style = style_of(text)
    make = {
        Style.PRESEED: _preseed,
        Style.KICKSTART: _kickstart,
        Style.AUTOINSTALL: _autoinstall,
    }[style]
    found = make(text, nonce, key, timezone, media)
    if len(found.command_line) > _MAX_COMMAND_LINE:
        raise Invalid(
            f"the installer's kernel would get {len(found.command_line)} characters;"
            f" {_MAX_COMMAND_LINE} are possible: a shorter URL helps",
            field="download_url",
        )
    if found.user_data and len(base64.b64encode(found.user_data)) > _MAX_USER_DATA:
        raise Invalid(
            f"the answers come to {len(found.user_data)} bytes, which Nova's user-data"
            " has no room for",
            field="preseed_url",
        )
    return found


# -- Debian's installer


def _preseed(text: str, nonce: str, key: str, zone: str, media: str) -> Answers:
    late = ""
    kept = []
    for line in _joined(text):
        found = _LATE.fullmatch(line)
        if found:
            # As debconf does it: the last one counts.
            late = found[1].replace("\\\n", " ")
        else:
            kept.append(line)
    own = [
        "d-i preseed/late_command string sh /nova-multi/late",
        "d-i debian-installer/exit/halt boolean false",
        "d-i debian-installer/exit/poweroff boolean true",
        "d-i finish-install/reboot_in_progress note",
    ]
    if zone:
        own.append(f"d-i time/zone string {zone}")
    files = {
        "preseed.cfg": ("\n".join([*kept, *own, ""]).encode(), 0o600),
        "nova-multi/late": (_resource("late.sh", nonce), 0o700),
    }
    if late.strip():
        files["nova-multi/late-command"] = (f"{late}\n".encode(), 0o700)
    if key:
        files["nova-multi/authorized_keys"] = (f"{key}\n".encode(), 0o600)
    words = ["auto=true", "priority=critical", "DEBIAN_FRONTEND=text", _CONSOLE]
    return Answers(Style.PRESEED, files, " ".join(words))


def _joined(text: str) -> Iterable[str]:
    """Lines, those that go on behind a backslash as one."""
    line = ""
    for part in text.split("\n"):
        line += part
        if part.endswith("\\"):
            line += "\n"
            continue
        yield line
        line = ""
    if line:
        yield line.rstrip("\\\n")


def _resource(name: str, nonce: str) -> bytes:
    folder = importlib.resources.files("nova_multi.guest")
    return (folder / name).read_text().replace("%NONCE%", nonce).encode()


# -- Anaconda


def _kickstart(text: str, nonce: str, key: str, zone: str, media: str) -> Answers:
    own = ["cmdline", "poweroff"]
    ours = set(_ENDS)
    if zone:
        own.append(f"timezone {zone} --utc")
        ours.add("timezone")
    own += [f'sshkey --username=root "{line}"' for line in key.splitlines()]
    kept = []
    inside = False
    for line in text.split("\n"):
        word = (line.split() or [""])[0]
        inside = (inside or word.startswith("%")) and word != "%end"
        if inside or word not in ours:
            kept.append(line)
    console = "/dev/console"
    own_sections = [
        "%post --nochroot --erroronfail",
        f"echo '{_mark(nonce, 0)}' >{console}",
        "%end",
        "%onerror",
        f"echo '{_mark(nonce, 1)}' >{console}",
        "%end",
        "",
    ]
    content = "\n".join([*own, *kept, *own_sections]).encode()
    words = ["inst.ks=file:/ks.cfg", "inst.cmdline", _CONSOLE]
    return Answers(Style.KICKSTART, {"ks.cfg": (content, 0o600)}, " ".join(words))


# -- Ubuntu's installer


def _autoinstall(text: str, nonce: str, key: str, zone: str, media: str) -> Answers:
    try:
        data = spec.plain(text)
    except Invalid as error:
        raise Invalid(f"the answers: {error.message}", field="preseed_url") from error
    if not isinstance(data, dict) or not isinstance(data.get("autoinstall"), dict):
        raise Invalid("autoinstall of the answers is no mapping", field="preseed_url")
    if not media:
        raise Invalid(
            "this installer fetches the rest of itself: its URL must be one that guests"
            " can reach, not a file of this service",
            field="download_url",
        )
    told: dict[str, Any] = dict(data["autoinstall"])
    if zone:
        told["timezone"] = zone
    if key:
        ssh = told.get("ssh")
        ssh = dict(ssh) if isinstance(ssh, dict) else {}
        keys = ssh.get("authorized-keys")
        keys = list(keys) if isinstance(keys, list) else []
        ssh |= {"install-server": True, "authorized-keys": [*keys, *key.splitlines()]}
        told["ssh"] = ssh
    told["shutdown"] = "poweroff"
    for field, status in (("late-commands", 0), ("error-commands", 1)):
        before = told.get(field)
        before = list(before) if isinstance(before, list) else []
        told[field] = [*before, f"echo '{_mark(nonce, status)}' >/dev/console"]
    user_data = "#cloud-config\n" + json.dumps({**data, "autoinstall": told}) + "\n"
    words = ["autoinstall", "ip=dhcp", f"url={media}", _CONSOLE]
    return Answers(Style.AUTOINSTALL, {}, " ".join(words), user_data.encode())


def _mark(nonce: str, status: int) -> str:
    """The line that tells of the end, as ``provision.console`` reads it."""
    return f"@nova-multi {nonce} 1 exit {status}"
