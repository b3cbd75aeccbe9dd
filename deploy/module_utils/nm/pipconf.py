# SPDX-License-Identifier: Apache-2.0
"""pip's configuration of this machine, in the terms of uv.

A machine behind a mirror or a private index says so in pip's own configuration. uv
does not read that, so it is translated.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_KEYS = (
    "index-url",
    "extra-index-url",
    "find-links",
    "cert",
    "trusted-host",
    "no-index",
    "timeout",
)


def config_files(environ: Mapping[str, str]) -> list[Path]:
    """Where pip looks, weakest first."""
    home = Path(environ.get("HOME", "/root"))
    found = [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        Path(environ.get("XDG_CONFIG_HOME", str(home / ".config"))) / "pip/pip.conf",
    ]
    if environ.get("PIP_CONFIG_FILE"):
        found.append(Path(environ["PIP_CONFIG_FILE"]))
    return found


def read(files: Iterable[Path], environ: Mapping[str, str]) -> dict[str, str]:
    """The settings that matter; the environment is stronger than any file."""
    settings: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path)
        except configparser.Error:
            continue  # pip itself will say what is wrong with it
        for section in ("global", "install"):
            if parser.has_section(section):
                settings |= {
                    key: value
                    for key, value in parser.items(section)
                    if key in _KEYS and value
                }
    for key in _KEYS:
        value = environ.get("PIP_" + key.upper().replace("-", "_"))
        if value:
            settings[key] = value
    return settings


def for_uv(settings: Mapping[str, str]) -> dict[str, str]:
    """Environment variables with which uv does as pip would."""
    variables: dict[str, str] = {}
    if "index-url" in settings:
        variables["UV_DEFAULT_INDEX"] = settings["index-url"]
    if "extra-index-url" in settings:
        variables["UV_INDEX"] = " ".join(settings["extra-index-url"].split())
        # pip takes the best version of all indexes; uv would stop at the first.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if "find-links" in settings:
        variables["UV_FIND_LINKS"] = ",".join(settings["find-links"].split())
    if "cert" in settings:
        variables["SSL_CERT_FILE"] = settings["cert"]
    if "trusted-host" in settings:
        variables["UV_INSECURE_HOST"] = " ".join(settings["trusted-host"].split())
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        variables["UV_NO_INDEX"] = "1"
    if "timeout" in settings:
        variables["UV_HTTP_TIMEOUT"] = settings["timeout"]
    return variables


def uv_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    return for_uv(read(config_files(environ), environ))
