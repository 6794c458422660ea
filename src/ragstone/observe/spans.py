"""The seam for traces: what is done is told as spans; without a tracer that costs a comparison. Also the id of the
request that is being answered, which the log writes.

Spans carry figures and names, never a question or text of documents.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol, TypeVar

T = TypeVar("T")
Value = str | int | float | bool | tuple[str, ...]
SpanKind = Literal["internal", "server", "client"]

REQUEST_ID: ContextVar[str] = ContextVar("ragstone_request_id", default="")
"""Of the request that is being answered; empty outside."""


class Span(Protocol):
    def set(self, attributes: Mapping[str, Value]) -> None: ...

    def end(self, error: str = "", at: int | None = None) -> None:
        """`error`: the class of what went wrong; `at`: nanoseconds since 1970, default now."""
        ...


class Tracer(Protocol):
    def start(
        self,
        name: str,
        parent: Span | None,
        *,
        kind: SpanKind = "internal",
        at: int | None = None,
        attributes: Mapping[str, Value] | None = None,
        remote: Mapping[str, str] | None = None,
    ) -> Span:
        """`remote`: headers of a request, which may name a parent in another process."""
        ...


class _Nothing:
    def set(self, attributes: Mapping[str, Value]) -> None: ...

    def end(self, error: str = "", at: int | None = None) -> None: ...


NOTHING = _Nothing()
_CURRENT: ContextVar[Span | None] = ContextVar("ragstone_span", default=None)
_installed: list[Tracer] = []


def install(tracer: Tracer | None) -> None:
    """From now on spans go to `tracer`; None: nowhere. Called by who owns the process."""
    _installed[:] = [] if tracer is None else [tracer]


def start(
    name: str,
    attributes: Mapping[str, Value] | None = None,
    *,
    kind: SpanKind = "internal",
    remote: Mapping[str, str] | None = None,
) -> Span:
    """A span inside the current one, to be ended by the caller; it does not become the current one."""
    if not _installed:
        return NOTHING
    return _installed[0].start(name, _CURRENT.get(), kind=kind, attributes=attributes, remote=remote)


@contextmanager
def inside(span: Span) -> Iterator[None]:
    """What is done here belongs to `span`."""
    if span is NOTHING:
        yield
        return
    token = _CURRENT.set(span)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def following(span: Span, items: Iterator[T]) -> Generator[T, None, None]:
    """The same items; making each belongs to `span`, what the caller does in between does not. Ends the span."""
    error = ""
    try:
        while True:
            with inside(span):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
    except GeneratorExit:
        error = "closed"
        raise
    except BaseException as failed:
        error = type(failed).__name__
        raise
    finally:
        if isinstance(items, Generator):
            items.close()
        span.end(error)


def stages(span: Span, timings: Mapping[str, float], *, began: int) -> None:
    """A span inside `span` for each stage, one behind the other from `began` (nanoseconds since 1970). Stages that
    were gone through twice are told as one."""
    if span is NOTHING or not _installed:
        return
    at = began
    for stage, milliseconds in timings.items():
        if stage != "total":
            made = _installed[0].start(stage, span, at=at)
            at += int(milliseconds * 1e6)
            made.end(at=at)


def now() -> int:
    """Nanoseconds since 1970."""
    return time.time_ns()
