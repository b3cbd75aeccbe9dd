# SPDX-License-Identifier: Apache-2.0
"""Debian's packages, in one transaction, without letting their daemons start."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import command, manifest

_POLICY = Path("/usr/sbin/policy-rc.d")
_SAVED = Path("/usr/sbin/policy-rc.d.before-nova-multi")
_POLICY_TEXT = """\
#!/bin/sh
# Put here by nova_multi's deployment while it installs packages: their daemons are
# started by the deployment itself, as instances of its own.
exit 101
"""
_LISTS = Path("/var/lib/apt/lists")
# Seconds after which the lists of packages are read again.
_LISTS_AGE = 3600
_APT = {"DEBIAN_FRONTEND": "noninteractive", "APT_LISTCHANGES_FRONTEND": "none"}
_OPTIONS = [
    "-q",
    "-y",
    "-o",
    "DPkg::Lock::Timeout=300",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "Dpkg::Options::=--force-confold",
    # Manual pages' index and the like: a third of the time of unpacking.
    "-o",
    "Dpkg::Options::=--force-unsafe-io",
]


def installed() -> set[str]:
    """The names of all packages that are installed and configured."""
    listed = command.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${binary:Package}\n"]
    )
    names = set()
    for line in listed.splitlines():
        status, _, name = line.partition(" ")
        if status == "installed":
            names.add(name.partition(":")[0])
    return names


def ensure(wanted: Iterable[str]) -> list[str]:
    """Install what is missing; return all that was newly installed.

    :raises CommandError: apt's or dpkg's last words.
    """
    _mend()
    before = installed()
    missing = sorted(set(wanted) - before)
    if not missing:
        return []
    with _daemons_kept_from_starting():
        if _lists_are_old():
            command.run(["apt-get", "update", *_OPTIONS], environment=_APT)
        install = ["apt-get", "install", "--no-install-recommends", *_OPTIONS]
        planned = command.run([*install, "--simulate", *missing], environment=_APT)
        new = sorted(
            {
                line.split()[1].partition(":")[0]
                for line in planned.splitlines()
                if line.startswith("Inst ")
            }
            - before
        )
        # Known before it begins, so that a killed installation can be undone.
        manifest.record("packages", names=new)
        units_before = _enabled_units()
        command.run([*install, *missing], environment=_APT, timeout=1800)
        _disable(_enabled_units() - units_before)
    return new


def purge(names: Iterable[str]) -> None:
    """Remove packages with their configuration, and no others with them.

    :raises CommandError: others that were installed since need some of them; or apt's
        last words.
    """
    ours = set(names)
    present = sorted(installed() & ours)
    if not present:
        return
    purge_them = ["apt-get", "purge", *_OPTIONS, *present]
    planned = command.run([*purge_them, "--simulate"], environment=_APT)
    removed = {
        line.split()[1].partition(":")[0]
        for line in planned.splitlines()
        if line.startswith(("Remv ", "Purg "))
    }
    others = sorted(removed - ours)
    if others:
        raise command.CommandError(
            f"packages that deploy/up installed are needed by {', '.join(others)}; "
            "remove those first"
        )
    command.run(purge_them, environment=_APT, timeout=1800)


def _mend() -> None:
    """Finish what a killed run left: half configured packages, our policy-rc.d."""
    if _POLICY.exists() and _POLICY.read_text() == _POLICY_TEXT:
        _restore_policy()
    if not command.run(["dpkg", "--audit"]).strip():
        return
    with _daemons_kept_from_starting():
        configure = ["dpkg", "--configure", "-a", "--force-confold"]
        command.run(configure, environment=_APT)
        command.run(["apt-get", "install", "-f", *_OPTIONS], environment=_APT)


@contextlib.contextmanager
def _daemons_kept_from_starting() -> Iterator[None]:
    if _POLICY.exists() or _POLICY.is_symlink():
        _POLICY.replace(_SAVED)
    _POLICY.write_text(_POLICY_TEXT)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _restore_policy()


def _restore_policy() -> None:
    if _SAVED.exists() or _SAVED.is_symlink():
        _SAVED.replace(_POLICY)
    else:
        _POLICY.unlink(missing_ok=True)


def _lists_are_old() -> bool:
    times = [path.stat().st_mtime for path in _LISTS.glob("*_Packages*")]
    return not times or time.time() - max(times) > _LISTS_AGE


def _enabled_units() -> set[str]:
    """Units that start by themselves; where systemd is PID 1."""
    if not Path("/run/systemd/system").is_dir():
        return set()
    listed = command.run(
        ["systemctl", "list-unit-files", "--state=enabled", "--no-legend", "--plain"]
    )
    return {line.split()[0] for line in listed.splitlines() if line.strip()}


def _disable(units: set[str]) -> None:
    """Keep the distribution's own instances of new packages from starting at boot."""
    wanted = sorted(
        unit
        for unit in units
        if unit.endswith((".service", ".socket", ".timer", ".path"))
    )
    if not wanted:
        return
    manifest.record("disabled_units", names=wanted)
    command.run(["systemctl", "disable", *wanted])
    # Sockets that came up with the installation would start what they stand for.
    subprocess.run(["systemctl", "stop", *wanted], check=False, capture_output=True)
