# SPDX-License-Identifier: Apache-2.0
"""deploy/status: what was checked of each service and of the cloud, and found.

Exit status: 0 if all is well, 1 if not, 2 if there is nothing to look at.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(DEPLOY / "module_utils"))
sys.dont_write_bytecode = True

from nm import backend, paths, ready, table  # noqa: E402

_UNFIT = 2
_CLOUD_TIMEOUT = 40
_HOST = re.compile(r"^host *= *(\S+)$", re.MULTILINE)

# Subject, fault (None if all is well), what was checked and found.
Row = tuple[str, str | None, str]


def main() -> int:
    options = _options()
    if os.geteuid() != 0:
        print("deploy/status: not root; run it with sudo", file=sys.stderr)
        return _UNFIT
    services = list(_services())
    if not services:
        print("there is no service of nova_multi on this machine", file=sys.stderr)
        return _UNFIT
    begin = time.monotonic()
    manager = backend.detect()
    with concurrent.futures.ThreadPoolExecutor(len(services) + 1) as pool:
        cloud = pool.submit(_cloud)
        rows = list(pool.map(lambda service: _check(manager, service), services))
        rows += cloud.result()
    faulty = [row for row in rows if row[1] is not None]
    if options.json:
        keys = ("subject", "fault", "found")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1))
    else:
        _show(rows)
        seconds = time.monotonic() - begin
        print(f"\n{len(rows)} checked in {seconds:.1f} s, {len(faulty)} not well")
    for subject, _, _ in faulty:
        log = paths.LOG / f"{subject}.log"
        if log.exists() and not options.json:
            print(f"look further with: tail -n 200 {log}; {manager.hint(subject)}")
    return 1 if faulty else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/status",
        description="Say for each service what was checked and found.",
    )
    parser.add_argument("--json", action="store_true", help="for other programs")
    return parser.parse_args()


def _services() -> Iterable[table.Service]:
    for path in sorted(paths.SERVICES.glob("*.json")):
        entry = json.loads(path.read_text())
        yield table.service(entry.pop("name"), entry)


def _check(manager: backend.Backend, service: table.Service) -> Row:
    try:
        state = manager.state(service.name)
    except (backend.ServiceError, OSError) as error:
        state = "stopped"
        if not service.adopt:
            return service.name, f"its manager does not answer: {error}", ""
    checks = [check for check in service.ready if check["kind"] != "none"]
    faults = [fault for check in checks if (fault := ready.fault(check))]
    looked_at = ", ".join(ready.describe(check) for check in checks)
    if faults:
        return service.name, "; ".join(faults), ""
    if state == "running" or (state == "done" and service.type == "oneshot"):
        found = f"{looked_at}: answers" if looked_at else "runs"
        return service.name, None, found
    if service.adopt and checks:
        return service.name, None, f"{looked_at}: answers; not started by nova_multi"
    return service.name, f"is {state}", ""


def _cloud() -> list[Row]:
    """What the APIs say; empty on a machine without OpenStack's credentials."""
    python = paths.ROOT / "venv/bin/python"
    if not Path("/etc/openstack/clouds.yaml").exists() or not python.exists():
        return []
    hosts = []
    for path in sorted(paths.ETC.glob("compute-*/nova.conf")):
        match = _HOST.search(path.read_text())
        if match:
            hosts.append(match[1])
    try:
        done = subprocess.run(
            [str(python), str(DEPLOY / "cli/cloud_status.py"), *hosts],
            capture_output=True,
            text=True,
            timeout=_CLOUD_TIMEOUT,
            check=False,
        )
        return [tuple(row) for row in json.loads(done.stdout)]
    except (subprocess.TimeoutExpired, ValueError) as error:
        return [("cloud", f"its APIs cannot be asked: {error}", "")]


def _show(rows: list[Row]) -> None:
    width = max(len(subject) for subject, _, _ in rows)
    color = sys.stdout.isatty()
    for subject, fault, found in rows:
        mark = "ok  " if fault is None else "FAIL"
        if color:
            mark = f"\033[{32 if fault is None else 31}m{mark}\033[0m"
        print(f"{mark} {subject:{width}}  {found if fault is None else fault}")


if __name__ == "__main__":
    sys.exit(main())
