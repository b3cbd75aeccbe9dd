# SPDX-License-Identifier: Apache-2.0
"""How this machine reaches its mirrors, for a machine that is to do the same."""

import os
import re
import shutil
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toolbox import ToolError, run

# Packages of a bare machine come from Debian, whatever else is configured here.
_TARGET = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL
)
_ENVIRONMENT = re.compile(
    r"(?i)(https?_proxy|no_proxy|all_proxy|pip_.+|uv_.+|ssl_cert_(file|dir)"
    r"|requests_ca_bundle|curl_ca_bundle)"
)
_PIP_FILES = ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf")


@dataclass(frozen=True)
class Source:
    """One line of apt's sources."""

    uri: str
    release: str
    component: str

    def line(self, *, keyring: bool = True) -> str:
        """The line as apt reads it."""
        option = f"[signed-by={_KEYRING}] " if keyring else ""
        return f"deb {option}{self.uri} {self.release} {self.component}"


def sources(suite: str) -> list[Source]:
    """Debian's sources that apt uses here, turned to another release of it.

    :raises ToolError: apt has no lists of Debian's packages
    """
    found = []
    listed = run(
        ["apt-get", "indextargets", "--format", _TARGET, "Created-By: Packages"]
    )
    own = _codename()
    for row in listed.splitlines():
        origin, uri, release, component = row.split("|")
        if origin != "Debian" or not release.startswith(own):
            continue
        found.append(Source(uri, release.replace(own, suite, 1), component))
    if not found:
        raise ToolError("apt has no lists of Debian's packages: run `apt-get update`")
    return list(dict.fromkeys(found))


def apt_options() -> str:
    """Settings of how apt fetches: proxies, certificates, checks."""
    settings = run(["apt-config", "dump"]).splitlines()
    return "".join(
        f"{line}\n"
        for line in settings
        if line.startswith("Acquire::") and not line.endswith(' "";')
    )


def environment() -> dict[str, str]:
    """Environment that Python's and other clients take their settings from."""
    return {key: value for key, value in os.environ.items() if _ENVIRONMENT.match(key)}


def extra_certificates(known: str) -> list[str]:
    """Certificates that are trusted here and not among the `known` ones."""
    if not _BUNDLE.exists():
        return []
    present = {_bare(text) for text in _CERTIFICATE.findall(known)}
    trusted = _CERTIFICATE.findall(_BUNDLE.read_text())
    return [text for text in trusted if _bare(text) not in present]


def pip_configuration() -> str:
    """pip's settings of this machine and this user as one file."""
    merged = ConfigParser(interpolation=None)
    for name in _PIP_FILES:
        try:
            merged.read(Path(name).expanduser())
        except ConfigError as error:
            raise ToolError(f"pip's configuration can't be read: {error}") from error
    lines = []
    for section in merged.sections():
        lines.append(f"[{section}]")
        for key, value in merged[section].items():
            lines.append(f"{key} = " + value.replace("\n", "\n    "))
    return "".join(f"{line}\n" for line in lines)


def local_folders(*texts: str) -> list[Path]:
    """Folders of this machine that such settings name as places of packages."""
    folders: list[Path] = []
    for word in " ".join(texts).split():
        path = word
        if word.startswith("file://"):
            path = unquote(urlsplit(word).path)
        folder = Path(path)
        # An index refers to its files by paths beside it.
        if folder.name == "simple":
            folder = folder.parent
        if folder.is_absolute() and folder.is_dir() and folder not in folders:
            folders.append(folder)
    return folders


def name_servers() -> str:
    """resolv.conf for a machine to which this one's loopback is far away."""
    text = Path("/etc/resolv.conf").read_text()
    upstream = Path("/run/systemd/resolve/resolv.conf")
    if re.search(r"^nameserver\s+(127\.|::1)", text, re.MULTILINE):
        if not upstream.exists():
            raise ToolError(
                "the name server of this machine listens on loopback only, where a "
                "machine of its own network can't reach it"
            )
        text = upstream.read_text()
    return text


def outer_interface() -> tuple[str, int]:
    """Name and MTU of the interface that leads outside."""
    routes = run(["ip", "-o", "-4", "route", "show", "default"])
    found = re.search(r" dev (\S+)", routes)
    if found is None:
        raise ToolError("this machine has no default route")
    mtu = Path("/sys/class/net", found[1], "mtu").read_text()
    return found[1], int(mtu)


def devices() -> list[Path]:
    """Device nodes that engines and networks need and that are here."""
    wanted = ("net/tun", "fuse", "loop-control", "vhost-net")
    return [path for name in wanted if (path := Path("/dev", name)).exists()]


def _codename() -> str:
    try:
        text = Path("/etc/os-release").read_text()
    except OSError as error:
        raise ToolError("no /etc/os-release: not a Debian system") from error
    found = re.search(r"^VERSION_CODENAME=(\w+)", text, re.MULTILINE)
    if found is None or shutil.which("apt-get") is None:
        raise ToolError("bare machines are made on Debian only")
    return found[1]


def _bare(certificate: str) -> str:
    return "".join(certificate.split())
