"""Stand-ins for model servers on real loopback sockets, speaking the dialects byte for byte as the real ones do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ("Die ", "Höhe ", "ist ", "330 ", "Meter", ".")


@dataclass
class Script:
    """How the server behaves. `pause` seconds between pieces; `cut` ends the connection after so many pieces;
    `refuse` gives answers (status, body) that come before the first normal one; `raw` replaces the whole body.
    `window` in words is what Ollama's prompts may have, `load_seconds` what loading a model there takes."""

    words: tuple[str, ...] = WORDS
    pause: float = 0.0
    cut: int | None = None
    refuse: list[tuple[int, str]] = field(default_factory=list)
    raw: bytes | None = None
    content_type: str = ""
    piece: int = 0
    usage: bool = True
    cached: int = 0
    requests: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    models: list[dict[str, Any]] = field(default_factory=list)
    loaded: list[dict[str, Any]] = field(default_factory=list)
    window: int = 0
    load_seconds: float = 0.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, format: str, *args: object) -> None:
        return

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("content-length") or 0)
        body: dict[str, Any] = json.loads(self.rfile.read(length)) if length else {}
        self.script.requests.append((self.path, body, {k.lower(): v for k, v in self.headers.items()}))
        return body

    def _json(self, status: int, value: object) -> None:
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refused(self) -> bool:
        if self.script.refuse:
            self._json(*self.script.refuse.pop(0))
            return True
        return False

    def _stream(self, content_type: str, pieces: list[bytes]) -> None:
        """Chunked, one piece in each HTTP chunk, or `script.piece` bytes in each."""
        self.send_response(200)
        self.send_header("content-type", self.script.content_type or content_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        if self.script.raw is not None:
            pieces = [self.script.raw]
        if self.script.piece:
            whole = b"".join(pieces)
            pieces = [whole[i : i + self.script.piece] for i in range(0, len(whole), self.script.piece)]
        try:
            for n, piece in enumerate(pieces):
                if n == self.script.cut:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.flush()
                time.sleep(self.script.pause)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.script.stopped.set()
            self.close_connection = True


class OpenAIHandler(_Handler):
    def do_GET(self) -> None:
        self._body()
        self._json(200, {"object": "list", "data": self.script.models})

    def do_POST(self) -> None:
        body = self._body()
        if self._refused():
            return
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}

        def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            return b"data: " + json.dumps({**head, "choices": choices}, ensure_ascii=False).encode() + b"\n\n"

        pieces = [b": keep-alive\n\n", event({"role": "assistant", "content": None})]
        pieces += [event({"content": word}) for word in self.script.words]
        pieces.append(event({}, "length" if len(self.script.words) > body["max_tokens"] else "stop"))
        if self.script.usage:
            usage: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": len(self.script.words), "total_tokens": 13}
            if self.script.cached:
                usage["prompt_tokens_details"] = {"cached_tokens": self.script.cached}
            pieces.append(b"data: " + json.dumps({**head, "choices": [], "usage": usage}).encode() + b"\n\n")
        self._stream("text/event-stream; charset=utf-8", [*pieces, b"data: [DONE]\n\n"])


class OtherHandler(_Handler):
    """No model server at all: `script.raw` whatever it is asked."""

    def do_GET(self) -> None:
        self._body()
        self._json(200, (self.script.raw or b"").decode())

    def do_POST(self) -> None:
        self.do_GET()


class OllamaHandler(_Handler):
    def do_GET(self) -> None:
        self._body()
        answers = {
            "/api/version": {"version": "0.12.0"},
            "/api/tags": {"models": self.script.models},
            "/api/ps": {"models": self.script.loaded},
        }
        self._json(200, answers[self.path]) if self.path in answers else self._json(404, {"error": "not found"})

    def do_POST(self) -> None:
        body = self._body()
        if self._refused():
            return
        if self.path == "/api/show":
            skills = ["embedding"] if "embed" in body["model"] else ["completion"]
            info = {"general.architecture": "llama", "llama.context_length": 131072}
            self._json(200, {"model_info": info, "capabilities": skills, "details": {"family": "llama"}})
            return

        if self.path == "/api/generate" and not body.get("prompt"):
            self._load(body)
            return
        if self.path == "/api/chat" and not body.get("shift", True) and self.script.window:
            words = sum(len(m["content"].split()) for m in body["messages"])
            if words > self.script.window:
                self._json(400, {"error": "the input length exceeds the context length"})
                return

        def line(**parts: object) -> bytes:
            value = {"model": body["model"], "created_at": "2026-11-21T00:00:00Z", **parts}
            return json.dumps(value, ensure_ascii=False).encode() + b"\n"

        pieces = [line(message={"role": "assistant", "content": w}, done=False) for w in self.script.words]
        counts = {"prompt_eval_count": 7, "eval_count": len(self.script.words)} if self.script.usage else {}
        reason = "length" if len(self.script.words) > body["options"]["num_predict"] else "stop"
        end = line(
            message={"role": "assistant", "content": ""}, done=True, done_reason=reason, load_duration=1, **counts
        )
        self._stream("application/x-ndjson", [*pieces, end])


    def _load(self, body: dict[str, Any]) -> None:
        """Without a prompt: loads the model, or unloads it where it is not to be kept alive."""
        name = body["model"] if ":" in body["model"] else f"{body['model']}:latest"
        kept = [m for m in self.script.loaded if m["name"] != name]
        unload = body.get("keep_alive") == 0
        time.sleep(0.0 if unload else self.script.load_seconds)
        if not unload:
            window = body.get("options", {}).get("num_ctx", 4096)
            entry = {"name": name, "model": name, "size": 3_000_000, "size_vram": 1_000_000, "context_length": window}
            kept.append({**entry, "expires_at": "2026-11-21T10:30:00.123456789+01:00"})
        self.script.loaded[:] = kept
        reason = "unload" if unload else "load"
        self._json(200, {"model": body["model"], "response": "", "done": True, "done_reason": reason})


@contextmanager
def serving(handler: type[_Handler], script: Script) -> Iterator[str]:
    """The address of a server that follows `script`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"script": script}))
    server.daemon_threads = True
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # clients that leave
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
