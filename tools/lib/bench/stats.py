# SPDX-License-Identifier: Apache-2.0
"""Figures of a row of measurements."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """Seconds, and how many measurements they are of."""

    count: int
    median: float
    p95: float
    least: float
    most: float


def summary(seconds: Sequence[float]) -> Summary:
    """Median and 95th percentile (nearest rank: one that was really measured).

    :raises ValueError: nothing was measured.
    """
    if not seconds:
        raise ValueError("no measurements")
    ordered = sorted(seconds)
    rank = math.ceil(0.95 * len(ordered)) - 1
    return Summary(
        len(ordered),
        statistics.median(ordered),
        ordered[rank],
        ordered[0],
        ordered[-1],
    )
