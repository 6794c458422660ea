"""Options that choose documents, of every command that has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from ..errors import InputError
from ..types import Filter, MetadataValue

MetaFilter = Annotated[
    list[str] | None,
    typer.Option(
        "--meta", metavar="KEY=VALUE", help="Only documents with this metadata; may be repeated.", show_default=False
    ),
]
PathGlobs = Annotated[
    list[str] | None,
    typer.Option("--path", metavar="GLOB", help="Only these paths; ** crosses folders.", show_default=False),
]
MediaTypes = Annotated[
    list[str] | None, typer.Option("--type", metavar="MEDIA_TYPE", help="Only these types.", show_default=False)
]
Languages = Annotated[
    list[str] | None, typer.Option("--language", metavar="CODE", help="Only these languages.", show_default=False)
]
After = Annotated[
    str | None, typer.Option("--after", metavar="DATE", help="Only files changed since then.", show_default=False)
]
Before = Annotated[
    str | None, typer.Option("--before", metavar="DATE", help="Only files changed before then.", show_default=False)
]


def chosen(
    path: Sequence[str] | None,
    media_type: Sequence[str] | None,
    language: Sequence[str] | None,
    meta: Sequence[str] | None,
    after: str | None,
    before: str | None,
) -> Filter | None:
    """The filter that the options of `list`, `search` and `ask` describe; None: everything."""
    wanted = Filter(
        path=tuple(path or ()),
        media_type=tuple(media_type or ()),
        language=tuple(language or ()),
        metadata=tuple(key_values(meta).items()),
        modified_after=_posix("--after", after),
        modified_before=_posix("--before", before),
    )
    return wanted or None


def key_values(pairs: Sequence[str] | None) -> dict[str, MetadataValue]:
    """`KEY=VALUE` texts; true, false and numbers become such. Raises InputError."""
    values: dict[str, MetadataValue] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--meta {pair} is not KEY=VALUE.")
        values[key.strip()] = _scalar(value.strip())
    return values


def _scalar(text: str) -> MetadataValue:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _posix(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {text} is not a date.", "Write 2026-11-20 or 2026-11-20T10:00.") from None
    return moment.timestamp()
