"""Time at the edge: the one place that asks what time it is, and the one parser of times a person types."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ringwatch.errors import UsageError


def now() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)


def parse_time(text: str) -> datetime:
    """An ISO-8601 time (UTC where it has no offset; a bare date is its first instant).

    Raises:
        UsageError: `text` is no ISO-8601 time.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"'{text}' is not an ISO-8601 time.", hint="Write it like 2026-03-01T00:00:00Z.") from error


def parse_span(text: str) -> timedelta:
    """A span of whole hours, days or weeks, like 12h, 7d or 2w.

    Raises:
        UsageError: `text` is no such span, or none at all.
    """
    parts = re.fullmatch(r"([1-9][0-9]{0,3})([hdw])", text.strip())
    if not parts:
        raise UsageError(f"'{text}' is not a span of time.", hint="Write it like 12h, 7d or 2w.")
    return timedelta(**{{"h": "hours", "d": "days", "w": "weeks"}[parts[2]]: int(parts[1])})
