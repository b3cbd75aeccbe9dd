# SPDX-License-Identifier: Apache-2.0
"""The command line; called by tools/smoke."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import leftovers

from smoke import report as reports
from smoke import selection as selections
from smoke import settings, tempest
from smoke.cloud import ERRORS, IMAGES, Cloud
from smoke.errors import SmokeError
from smoke.report import Report
from smoke.results import Outcome, Result

LISTS = Path(__file__).resolve().parents[3] / "tests" / "tempest"
#: Held while tests run; goes with its process.
LOCK = Path("/run/lock/nova-multi-smoke")
#: A hypervisor's files that are kept: no configuration, which holds a password.
KEPT = ("tempest.log", "output.log")


def main() -> int:
    """Run what the command line asks for.

    :returns: 0 if everything passed, 1 if not, 2 if nothing could be run.
    """
    arguments = _arguments()
    # As an interrupt from the keyboard: what was begun is ended and taken away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hypervisors = arguments.hypervisor or list(IMAGES)
    with tempfile.TemporaryDirectory(prefix="nova-multi-smoke-") as scratch:
        try:
            return _main(arguments, hypervisors, Path(scratch))
        except KeyboardInterrupt:
            print("smoke: interrupted; what Tempest made may be left", file=sys.stderr)
            return 2
        except (SmokeError, *ERRORS) as error:
            print(f"smoke: {error}", file=sys.stderr)
            return 2


def _main(arguments: argparse.Namespace, hypervisors: list[str], scratch: Path) -> int:
    selected = _select(hypervisors, scratch, arguments)
    if arguments.list:
        for name, selection in selected.items():
            for test in selection.run:
                print(f"{name}  {test}")
            for test, reason in selection.excluded.items():
                print(f"{name}  {test}  # {reason}")
        return 0
    with _alone():
        return _test(arguments, hypervisors, selected, scratch)


def _test(
    arguments: argparse.Namespace,
    hypervisors: list[str],
    selected: dict[str, selections.Selection],
    scratch: Path,
) -> int:
    cloud = Cloud(arguments.cloud)
    for name in hypervisors:
        cloud.check_hypervisor(name)
    facts = cloud.facts()
    leftovers.told(cloud.clean())
    tempest.ensure_ping()
    found = [Report(name, selected[name]) for name in hypervisors]
    at_once = 1 if arguments.one_by_one else len(found)
    runner = tempest.Runner()
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        work = [
            pool.submit(_run, runner, report, cloud, facts, scratch, arguments)
            for report in found
        ]
        try:
            for future in work:
                future.result()
        except BaseException:
            runner.stop()
            raise
    for report in found:
        print(f"\n{reports.summary(report)}")
    print(f"\n{reports.table(found)}")
    left = cloud.left()
    if left:
        print("left behind: " + ", ".join(left))
    return 0 if all(report.passed for report in found) and not left else 1


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """No other run here meanwhile: what it makes would be taken away as left.

    :raises SmokeError: there is one.
    """
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SmokeError("another run is going on") from error
        yield


def _select(
    hypervisors: list[str], scratch: Path, arguments: argparse.Namespace
) -> dict[str, selections.Selection]:
    tests = tempest.list_tests(_folder(scratch / "list"))
    include = selections.read_include(LISTS / "include.txt")
    exclude = selections.read_exclude(LISTS / "exclude.txt")
    found = {
        name: selections.select(
            tests,
            include,
            exclude + selections.read_exclude(LISTS / f"exclude-{name}.txt"),
        )
        for name in hypervisors
    }
    if arguments.short:
        short = selections.read_include(LISTS / "short.txt")
        found = {name: selection.among(short) for name, selection in found.items()}
    return {name: selection.only(arguments.regex) for name, selection in found.items()}


def _run(
    runner: tempest.Runner,
    report: Report,
    cloud: Cloud,
    facts: settings.CloudFacts,
    scratch: Path,
    arguments: argparse.Namespace,
) -> None:
    name = report.hypervisor
    folder = _folder(scratch / name)
    start = time.monotonic()

    def tell(result: Result) -> None:
        report.results.append(result)
        if result.outcome is not Outcome.SKIPPED or arguments.verbose:
            print(
                f"{name:8} {len(report.results):3}/{len(report.selection.run)} "
                f"{result.outcome:7} {result.seconds:6.1f} s  "
                f"{reports.short(result.name)}",
                flush=True,
            )

    try:
        features = selections.read_features(LISTS / "features.toml", name)
        with cloud.target(name, features) as target:
            _write_private(
                folder / "tempest.conf", settings.render(facts, target, folder)
            )
            runner.run(folder, report.selection.run, arguments.workers, tell)
    except Exception as error:
        # The other hypervisors' tests go on; this one's have failed.
        report.error = f"{type(error).__name__}: {error}"
    report.seconds = time.monotonic() - start
    _keep(report, folder, arguments.output)


def _keep(report: Report, folder: Path, output: Path) -> None:
    kept = output / report.hypervisor
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    (kept / "results.json").write_text(json.dumps(report.as_json(), indent=1) + "\n")
    for name in KEPT:
        if (folder / name).exists():
            shutil.copy(folder / name, kept / name)


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="smoke",
        description="Run Tempest's compute and scenario tests once per hypervisor.",
    )
    parser.add_argument(
        "--hypervisor", action="append", choices=list(IMAGES), help="only this one"
    )
    parser.add_argument(
        "--list", action="store_true", help="print what would be run, and what not"
    )
    parser.add_argument(
        "--regex", default="", help="of the selected tests only those that have this"
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help="only the tests that tools/test runs (tests/tempest/short.txt)",
    )
    parser.add_argument(
        "--cloud",
        default="nova-multi-admin",
        help="an administrator's entry of clouds.yaml (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes of Tempest for each hypervisor (default: %(default)s)",
    )
    parser.add_argument(
        "--one-by-one",
        action="store_true",
        help="one hypervisor after the other instead of all at once",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("/var/log/nova-multi/smoke"),
        help="folder for results and logs (default: %(default)s)",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="tell of skipped tests too"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
