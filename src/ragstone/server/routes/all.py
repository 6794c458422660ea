"""Every operation of the server."""

from __future__ import annotations

from ..operations import Operation
from . import health, search

OPERATIONS: tuple[Operation, ...] = (*health.OPERATIONS, *search.OPERATIONS)
