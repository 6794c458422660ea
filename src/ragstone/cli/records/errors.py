"""The JSON of errors."""

from __future__ import annotations

from typing import Annotated, TypedDict


class ErrorDetail(TypedDict):
    code: Annotated[str, "class of the error (errors.py), `UsageError` or `Interrupted`"]
    message: Annotated[str, "what happened"]
    hint: Annotated[str, "what to do about it; may be empty"]
    exit_code: Annotated[int, "the process's exit code"]


class ErrorRecord(TypedDict):
    """Any command that fails, on stderr."""

    schema_version: int
    error: ErrorDetail
