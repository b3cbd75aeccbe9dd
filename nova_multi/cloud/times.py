# SPDX-License-Identifier: Apache-2.0
"""OpenStack's times, which mostly come without a zone and mean UTC."""

from __future__ import annotations

import datetime

from nova_multi.domain import times
from nova_multi.domain.errors import Invalid


def read(text: object) -> datetime.datetime | None:
    """A time in an answer; None where there is none, or one that can't be read."""
    if not isinstance(text, str) or not text:
        return None
    try:
        return times.parse_time(text)
    except Invalid:
        return None
