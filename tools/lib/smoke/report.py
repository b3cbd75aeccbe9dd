# SPDX-License-Identifier: Apache-2.0
"""What the command prints and keeps."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any

from smoke.results import Outcome, Result
from smoke.selection import Selection

SLOWEST = 5


@dataclasses.dataclass(slots=True)
class Report:
    """All that is known of the tests of one hypervisor.

    :ivar error: why they could not be run to their end; empty if they were.
    """

    hypervisor: str
    selection: Selection
    results: list[Result] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    error: str = ""

    def of(self, outcome: Outcome) -> list[Result]:
        """Results that ended so."""
        return [result for result in self.results if result.outcome is outcome]

    @property
    def missing(self) -> list[str]:
        """Tests that were to run and of which nothing was heard.

        A class whose set-up is skipped or fails answers for all of its tests.
        """
        heard = {result.name for result in self.results}
        classes = tuple(
            name.removeprefix("setUpClass (").removesuffix(")") + "."
            for name in heard
            if name.startswith("setUpClass (")
        )
        return [
            test
            for test in self.selection.run
            if test not in heard and not test.startswith(classes)
        ]

    @property
    def passed(self) -> bool:
        """Whether everything that was to run did, and nothing failed."""
        return not (
            self.error
            or self.missing
            or self.of(Outcome.FAILED)
            or not self.of(Outcome.PASSED)
        )

    def as_json(self) -> dict[str, Any]:
        """For keeping."""
        return {
            "hypervisor": self.hypervisor,
            "passed": self.passed,
            "seconds": round(self.seconds, 1),
            "error": self.error,
            "missing": self.missing,
            "excluded": self.selection.excluded,
            "results": [dataclasses.asdict(result) for result in self.results],
        }


def short(name: str) -> str:
    """A test's name as far as it tells something: class and method, no tags."""
    plain = name.split("[", 1)[0]
    if plain.startswith("setUpClass ("):
        return (
            "set-up of " + plain.removeprefix("setUpClass (").rstrip(")").split(".")[-1]
        )
    return ".".join(plain.split(".")[-2:])


def summary(report: Report) -> str:
    """The closing lines of one hypervisor."""
    passed, skipped, failed = (report.of(outcome) for outcome in Outcome)
    lines = [
        f"{report.hypervisor}: {len(report.results)} run, {len(passed)} passed, "
        f"{len(skipped)} skipped, {len(failed)} failed, "
        f"{len(report.selection.excluded)} not selected, {report.seconds:.0f} s"
    ]
    lines += _grouped("skipped", ((r.detail or "no reason", r.name) for r in skipped))
    lines += _grouped(
        "not selected", ((why, name) for name, why in report.selection.excluded.items())
    )
    slowest = sorted(report.results, key=lambda r: r.seconds, reverse=True)[:SLOWEST]
    lines.append(
        "  slowest: " + ", ".join(f"{short(r.name)} {r.seconds:.0f} s" for r in slowest)
    )
    for result in failed:
        lines.append(f"  FAILED {result.name}")
        lines += [f"    {line}" for line in result.detail.splitlines()]
    lines += [f"  NOT HEARD OF {name}" for name in report.missing]
    if report.error:
        lines.append(f"  ERROR {report.error}")
    return "\n".join(lines)


def table(reports: Iterable[Report]) -> str:
    """One line for each hypervisor."""
    lines = [f"{'':10}{'run':>6}{'passed':>8}{'skipped':>9}{'failed':>8}{'seconds':>9}"]
    for report in reports:
        passed, skipped, failed = (len(report.of(outcome)) for outcome in Outcome)
        lines.append(
            f"{report.hypervisor:10}{len(report.results):6}{passed:8}{skipped:9}"
            f"{failed:8}{report.seconds:9.0f}"
            + ("" if report.passed else "  NOT PASSED")
        )
    return "\n".join(lines)


def _grouped(title: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
    by_reason = collections.defaultdict(list)
    for reason, name in pairs:
        by_reason[reason].append(short(name))
    return [
        f"  {title}: {reason}: {', '.join(sorted(names))}"
        for reason, names in sorted(by_reason.items())
    ]
