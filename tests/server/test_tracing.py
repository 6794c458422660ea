"""Spans over a real socket, as a collector gets them."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import ragstone
from ragstone.errors import ModelUnavailable
from ragstone.llm.observed import Observed
from ragstone.observe import genai, spans
from ragstone.server.tracing import tracing
from ragstone.settings import TracingSettings
from ragstone.types import Call, Delta, Message, Usage
from served import SAMPLES, served

service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
SECRET = "Zwiebelturmgeheimnis"


class Collector:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.headers.append({k.lower(): v for k, v in self.headers.items()} | {"path": self.path})
                collector.bodies.append(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self) -> list[Any]:
        found = []
        for body in self.bodies:
            for resource in service.ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += scope.spans
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_a_request_is_one_trace_down_to_its_stages(tmp_path: Path, collector: Collector) -> None:
    with ragstone.open(tmp_path / "data") as opened:
        opened.add([str(SAMPLES / "historian.rst")])
        opened.embed_pending()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    parent = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    with served(tmp_path / "data", "--set", f"tracing.endpoint={collector.endpoint}") as server:
        assert server.search(SECRET, headers=parent).status_code == 200
        assert server.ask("/v1/ask", "POST", json={"question": "What does the historian store?"}).status_code == 200
    assert all(h["path"] == "/v1/traces" and h["content-type"] == "application/x-protobuf" for h in collector.headers)
    found = collector.spans()
    mine = {span.name: span for span in found if span.trace_id.hex() == trace}
    assert {"POST /v1/search", "search", "lexical", "dense", "fuse", "fetch"} <= mine.keys()
    outer = mine["POST /v1/search"]
    assert outer.parent_span_id.hex() == "00f067aa0ba902b7"
    assert attributes(outer)["http.response.status_code"] == 200
    assert mine["search"].parent_span_id == outer.span_id
    assert mine["lexical"].parent_span_id == mine["search"].span_id
    assert mine["lexical"].end_time_unix_nano <= mine["fuse"].start_time_unix_nano
    asked = next(span for span in found if span.name == "ask")
    within = [span for span in found if span.parent_span_id == asked.span_id]
    assert {"search", "evidence"} <= {span.name for span in within}
    assert not any(SECRET.encode() in body for body in collector.bodies)


class Speaker:
    name, context = "small", 4096

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails

    def stream(self, messages: Any, call: Call) -> Iterator[Delta]:
        yield Delta("Hello ")
        if self.fails:
            raise ModelUnavailable("it broke off.", "Try again.")
        yield Delta("there", "stop", Usage(12, 2))

    def close(self) -> None: ...


def test_calls_of_language_models_follow_the_conventions(collector: Collector) -> None:
    messages = [Message("user", SECRET)]
    with tracing(TracingSettings(endpoint=collector.endpoint, headers=("X-Tenant: a",))):
        outer = spans.start("ask")
        with spans.inside(outer):
            list(Observed(Speaker(), "near").stream(messages, Call(64, None)))
            with pytest.raises(ModelUnavailable):
                list(Observed(Speaker(fails=True), "near").stream(messages, Call(64, None)))
            half = Observed(Speaker(), "near").stream(messages, Call(64, None))
            next(half)
            half.close()  # type: ignore[attr-defined]
        outer.end()
    assert spans.start("nobody listens") is spans.NOTHING
    assert collector.headers[0]["x-tenant"] == "a"
    found = collector.spans()
    root = next(span for span in found if span.name == "ask")
    calls = [span for span in found if span.name == "chat near"]
    assert [span.parent_span_id for span in calls] == [root.span_id] * 3
    told = attributes(calls[0])
    assert told[genai.OPERATION] == "chat"
    assert (told[genai.INPUT_TOKENS], told[genai.OUTPUT_TOKENS]) == (12, 2)
    assert [attributes(span).get("error.type") for span in calls] == [None, "ModelUnavailable", "closed"]
    assert not any(SECRET.encode() in body for body in collector.bodies)


def test_a_collector_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    with tracing(TracingSettings(endpoint="http://127.0.0.1:9/v1/traces")):
        spans.start("lost").end()
    assert time.monotonic() - began < 60
