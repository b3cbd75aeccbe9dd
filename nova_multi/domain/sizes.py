# SPDX-License-Identifier: Apache-2.0
"""Amounts of memory and disk, in MB of 2**20 bytes."""

from __future__ import annotations

import decimal
import math
import re
from typing import Literal

from nova_multi.domain.errors import Invalid

#: MB in each unit: powers of 1024, as OpenStack's are, however they are spelt.
_UNITS = {"MB": 1, "GB": 1024, "TB": 1024 * 1024}
_TEXT = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?(?:([MGT])(?:i?B)?)?", re.I | re.ASCII)

#: Nova keeps amounts in 32 bits.
MAX_MB = 2**31 - 1


def parse_size(
    value: int | float | str,
    default_unit: Literal["MB", "GB"],
    field: str | None = None,
) -> int:
    """MB of a size such as ``2``, ``1.5``, ``"2GB"``, ``"512 MB"``; rounded up.

    :param default_unit: of a number without one.
    :raises Invalid: it is no size, not above zero, or beyond what Nova can keep.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Invalid(f"{value!r} is no size", field=field)
    unit: str = default_unit
    if isinstance(value, str):
        found = _TEXT.fullmatch(value.strip())
        if not found:
            raise Invalid(
                f"{value[:40]!r} is no size: a number with or without MB, GB or TB",
                field=field,
            )
        number = decimal.Decimal(found[1])
        unit = f"{found[2].upper()}B" if found[2] else default_unit
    else:
        if isinstance(value, float) and not math.isfinite(value):
            raise Invalid(f"{value!r} is no size", field=field)
        if value > MAX_MB:
            # Python refuses to write out a very long number.
            raise Invalid("the size is too large", field=field)
        if value <= 0:
            raise Invalid("the size must be above zero", field=field)
        # By way of the text: 0.1 is meant, not its nearest binary neighbour.
        number = decimal.Decimal(str(value))
    if number <= 0:
        raise Invalid("the size must be above zero", field=field)
    mb = math.ceil(number * _UNITS[unit])
    if mb > MAX_MB:
        raise Invalid(f"size {value!s:.40} is too large", field=field)
    return mb


def format_size(mb: int) -> str:
    """The shortest exact text: ``2GB``, ``512MB``."""
    if mb and mb % 1024 == 0:
        return f"{mb // 1024}GB"
    return f"{mb}MB"


def whole_gb(mb: int) -> int:
    """GB that hold so many MB: flavors know whole ones only."""
    return -(-mb // 1024)
