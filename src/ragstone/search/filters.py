"""Filters in words: `path=manuals/**`, `language=de`, `type=application/pdf`, `after=2026-01-31`, `key=value`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ..errors import QueryError
from ..types import Filter, MetadataValue


def parse_filter(conditions: Sequence[str]) -> Filter:
    """One `name=value` each; the same name twice means either. Names other than path, type, language, after and
    before are metadata keys. Raises QueryError."""
    path: list[str] = []
    types: list[str] = []
    languages: list[str] = []
    metadata: list[tuple[str, MetadataValue]] = []
    after: float | None = None
    before: float | None = None
    for condition in conditions:
        name, equals, value = condition.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or not value:
            raise QueryError(f"cannot read the filter {condition!r}.", "Write name=value, for example language=de.")
        if name == "path":
            path.append(value)
        elif name == "type":
            types.append(value)
        elif name == "language":
            languages.append(value.lower())
        elif name == "after":
            after = parse_date(value)
        elif name == "before":
            before = parse_date(value)
        else:
            metadata.append((name, _value(value)))
    return Filter(tuple(path), tuple(types), tuple(languages), tuple(metadata), after, before)


def parse_date(text: str) -> float:
    """POSIX seconds of an ISO 8601 date or time; without a zone it is UTC. Raises QueryError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise QueryError(f"{text!r} is not a date.", "Write it as 2026-01-31 or 2026-01-31T12:00.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _value(text: str) -> MetadataValue:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
