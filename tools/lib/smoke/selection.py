# SPDX-License-Identifier: Apache-2.0
"""Which of Tempest's tests are run on a hypervisor, and why the others are not."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from smoke.errors import SmokeError

_EXCLUSION = re.compile(r"^(?P<pattern>\S+)\s+#\s*(?P<reason>\S.*)$")


@dataclasses.dataclass(frozen=True, slots=True)
class Exclusion:
    """Tests that are not run.

    :ivar pattern: matched from the start of a test's name.
    :ivar reason: for the report.
    """

    pattern: re.Pattern[str]
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """The tests of one hypervisor.

    :ivar run: Tempest's full names, sorted.
    :ivar excluded: name to reason.
    """

    run: tuple[str, ...]
    excluded: dict[str, str]

    def only(self, regex: str) -> Selection:
        """Those of the tests whose names have a match of this."""
        return Selection(
            tuple(test for test in self.run if re.search(regex, test)),
            {t: why for t, why in self.excluded.items() if re.search(regex, t)},
        )

    def among(self, patterns: Iterable[re.Pattern[str]]) -> Selection:
        """Those of the tests that one of these matches from the start.

        :raises SmokeError: a pattern matches none of them, not even an excluded one.
        """
        patterns = tuple(patterns)
        named = {test: [p for p in patterns if p.match(test)] for test in self._all()}
        used = {pattern for found in named.values() for pattern in found}
        if unused := [p.pattern for p in patterns if p not in used]:
            raise SmokeError(f"these patterns match no test: {', '.join(unused)}")
        return Selection(
            tuple(test for test in self.run if named[test]),
            {t: why for t, why in self.excluded.items() if named[t]},
        )

    def _all(self) -> tuple[str, ...]:
        return (*self.run, *self.excluded)


def select(
    tests: Iterable[str],
    include: Iterable[re.Pattern[str]],
    exclude: Iterable[Exclusion],
) -> Selection:
    """Choose among all the tests there are.

    :raises SmokeError: a pattern matches nothing, so it is misspelt or out of date.
    """
    include, exclude = tuple(include), tuple(exclude)
    unused = {pattern.pattern for pattern in include}
    unused |= {exclusion.pattern.pattern for exclusion in exclude}
    run, excluded = [], {}
    for test in sorted(tests):
        wanted = [pattern for pattern in include if pattern.match(test)]
        if not wanted:
            continue
        unused -= {pattern.pattern for pattern in wanted}
        reasons = [entry for entry in exclude if entry.pattern.match(test)]
        unused -= {entry.pattern.pattern for entry in reasons}
        if reasons:
            excluded[test] = reasons[0].reason
        else:
            run.append(test)
    if unused:
        raise SmokeError(
            "these patterns match none of Tempest's tests: " + ", ".join(sorted(unused))
        )
    return Selection(tuple(run), excluded)


def read_include(path: Path) -> list[re.Pattern[str]]:
    """Patterns of a file, one in a line."""
    return [re.compile(line) for _, line in _lines(path)]


def read_exclude(path: Path) -> list[Exclusion]:
    """Patterns with their reasons; a file that is not there has none.

    :raises SmokeError: an entry without a reason.
    """
    found = []
    for number, line in _lines(path) if path.exists() else ():
        match = _EXCLUSION.match(line)
        if match is None:
            raise SmokeError(f"{path}:{number}: no reason is given for {line}")
        found.append(Exclusion(re.compile(match["pattern"]), match["reason"]))
    return found


def read_features(path: Path, hypervisor: str) -> dict[str, bool]:
    """What Tempest is told that a hypervisor can do.

    :raises SmokeError: the file knows nothing of this hypervisor.
    """
    tables = tomllib.loads(path.read_text())
    if hypervisor not in tables:
        raise SmokeError(f"{path} has no table for {hypervisor}")
    return {**tables["common"], **tables[hypervisor]}


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield number, text
