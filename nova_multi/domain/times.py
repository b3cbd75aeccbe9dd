# SPDX-License-Identifier: Apache-2.0
"""Times: always aware, always UTC, RFC 3339 outside."""

from __future__ import annotations

import datetime

from nova_multi.domain.errors import Invalid


def now() -> datetime.datetime:
    """The present, with microseconds."""
    return datetime.datetime.now(datetime.UTC)


def utc(at: datetime.datetime) -> datetime.datetime:
    """The same moment in UTC.

    :raises ValueError: ``at`` has no time zone; it would have to be guessed.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    return at.astimezone(datetime.UTC)


def format_time(at: datetime.datetime) -> str:
    """RFC 3339 in UTC, with microseconds, so that texts sort as times do."""
    return utc(at).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str, field: str | None = None) -> datetime.datetime:
    """A time of OpenStack's or of a user's; one without a zone counts as UTC.

    :raises Invalid: it is no time of ISO 8601.
    """
    try:
        at = datetime.datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=datetime.UTC)
        return utc(at)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{text!r} is no time (RFC 3339)", field=field) from error
