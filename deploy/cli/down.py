# SPDX-License-Identifier: Apache-2.0
"""deploy/down: take back what the manifest says was made, newest first."""

from __future__ import annotations

import argparse
import collections
import fcntl
import os
import sys
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(DEPLOY / "module_utils"))
sys.dont_write_bytecode = True

from nm import backend, command, manifest, paths, undo  # noqa: E402

_LOCK = Path("/run/nova-multi-deploy.lock")
_UNFIT = 2


def main() -> int:
    options = _options()
    if os.geteuid() != 0:
        print("deploy/down: not root; run it with sudo", file=sys.stderr)
        return _UNFIT
    lock = _LOCK.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("deploy/up or deploy/down is running already", file=sys.stderr)
        return _UNFIT
    entries = manifest.entries()
    if not entries:
        print("there is nothing to take back")
        return 0
    undoing = undo.Undo(options.purge)
    doomed = [entry for entry in entries if not undoing.is_kept(entry)]
    if not doomed:
        return _finish_only(entries, undoing, options.purge)
    _announce(doomed, options.purge)
    if not options.yes and not _confirmed():
        print("nothing was changed")
        return 1
    fault = _remove_guests(entries)
    failed = _take_back(entries, undoing)
    if options.purge:
        _tell_of_python(entries)
        if not failed:
            # Nobody waits for it: who finds it taken gives up at once.
            _LOCK.unlink(missing_ok=True)
    if fault:
        print(f"servers could not be deleted through Nova: {fault}", file=sys.stderr)
    # Their engines have removed the guests; the databases, which only a purge takes,
    # still have the servers.
    return 1 if failed or (fault and not options.purge) else 0


def _finish_only(entries: list[dict[str, Any]], undoing: undo.Undo, purge: bool) -> int:
    """Of a machine where only that is left which stays."""
    print("there is nothing to take back" + ("" if purge else " without --purge"))
    if purge:
        undoing.finish()
        _tell_of_python(entries)
    return 0


def _tell_of_python(entries: list[dict[str, Any]]) -> None:
    names = {
        name
        for entry in entries
        if entry["kind"] == "python"
        for name in entry["names"]
    }
    if names:
        print("Python, which deploy/up had installed, stays: deploy/down runs on it.")
        print(f"Remove it with: apt-get purge {' '.join(sorted(names))}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/down",
        description="Take back what deploy/up made: servers, networks, services, "
        "rules and files. Data and packages stay, unless --purge.",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--purge",
        action="store_true",
        help="also databases, images, guests' disks, passwords, users, the venvs and "
        "the packages that deploy/up installed",
    )
    return parser.parse_args()


def _announce(doomed: list[dict[str, Any]], purge: bool) -> None:
    counts = collections.Counter(entry["kind"] for entry in doomed)
    print("This deletes all servers of this cloud and takes back:")
    for kind, number in sorted(counts.items()):
        print(f"  {number:4} × {kind.replace('_', ' ')}")
    for entry in doomed:
        if entry["kind"] == "packages":
            print(f"  packages: {' '.join(entry['names'])}")
    if not purge:
        print("Data, passwords, users and packages stay (--purge takes them too).")


def _confirmed() -> bool:
    try:
        return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _remove_guests(entries: list[dict[str, Any]]) -> str | None:
    """Have Nova delete all servers while it still can, so that engines are empty.

    :returns: why it could not. A cloud that never had a compute has no servers.
    """
    python = paths.ROOT / "venv/bin/python"
    script = DEPLOY / "cli/delete_servers.py"
    services = [e["name"] for e in entries if e["kind"] == "service"]
    computes = [name for name in services if name.startswith("compute-")]
    if not (python.exists() and computes):
        return None
    try:
        print(command.run([str(python), str(script)], timeout=180), end="")
    except command.CommandError as error:
        return str(error)
    return None


def _take_back(entries: list[dict[str, Any]], undoing: undo.Undo) -> bool:
    """Undo all that does not stay; say whether something could not be."""
    remaining: list[dict[str, Any]] = []
    faults = []
    total = sum(not undoing.is_kept(entry) for entry in entries)
    number = 0
    for entry in in_order(entries):
        if undoing.is_kept(entry):
            remaining.append(entry)
            continue
        number += 1
        name = entry.get("name") or entry.get("path") or ""
        if entry["kind"] in ("service", "packages", "tree", "command"):
            print(f"[{number}/{total}] {entry['kind']} {name}", flush=True)
        try:
            undoing(entry)
        except (OSError, command.CommandError, backend.ServiceError) as error:
            faults.append(f"{entry['kind']} {name}: {error}")
            remaining.append(entry)
    if not faults:
        try:
            undoing.finish()
        except OSError as error:
            faults.append(str(error))
    if paths.MANIFEST.parent.is_dir():
        manifest.rewrite(list(reversed(remaining)))
    for fault in faults:
        print(f"could not take back: {fault}", file=sys.stderr)
    return bool(faults)


def in_order(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The order of undoing: services first, the rest after, each newest first.

    A command that says which service it talks to is run just before that stops.
    """
    newest_first = list(reversed(entries))
    services = [entry for entry in newest_first if entry["kind"] == "service"]
    names = {entry["name"] for entry in services}
    ordered: list[dict[str, Any]] = []
    for service in services:
        ordered += [
            entry for entry in newest_first if entry.get("service") == service["name"]
        ]
        ordered.append(service)
    ordered += [
        entry
        for entry in newest_first
        if entry["kind"] != "service" and entry.get("service") not in names
    ]
    return ordered


if __name__ == "__main__":
    sys.exit(main())
