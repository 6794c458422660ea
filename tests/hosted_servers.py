"""Stand-ins for hosted providers on real loopback sockets: the documented wire formats, byte for byte."""

from __future__ import annotations

import json
from typing import Any

from model_servers import _Handler

HEAD = {"id": "msg_01", "type": "message", "role": "assistant", "content": [], "stop_reason": None}


def named(kind: str, **rest: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **rest}, ensure_ascii=False)}\n\n".encode()


class AnthropicHandler(_Handler):
    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        body = self._body()
        if self._refused():
            return
        words = self.script.words
        usage: dict[str, Any] = {}
        if self.script.usage:
            usage = {"input_tokens": 4, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 2}
        pieces = [
            named("message_start", message={**HEAD, "model": body["model"], "usage": {**usage, "output_tokens": 1}}),
            named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            named("ping"),
        ]
        pieces += [named("content_block_delta", index=0, delta={"type": "text_delta", "text": w}) for w in words]
        reason = "max_tokens" if len(words) > body["max_tokens"] else "end_turn"
        pieces += [
            named("content_block_stop", index=0),
            named(
                "message_delta",
                delta={"stop_reason": reason, "stop_sequence": None},
                usage={"output_tokens": len(words)} if self.script.usage else {},
            ),
            named("message_stop"),
        ]
        self._stream("text/event-stream; charset=utf-8", pieces)


class GeminiHandler(_Handler):
    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        body = self._body()
        if self._refused():
            return
        words = self.script.words

        def event(text: str, finish: str = "", written: int = 0) -> bytes:
            candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
            value: dict[str, Any] = {"candidates": [candidate], "modelVersion": "gemini", "responseId": "r1"}
            if finish:
                candidate["finishReason"] = finish
            if self.script.usage:
                counts = {"promptTokenCount": 7, "totalTokenCount": 7 + written}
                value["usageMetadata"] = counts | ({"candidatesTokenCount": written} if written else {})
                if finish:
                    value["usageMetadata"] |= {"thoughtsTokenCount": 3, "cachedContentTokenCount": 2}
            return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"

        reason = "MAX_TOKENS" if len(words) > body["generationConfig"]["maxOutputTokens"] else "STOP"
        pieces = [event(w, written=n) for n, w in enumerate(words[:-1])]
        self._stream("text/event-stream", [*pieces, event(words[-1], reason, len(words))])
