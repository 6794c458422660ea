"""A server on a real socket that speaks the two embedding protocols. Vectors are counts of letters."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LETTERS = "abcdefgh"


def letters(text: str) -> list[float]:
    return [float(text.count(letter)) for letter in LETTERS] + [1.0]


@dataclass
class EmbeddingServer:
    """`failures` are (status, Retry-After) that the next requests get. `answer` replaces the body of a success."""

    url: str = ""
    failures: list[tuple[int, str]] = field(default_factory=list)
    answer: Any = None
    key: str = ""
    model: str = "counts"
    digest: str = "sha256:0123456789abcdef"
    inputs: list[list[str]] = field(default_factory=list)
    requests: int = 0


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    state = EmbeddingServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"content-length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            models = [{"name": f"{state.model}:latest", "digest": state.digest}]
            self.reply(*((200, {"models": models}) if self.path == "/api/tags" else (404, {"error": "no such page"})))

        def do_POST(self) -> None:
            state.requests += 1
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if state.failures:
                status, after = state.failures.pop(0)
                self.reply(status, {"error": "not now"}, {"retry-after": after} if after else None)
            elif state.key and self.headers.get("authorization") != f"Bearer {state.key}":
                self.reply(401, {"error": {"message": "bad key"}})
            elif body["model"] != state.model:
                self.reply(404, {"error": f"model {body['model']!r} not found"})
            elif state.answer is not None:
                self.reply(200, state.answer)
            elif self.path == "/v1/embeddings":
                state.inputs.append(body["input"])
                rows = [{"index": i, "embedding": letters(t)} for i, t in enumerate(body["input"])]
                self.reply(200, {"object": "list", "data": rows[::-1], "model": state.model})
            elif self.path == "/api/embed":
                assert body["truncate"] is False
                state.inputs.append(body["input"])
                self.reply(200, {"model": state.model, "embeddings": [letters(t) for t in body["input"]]})
            else:
                self.reply(404, {"error": "no such page"})

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
