# SPDX-License-Identifier: Apache-2.0
"""deploy/up: look whether it can work, make the deployment's venv, run Ansible."""

from __future__ import annotations

import argparse
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(DEPLOY / "module_utils"))
sys.dont_write_bytecode = True

from nm import command, manifest, paths, pipconf, preflight, venv  # noqa: E402

_VENV = paths.ROOT / "deploy-venv"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOCK = Path("/run/nova-multi-deploy.lock")
# Exit status for what the user can put right before anything was changed.
_UNFIT = 2


def main() -> int:
    options = _options()
    faults = preflight.check(DEPLOY, options.inventory, options.extra_vars)
    if faults:
        print("deploy/up cannot work here; nothing was changed:", file=sys.stderr)
        for fault in faults:
            print(f"  - {fault}", file=sys.stderr)
        return _UNFIT
    if options.check:
        print("deploy/up can work here")
        return 0
    lock = _LOCK.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("deploy/up or deploy/down is running already", file=sys.stderr)
        return _UNFIT
    environment = pipconf.uv_environment()
    try:
        _ensure_venv(environment)
    except (command.CommandError, OSError) as error:
        print(f"deploy/up: the deployment's venv: {error}", file=sys.stderr)
        return 1
    sys.stdout.flush()
    # Not exec: this process holds the lock.
    return subprocess.run(
        _ansible(options), env=_environment(environment), cwd=DEPLOY, check=False
    ).returncode


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/up",
        description="Make this machine a nova_multi cloud, or put it right.",
    )
    parser.add_argument(
        "--inventory",
        type=Path,
        default=DEPLOY / "inventories/all-in-one",
        help="another folder of deploy/inventories",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="ROLE",
        default=[],
        help="run these roles only (and common)",
    )
    parser.add_argument(
        "--skip", action="append", metavar="ROLE", default=[], help="leave out roles"
    )
    parser.add_argument(
        "-e",
        "--extra-vars",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a variable of the inventory",
    )
    parser.add_argument(
        "--check", action="store_true", help="only say whether it can work here"
    )
    parser.add_argument("-v", "--verbose", action="count", default=0)
    return parser.parse_args()


def _ensure_venv(environment: dict[str, str]) -> None:
    """The venv with Ansible, the supervisor and uv, as pinned."""
    os.environ.update(environment)
    requirements = (DEPLOY / "requirements/deploy.txt").read_text()
    pins = venv.pins(requirements)
    uv = _VENV / "bin" / "uv"
    made = venv.Venv(_VENV, uv, sys.executable, paths.ROOT / "cache")
    faulty = made.faulty(pins)
    if not faulty and os.access(_VENV / "bin/python", os.X_OK):
        return
    begin = time.monotonic()
    print("making the deployment's own venv ...", flush=True)
    manifest.record("tree", path=str(_VENV))
    if "uv" in faulty or not os.access(_VENV / "bin/python", os.X_OK):
        _ensure_ensurepip()
        command.run([sys.executable, "-m", "venv", "--clear", str(_VENV)])
        pip = [str(_VENV / "bin/python"), "-m", "pip", "install", "--quiet"]
        command.run([*pip, "--no-deps", f"uv=={pins['uv']}"])
        faulty = made.faulty(pins)
    made.install(
        [f"{name}=={pins[name]}" for name in faulty],
        "--compile-bytecode",
        *(word for name in faulty for word in ("--reinstall-package", name)),
    )
    print(f"made in {time.monotonic() - begin:.0f} s", flush=True)


def _ensure_ensurepip() -> None:
    """Debian keeps venv's pip in a package of its own."""
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        from nm import packages

        packages.ensure(["python3-venv"])


def _ansible(options: argparse.Namespace) -> list[str]:
    arguments = [str(_VENV / "bin/ansible-playbook"), "-i", str(options.inventory)]
    if options.only:
        arguments += ["--tags", ",".join(options.only)]
    if options.skip:
        arguments += ["--skip-tags", ",".join(options.skip)]
    for variable in options.extra_vars:
        arguments += ["-e", variable]
    if options.verbose:
        arguments.append(f"-{'v' * options.verbose}")
    return [*arguments, str(DEPLOY / "site.yml")]


def _environment(uv: dict[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        **uv,
        "ANSIBLE_CONFIG": str(DEPLOY / "ansible.cfg"),
        # Root's compiled plugins in a user's checkout could not be removed by the user.
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{_VENV}/bin:{_SYSTEM_PATH}",
    }


if __name__ == "__main__":
    sys.exit(main())
