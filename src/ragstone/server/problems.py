"""Errors as problem documents (RFC 9457). What goes wrong inside is told by its kind alone: no paths, addresses or
keys leave the server; the log has the rest under the same id."""

from __future__ import annotations

import logging
import math
import time
from http import HTTPStatus
from typing import Annotated, NotRequired, TypedDict

import msgspec

from ..errors import BudgetExceeded, ModelError, ModelUnavailable, RagstoneError, StoreError, TooManyRequests

MEDIA_TYPE = "application/problem+json"
DEFECT = "Defect"
OVERLOAD_SECONDS = 1
"""After which a client that was refused for load may come again."""

log = logging.getLogger(__name__)


class Problem(TypedDict):
    """What every error looks like."""

    type: Annotated[str, "urn:ragstone:problem: and the code"]
    title: Annotated[str, "of the status"]
    status: int
    code: Annotated[str, "stable name for programs: an error class of Ragstone"]
    detail: Annotated[str, "what happened"]
    hint: Annotated[str, "what to do about it; may be empty"]
    id: Annotated[str, "of the request; the server's log has it too"]
    path: NotRequired[Annotated[str, "where in the body the mistake is"]]


_HIDDEN = {
    StoreError: ("the data cannot be read or written now.", "Tell whoever runs the server the id of this error."),
    ModelError: ("a model of the server does not answer.", "Try again; or tell whoever runs the server the id."),
}
"""Errors whose messages name files and addresses."""


def problem(error: Exception, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers beyond the usual and body. Anything that is no RagstoneError is a defect, and is logged."""
    document = explained(error, request_id)
    status = document["status"]
    headers = [(b"content-type", MEDIA_TYPE.encode())]
    seconds = _retry_after(error) if isinstance(error, RagstoneError) else None
    if seconds is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(seconds))).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="ragstone"'))
    return status, headers, msgspec.json.encode(document)


def explained(error: Exception, request_id: str) -> Problem:
    """What whoever asked may know; the rest is logged."""
    if not isinstance(error, RagstoneError):
        log.error("defect in request %s", request_id, exc_info=error)
        hint = "This is a defect; the log has it under this id."
        return _made(500, DEFECT, "the server failed unexpectedly.", hint, request_id)
    detail, hint = error.message, error.hint
    for kind, (said, advice) in _HIDDEN.items():
        if isinstance(error, kind):
            log.warning("request %s: %s", request_id, error)
            detail, hint = said, advice
    return _made(error.http_status, error.code, detail, hint, request_id)


def _retry_after(error: RagstoneError) -> float | None:
    if isinstance(error, TooManyRequests | ModelUnavailable) and error.retry_after is not None:
        return error.retry_after
    if isinstance(error, BudgetExceeded) and error.renews is not None:
        return error.renews - time.time()
    return OVERLOAD_SECONDS if error.http_status in (429, 503) else None


def _made(status: int, code: str, detail: str, hint: str, request_id: str) -> Problem:
    return {
        "type": f"urn:ragstone:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "hint": hint,
        "id": request_id,
    }
