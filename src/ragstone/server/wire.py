"""The shapes of requests. Unknown fields are refused: a mistyped option must not be ignored silently."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..types import Filter, Mode

Name = Annotated[str, Meta(min_length=1, max_length=128, description="name of a collection")]
Text = Annotated[str, Meta(min_length=1, max_length=8_192)]
Moment = Annotated[datetime, Meta(tz=True)]
Globs = Annotated[list[Annotated[str, Meta(max_length=2_048)]], Meta(max_length=100)]


class FilterBody(Struct, forbid_unknown_fields=True, rename=None):
    """Which passages may be found. Fields combine with AND, inside a list with OR."""

    path: Globs = []
    media_type: Globs = []
    language: Globs = []
    metadata: dict[str, str | int | float | bool] = {}
    modified_after: Moment | None = None
    modified_before: Moment | None = None

    def chosen(self) -> Filter:
        return Filter(
            tuple(self.path), tuple(self.media_type), tuple(self.language), tuple(self.metadata.items()),
            _seconds(self.modified_after), _seconds(self.modified_before),
        )  # fmt: skip


class SearchBody(Struct, forbid_unknown_fields=True):
    """One `query`, or many `queries`."""

    query: Text | None = None
    queries: Annotated[list[Text], Meta(min_length=1, max_length=100)] | None = None
    collections: Annotated[list[Name], Meta(min_length=1, max_length=100)] | None = None
    k: Annotated[int, Meta(ge=1, le=100)] | None = None
    filter: FilterBody | None = None
    mode: Mode | None = None
    diversity: Annotated[float, Meta(ge=0, le=1)] | None = None


class AskBody(Struct, forbid_unknown_fields=True):
    """`conversation`: any name of yours; questions under the same one go on from each other."""

    question: Text
    collections: Annotated[list[Name], Meta(min_length=1, max_length=100)] | None = None
    filter: FilterBody | None = None
    language: Literal["de", "en"] | None = None
    conversation: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9._-]+$")] | None = None
    mode: Mode = "hybrid"
    stream: bool = False


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
