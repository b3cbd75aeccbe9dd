# SPDX-License-Identifier: Apache-2.0
"""The root file systems that machines begin with, made once and kept."""

import hashlib
import os
import shutil
from pathlib import Path

from toolbox import run

from bare_machine import surroundings

SUITES = ("bookworm", "trixie")

# What a Debian has that somebody installed with nothing chosen, and what makes
# it reach its mirrors. No Python: the deployment has to cope.
_PACKAGES = ("ca-certificates", "iproute2", "procps")
_SYSTEMD_PACKAGES = ("systemd-sysv", "dbus", "kmod", "udev")
# Version of the recipe; a new number makes new trees.
_RECIPE = 2


def tree(
    store: Path, suite: str, *, systemd: bool, extra: tuple[str, ...] = ()
) -> Path:
    """The kept root file system of this kind; made where there is none yet.

    :raises ToolError: it can't be made
    """
    packages = _PACKAGES + (_SYSTEMD_PACKAGES if systemd else ()) + extra
    sources = surroundings.sources(suite)
    inputs = repr((_RECIPE, sorted(packages), sources))
    digest = hashlib.sha256(inputs.encode()).hexdigest()[:12]
    root = store / f"base-{suite}-{digest}"
    if root.exists():
        return root
    store.mkdir(parents=True, exist_ok=True)
    new = root.with_name(f".{root.name}.{os.getpid()}")
    try:
        _install(new, packages, sources)
        new.rename(root)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return root


def _install(
    root: Path, packages: tuple[str, ...], sources: list[surroundings.Source]
) -> None:
    options = [
        f"--aptopt={line}" for line in surroundings.apt_options().splitlines() if line
    ]
    run(
        [
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            "--format=directory",
            f"--include={','.join(packages)}",
            *options,
            "",
            root,
            # The machine that makes the tree has the keys of other releases too.
            *(source.line(keyring=False) for source in sources),
        ]
    )
    for name in ("etc/apt/sources.list", "etc/apt/apt.conf.d/99mmdebstrap"):
        (root / name).unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")


def copy(base: Path, root: Path) -> None:
    """Give a machine a root file system of its own."""
    run(["cp", "--archive", "--reflink=auto", base, root])


def furnish(root: Path, name: str, suite: str) -> None:
    """Let a machine reach the mirrors as this one does, under its own name."""
    etc = root / "etc"
    (etc / "hostname").write_text(f"{name}\n")
    (etc / "hosts").write_text(
        f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n"
    )
    resolver = etc / "resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.write_text(surroundings.name_servers())
    lines = [source.line() for source in surroundings.sources(suite)]
    (etc / "apt/sources.list").write_text("\n".join(lines) + "\n")
    (etc / "apt/apt.conf.d/90surroundings").write_text(surroundings.apt_options())
    credentials = Path("/etc/apt/auth.conf.d")
    if credentials.is_dir():
        shutil.copytree(credentials, etc / "apt/auth.conf.d", dirs_exist_ok=True)
    if pip := surroundings.pip_configuration():
        (etc / "pip.conf").write_text(pip)
    _trust(root)


def _trust(root: Path) -> None:
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    known = bundle.read_text() if bundle.exists() else ""
    extra = surroundings.extra_certificates(known)
    if not extra:
        return
    folder = root / "usr/local/share/ca-certificates"
    folder.mkdir(parents=True, exist_ok=True)
    for number, certificate in enumerate(extra):
        (folder / f"surroundings-{number}.crt").write_text(certificate)
    run(["chroot", root, "update-ca-certificates"])
