"""Time at the edge: the one place that asks what time it is, and the one parser of times a person types."""

from __future__ import annotations

from datetime import UTC, datetime

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
    except ValueError as error:
        raise UsageError(f"'{text}' is not an ISO-8601 time.", hint="Write it like 2026-03-01T00:00:00Z.") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
