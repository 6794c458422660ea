"""Dates as people and programs write them."""

from __future__ import annotations

from datetime import UTC, datetime

from ..errors import QueryError


def parse_date(text: str) -> float:
    """POSIX seconds of an ISO 8601 date or time; without a zone it is UTC. Raises QueryError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise QueryError(f"{text!r} is not a date.", "Write it as 2026-01-31 or 2026-01-31T12:00.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
