# SPDX-License-Identifier: Apache-2.0
"""What became of each test, from the subunit stream that Tempest writes."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Callable
from typing import IO, Any

import subunit
import testtools


class Outcome(enum.StrEnum):
    """How a test ended."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"


_OUTCOMES = {
    "success": Outcome.PASSED,
    "xfail": Outcome.PASSED,
    "skip": Outcome.SKIPPED,
    "fail": Outcome.FAILED,
    "uxsuccess": Outcome.FAILED,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One test, or the set-up of a class that failed or was skipped.

    :ivar detail: reason of a skip, or traceback of a failure.
    """

    name: str
    outcome: Outcome
    seconds: float
    detail: str = ""


class _Collector(testtools.StreamResult):
    def __init__(self, report: Callable[[Result], None]) -> None:
        super().__init__()
        self._report = report
        self._started: dict[str, datetime.datetime] = {}
        self._details: dict[str, dict[str, bytes]] = {}

    def status(  # the signature is testtools'
        self,
        test_id: str | None = None,
        test_status: str | None = None,
        test_tags: Any = None,
        runnable: bool = True,
        file_name: str | None = None,
        file_bytes: bytes | None = None,
        eof: bool = False,
        mime_type: str | None = None,
        route_code: str | None = None,
        timestamp: datetime.datetime | None = None,
    ) -> None:
        if test_id is None:
            return
        if file_name and file_bytes:
            texts = self._details.setdefault(test_id, {})
            texts[file_name] = texts.get(file_name, b"") + file_bytes
        if test_status == "inprogress" and timestamp:
            self._started[test_id] = timestamp
        outcome = _OUTCOMES.get(test_status or "")
        if outcome is None:
            return
        start = self._started.get(test_id)
        seconds = (timestamp - start).total_seconds() if start and timestamp else 0.0
        self._report(Result(test_id, outcome, seconds, self._detail(test_id, outcome)))

    def _detail(self, test_id: str, outcome: Outcome) -> str:
        texts = self._details.pop(test_id, {})
        wanted = {
            Outcome.PASSED: (),
            Outcome.SKIPPED: ("reason",),
            # Tempest's log of a test is long; the traceback tells what failed.
            Outcome.FAILED: tuple(n for n in texts if n.startswith("traceback")),
        }[outcome]
        return "\n".join(
            texts[name].decode(errors="replace").strip()
            for name in wanted
            if name in texts
        )


def collect(stream: IO[bytes], report: Callable[[Result], None]) -> None:
    """Tell `report` of each test as it ends, until the stream does."""
    collector = _Collector(report)
    collector.startTestRun()
    subunit.ByteStreamToStreamResult(stream, non_subunit_name="output").run(collector)
    collector.stopTestRun()
