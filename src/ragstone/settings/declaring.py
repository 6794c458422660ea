"""How a section declares a setting: default, text for `docs/settings.md`, limits."""

from __future__ import annotations

from dataclasses import field
from typing import Any

MIB = 1 << 20


def setting(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    size: bool = False,
    secret: bool = False,
) -> Any:
    """A field of a section. `low` and `high` are inclusive; `size` also takes "50 MiB"; a `secret` is never shown."""
    metadata = {"doc": doc, "low": low, "high": high, "size": size, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)
