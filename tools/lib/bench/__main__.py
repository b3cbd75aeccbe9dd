# SPDX-License-Identifier: Apache-2.0
"""The command line; called by tools/bench."""

from __future__ import annotations

import argparse
import configparser
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import leftovers
import openstack

from bench import (
    engines,
    environments,
    fake_compute,
    figures,
    memory,
    plans,
    provisioning,
    servers,
)
from bench.errors import BenchError

SOURCE = Path(__file__).resolve().parents[3]
PARTS = (
    "memory",
    "servers",
    "engines",
    "provisioning",
    "plans",
    "environments",
    "second-run",
)
#: Configuration of the provisioning service; names its database.
PROVISIONING = Path("/etc/nova-multi/provisioning/nova-multi.conf")
#: Seconds that a second deploy/up may take before it is given up.
UP_TIMEOUT = 900


def main() -> int:
    """Measure what the command line asks for, keep it, and write the page.

    :returns: 0, or 1 if something could not be measured.
    """
    arguments = _arguments()
    # As an interrupt from the keyboard: what was begun is taken away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = _kept(arguments.output)
    results["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    results["machine"] = _machine()
    results["note"] = arguments.note
    try:
        leftovers.clean(openstack.connect(cloud=arguments.cloud), leftovers.is_of_bench)
        for part in arguments.part or PARTS:
            _log(f"measuring: {part}")
            _MEASURES[part](arguments, results)
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 1
    except (
        BenchError,
        OSError,
        subprocess.SubprocessError,
        *leftovers.ERRORS,
    ) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    page = figures.page(results)
    print(page)
    if arguments.figures:
        arguments.figures.write_text(page)
    return 0


def _servers(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    cloud = openstack.connect(
        cloud=arguments.cloud,
        compute_api_version="2",
        compute_default_microversion=servers.HOST_MICROVERSION,
    )
    node = platform.node().split(".")[0]
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="nova-multi-bench-") as scratch,
        servers.network(cloud) as network_id,
        fake_compute.running(cloud, node, Path(scratch)) as fake_host,
        servers.subjects(cloud, fake_host) as targets,
        servers.resident(cloud, targets[-1], network_id),
    ):
        found = servers.measure(cloud, targets, network_id, arguments.rounds, _log)
    results["servers"] = {
        "load": round(load, 2),
        "seconds": {
            name: {
                "create": [round(entry.create, 3) for entry in times],
                "delete": [round(entry.delete, 3) for entry in times],
            }
            for name, times in found.items()
        },
    }


def _engines(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    found = engines.measure(arguments.images, arguments.rounds, _log)
    results["engines"] = {
        name: [round(value, 3) for value in seconds] for name, seconds in found.items()
    }


def _memory(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    found = memory.by_service()
    if not found:
        raise BenchError("none of the deployment's services runs here")
    results["memory"] = {name: round(size, 1) for name, size in found.items()}


def _provisioning(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    configuration = configparser.ConfigParser(interpolation=None, strict=False)
    configuration.read(PROVISIONING)
    if not configuration.has_option("database", "connection"):
        raise BenchError(f"{PROVISIONING} names no database")
    load = os.getloadavg()[0]
    found = provisioning.measure(
        openstack.connect(cloud=arguments.cloud),
        configuration.get("database", "connection"),
        arguments.instances,
        _log,
    )
    results["provisioning"] = {"load": round(load, 2), **found}


def _plans(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    results["plans"] = plans.measure(_log)


def _environments(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    results["environments"] = environments.measure(
        openstack.connect(cloud=arguments.cloud),
        PROVISIONING.read_text(),
        arguments.instances,
        arguments.rounds,
        _log,
    )


def _second_run(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    start = time.monotonic()
    subprocess.run(
        [str(SOURCE / "deploy" / "up")],
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=UP_TIMEOUT,
    )
    results["second_run"] = round(time.monotonic() - start, 1)


_MEASURES = {
    "servers": _servers,
    "engines": _engines,
    "memory": _memory,
    "provisioning": _provisioning,
    "plans": _plans,
    "environments": _environments,
    "second-run": _second_run,
}


def _kept(path: Path) -> dict[str, Any]:
    """Results of earlier runs, so that one part can be measured anew."""
    return json.loads(path.read_text()) if path.exists() else {}


def _machine() -> dict[str, Any]:
    processor = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "processor": processor,
        "memory_mb": pages // 2**20,
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "kernel": platform.release(),
    }


def _log(text: str) -> None:
    print(text, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description="Measure the deployed cloud on this node."
    )
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="only this; repeatable"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=20,
        help="servers of each hypervisor, and scripts that are waited for on each"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--instances",
        type=int,
        default=28,
        help="instances that are made in one go; a machine of two cores has no"
        " room for more beside the example (default: %(default)s)",
    )
    parser.add_argument(
        "--cloud",
        default="nova-multi-admin",
        help="an administrator's entry of clouds.yaml (default: %(default)s)",
    )
    parser.add_argument(
        "--images",
        type=Path,
        default=Path("/var/cache/nova-multi/images"),
        help="folder of tools/build-image (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("/var/log/nova-multi/bench.json"),
        help="where results are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--note", default="", help="what readers of the page must know of this run"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        help="page to write, as doc/source/figures.rst",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
