"""Spans to an OpenTelemetry collector: OTLP over HTTP, as protobuf (extra `otel`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from .. import __version__
from ..errors import SettingsError
from ..observe import spans
from ..observe.spans import Span, SpanKind, Value

if TYPE_CHECKING:
    from opentelemetry import trace

    from ..settings import TracingSettings

TIMEOUT_SECONDS = 5


@contextmanager
def tracing(settings: TracingSettings) -> Iterator[None]:
    """While the body runs, spans of this process go to the collector that the settings name; without one nothing is
    imported. At the end what is left is sent, for at most TIMEOUT_SECONDS. Raises SettingsError without the extra."""
    if not settings.endpoint:
        yield
        return
    try:
        import requests
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise SettingsError(
            "tracing.endpoint is set, but the extra for it is not installed.", "pip install 'ragstone[otel]'"
        ) from error
    session = requests.Session()
    session.trust_env = False  # no proxy that the settings do not name
    exporter = OTLPSpanExporter(
        endpoint=settings.endpoint, headers=dict(_headers(settings)), timeout=TIMEOUT_SECONDS, session=session
    )
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.share)),
        resource=Resource({"service.name": settings.service, "service.version": __version__}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=TIMEOUT_SECONDS * 1000))
    spans.install(_Tracer(provider.get_tracer("ragstone", __version__)))
    try:
        yield
    finally:
        spans.install(None)
        provider.shutdown()


def _headers(settings: TracingSettings) -> Iterator[tuple[str, str]]:
    for line in settings.headers:
        name, colon, value = line.partition(":")
        if not colon:
            raise SettingsError("tracing.headers has a line without a colon.", 'Write ["Name: value"].')
        yield name.strip().lower(), value.strip()


class _Tracer:
    def __init__(self, tracer: trace.Tracer) -> None:
        from opentelemetry import trace
        from opentelemetry.context import Context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._trace = trace
        self._empty = Context()
        self._propagator = TraceContextTextMapPropagator()

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
        context = self._empty
        if isinstance(parent, _Span):
            context = self._trace.set_span_in_context(parent.span, context)
        elif remote:
            context = self._propagator.extract(dict(remote), context)
        kinds = {"internal": "INTERNAL", "server": "SERVER", "client": "CLIENT"}
        made = self._tracer.start_span(
            name,
            context,
            kind=self._trace.SpanKind[kinds[kind]],
            attributes=cast(Any, attributes),
            start_time=at,
        )
        return _Span(made)


class _Span:
    """A route that is known at the end only names its span then."""

    def __init__(self, span: trace.Span) -> None:
        self.span = span

    def set(self, attributes: Mapping[str, Value]) -> None:
        self.span.set_attributes(cast(Any, attributes))
        if "http.route" in attributes:
            self.span.update_name(f"{attributes['http.request.method']} {attributes['http.route']}")

    def end(self, error: str = "", at: int | None = None) -> None:
        if error:
            from opentelemetry.trace import StatusCode

            self.span.set_attribute("error.type", error)
            self.span.set_status(StatusCode.ERROR)
        self.span.end(at)
